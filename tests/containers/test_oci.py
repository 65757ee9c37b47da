"""`hardtack bake --oci`: read by every tool, pushed to a real registry, and pulled back as it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.containers import tools
from tests.containers.tools import Engine, say
from tests.containers.yard import Yard

pytestmark = pytest.mark.containers

Trouble = Callable[[Path, str], list[str]]


def bake(yard: Yard, *arguments: str) -> dict[str, Any]:
    done = yard.run("bake", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert isinstance(report, dict)
    return report


def skopeo(podman: Engine, *arguments: str) -> str:
    return say("skopeo", *arguments, env=podman.env)


@pytest.fixture(scope="module")
def pulled(yard: Yard) -> Yard:
    done = yard.run("pull")
    assert done.returncode == 0, done.stderr
    return yard


@pytest.fixture(scope="module")
def pinned(podman: Engine, base: str) -> str:
    digest = json.loads(skopeo(podman, "inspect", "--tls-verify=false", f"docker://{base}"))["Digest"]
    return f"{base.rpartition(':')[0]}@{digest}"


def test_one_digest_in_other_folders_and_years_read_by_every_tool(
    pulled: Yard, podman: Engine, docker: Engine, tmp_path: Path
) -> None:
    first = bake(pulled, "--oci", str(tmp_path / "layout"), "-t", "hardtack-models:1")
    for path in pulled.root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (1_000_000_000, 1_000_000_000))
    before = os.umask(0o027)
    try:
        second = bake(pulled, "--oci", str(tmp_path / "elsewhere/image.tar"), "-t", "hardtack-models:1")
    finally:
        os.umask(before)
    assert first["digest"] == second["digest"]
    assert first["layers"] == second["layers"]

    seen = json.loads(skopeo(podman, "inspect", f"oci:{tmp_path}/layout:1"))
    assert seen["Digest"] == first["digest"]
    assert seen["Labels"]["hardtack.digest"] == first["pantry_digest"]
    archived = json.loads(skopeo(podman, "inspect", f"oci-archive:{tmp_path}/elsewhere/image.tar"))
    assert archived["Digest"] == first["digest"]

    say("umoci", "unpack", "--image", f"{tmp_path}/layout:1", str(tmp_path / "bundle"))
    done = pulled.run("verify", str(tmp_path / "bundle/rootfs/models"))
    assert done.returncode == 0, done.stdout

    loaded = podman("pull", "--quiet", f"oci:{tmp_path}/layout:1").strip()
    assert podman("image", "inspect", "--format", "{{.Digest}}", loaded).strip() == first["digest"]
    assert "hardtack-models:1" in docker("load", "--input", tmp_path / "elsewhere/image.tar")
    layers = json.loads(docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", "hardtack-models:1"))
    assert layers == [layer["digest"] for layer in first["layers"]]


def test_pushed_and_pulled_back_unchanged_and_a_second_image_sends_no_model(
    pulled: Yard, podman: Engine, docker: Engine, registry: str, pinned: str, tmp_path: Path
) -> None:
    name = f"{registry}/ours/models"
    first = bake(pulled, "--oci", str(tmp_path / "first"), "-t", f"{name}:1", "--push")
    back = skopeo(podman, "inspect", "--tls-verify=false", f"docker://{name}:1")
    assert json.loads(back)["Digest"] == first["digest"]
    docker("pull", "--quiet", f"{name}:1")
    assert f"{name}@{first['digest']}" in docker("image", "inspect", "--format", "{{.RepoDigests}}", f"{name}:1")
    podman("pull", "--quiet", f"{name}:1")
    # without --preserve-digests it would compress the layers
    skopeo(
        podman, "copy", "--preserve-digests", "--src-tls-verify=false", f"docker://{name}:1", f"oci:{tmp_path}/back:1"
    )
    for layer in first["layers"]:
        blob = f"blobs/sha256/{layer['digest'].removeprefix('sha256:')}"
        assert (tmp_path / "back" / blob).read_bytes() == (tmp_path / "first" / blob).read_bytes()

    second = bake(pulled, "--oci", str(tmp_path / "second"), "-t", f"{name}:2", "--base", pinned, "--push")
    models = {layer["digest"]: layer["size"] for layer in first["layers"]}
    assert {layer["digest"] for layer in second["layers"]} > set(models)
    assert second["there"] >= sum(models.values())
    # the base is the registry's own, from another repository: mounted, not sent
    assert second["sent"] < 10_000


def test_an_image_on_a_base_runs(pulled: Yard, engine: Engine, pinned: str, tmp_path: Path) -> None:
    bake(pulled, "--oci", str(tmp_path / "image.tar"), "-t", "localhost/aboard:1", "--base", pinned)
    engine("load", "--input", tmp_path / "image.tar")
    hashes = "import hashlib, os, pathlib; p = pathlib.Path(os.environ['HARDTACK_PANTRY'], 'emb/model.safetensors'); "
    said = engine("run", "--rm", "--network", "none", "--read-only", "--user", "10001", "localhost/aboard:1",
                  "python3", "-c", hashes + "print(hashlib.sha256(p.read_bytes()).hexdigest())")  # fmt: skip
    locked = {file.path: file.sha256 for file in pulled.project.current().find("emb").files}
    assert said.strip() == locked["model.safetensors"]


def _without_lock(folder: Path, registry: str) -> list[str]:
    (folder / "hardtack.lock").unlink()
    return []


def _stale(folder: Path, registry: str) -> list[str]:
    return _edited(folder, "tiny/ranker", "tiny/other")


def _path_outside(folder: Path, registry: str) -> list[str]:
    return _edited(folder, 'repo = "tiny/bert"', 'repo = "tiny/bert"\npath = "/a/../b"')


def _edited(folder: Path, old: str, new: str) -> list[str]:
    path = folder / "hardtack.toml"
    path.write_text(path.read_text().replace(old, new))
    return []


def _changed_since(folder: Path, registry: str) -> list[str]:
    (folder / "static/model.safetensors").write_bytes(b"other bytes")
    return []


def _unknown_base(folder: Path, registry: str) -> list[str]:
    return ["--base", f"{registry}/nobody/knows@sha256:{'0' * 64}"]


def _nobody_at_home(folder: Path, registry: str) -> list[str]:
    return ["-t", f"127.0.0.1:{tools.free_port()}/ours:1", "--push"]


def _refusing_registry(folder: Path, registry: str) -> list[str]:
    return ["-t", f"{registry}/{'x' * 300}:1", "--push"]  # longer than a name may be there


@pytest.mark.parametrize(
    ("trouble", "mend", "left"),
    [
        (_without_lock, "hardtack lock", []), (_stale, "hardtack lock", []),
        (_changed_since, "hardtack lock --upgrade static", []),
        (_path_outside, "hardtack", []), (_unknown_base, "skopeo list-tags", []),
        # an image that no registry took lies here whole all the same
        (_nobody_at_home, "curl", ["image"]), (_refusing_registry, "curl", ["image"]),
    ],
)  # fmt: skip
def test_each_failure_is_one_error_and_no_half_image(
    pulled: Yard, registry: str, tmp_path: Path, trouble: Trouble, mend: str, left: list[str]
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(pulled.folder, folder)
    command = [
        sys.executable,
        "-m",
        "hardtack",
        "bake",
        "--oci",
        str(tmp_path / "out/image"),
        *trouble(folder, registry),
    ]
    done = subprocess.run(command, cwd=folder, env=pulled.environment(), capture_output=True, text=True, check=False)
    assert done.returncode in (1, 2, 3), done.stdout + done.stderr
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr
    assert mend in done.stderr
    assert [path.name for path in tmp_path.glob("out/*")] == left
    assert list(tmp_path.glob("out/.*")) == []


def test_a_full_disk_leaves_no_half_image(pulled: Yard, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    say("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small)
    try:
        for arguments in (["--oci", f"{small}/image"], ["--oci", f"{small}/image.tar"], [f"{small}/pantry"]):
            done = pulled.run("bake", *arguments)
            assert done.returncode == 3, done.stdout + done.stderr
            assert "bytes free" in done.stderr
            assert list(small.iterdir()) == []
    finally:
        say("umount", small)
