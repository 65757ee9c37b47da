from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hardtack.bake.answers import Answers
from hardtack.bake.oci import Image, push_image, write_image
from hardtack.bake.oci_base import Base, digest_of, find_base
from hardtack.bake.oci_layer import Entry, layer
from hardtack.bake.oci_store import read_blob
from hardtack.bake.reference import Reference
from hardtack.bake.registry import Registry
from hardtack.bake.registry_auth import Credentials
from hardtack.bake.stock import Shape, Stock, take_stock
from hardtack.errors import AccessDenied, DiskError, HubUnreachable, Mismatch, Misused
from hardtack.offline.prove import check_pantry
from tests.bake.registry import FakeRegistry
from tests.voyage import Voyage


@pytest.fixture(scope="module")
def voyage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voyage]:
    with Voyage(tmp_path_factory.mktemp("voyage")) as voyage:
        voyage.project.lock()
        voyage.project.pull()
        yield voyage


@pytest.fixture(scope="module")
def stock(voyage: Voyage) -> Stock:
    lock = voyage.project.current()
    return take_stock(lock, voyage.project.origins(lock), Shape(whole_image=True), Answers(None))


def blob(image: Image, digest: str) -> bytes:
    return b"".join(read_blob(image.out, digest))


def manifest(image: Image) -> dict[str, Any]:
    value = json.loads(image.manifest)
    assert isinstance(value, dict)
    return value


def config(image: Image) -> dict[str, Any]:
    value = json.loads(blob(image, image.config.digest))
    assert isinstance(value, dict)
    return value


def unpack(image: Image, where: Path) -> Path:
    for each in image.layers:
        with tarfile.open(fileobj=io.BytesIO(blob(image, each.digest))) as tar:
            tar.extractall(where, filter="tar")
    return where


def registry_of(text: str, credentials: Credentials | None = None) -> Registry:
    return Registry(Reference.parse(text), credentials=lambda _: credentials, pause=lambda _: None, timeout=5)


def a_base(folder: Path) -> Path:
    """An OCI layout of one packed layer, as a base image has them."""
    data = b"".join(layer([Entry("etc/os-release", 3, lambda: [b"ID\n"])]))
    packed = gzip.compress(data, mtime=0)
    inner = {"Env": ["PATH=/bin", "HARDTACK_PANTRY=/old"], "User": "1000", "Cmd": ["sh"]}
    settings = json.dumps({
        "architecture": "arm64", "os": "linux", "config": inner, "history": [{"created_by": "a person"}],
        "rootfs": {"type": "layers", "diff_ids": [digest_of(data)]},
    }).encode()  # fmt: skip
    rows = [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "digest": digest_of(packed),
             "size": len(packed)}]  # fmt: skip
    text = json.dumps({"schemaVersion": 2, "layers": rows,
                       "config": {"digest": digest_of(settings), "size": len(settings)}}).encode()  # fmt: skip
    (folder / "blobs/sha256").mkdir(parents=True)
    for each in (packed, settings, text):
        (folder / "blobs/sha256" / hashlib.sha256(each).hexdigest()).write_bytes(each)
    (folder / "index.json").write_text(json.dumps({"manifests": [{"digest": digest_of(text)}]}))
    return folder


def test_a_layer_is_these_very_bytes() -> None:
    # a constant, so that another Python or another hand on the headers does not change every image unseen
    long = "m/" + "x" * 120 + "/" + "y" * 200
    data = b"".join(layer([Entry("m/b", 3, lambda: [b"abc"]), Entry("m/a", 0, list), Entry(long, 1, lambda: [b"z"])]))
    assert hashlib.sha256(data).hexdigest() == "1bbb617447440e8cab18b02b94363065db03c24cbfad477d4214d51e08a6b547"
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == ["m", "m/a", "m/b", long.rpartition("/")[0], long]
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in tar} == {(0, 0, 0, "", "")}
        assert {m.mode for m in tar if m.isdir()} == {0o755}
        assert {m.mode for m in tar if m.isfile()} == {0o444}


def test_an_image_is_a_pantry_with_a_layer_for_each_model(stock: Stock, tmp_path: Path) -> None:
    image = write_image(stock, tmp_path / "image", base=Base())
    assert [each.what for each in image.layers] == ["classify", "emb", "rerank", "static", "lock"]
    assert config(image)["rootfs"]["diff_ids"] == [each.digest for each in image.layers]
    assert check_pantry(unpack(image, tmp_path / "root") / "models").good
    said = config(image)["config"]["Labels"]
    assert said["hardtack.digest"] == stock.digest
    emb = stock.lock.find("emb")
    assert (said["emb.model"], said["emb.commit"], said["emb.digest"]) == ("tiny/bert", emb.commit, emb.digest)
    assert config(image)["config"]["Env"] == ["HARDTACK_PANTRY=/models"]
    assert image.digest == digest_of(image.manifest)
    for row in (manifest(image)["config"], *manifest(image)["layers"]):
        assert (digest_of(blob(image, row["digest"])), len(blob(image, row["digest"]))) == (row["digest"], row["size"])


def test_the_same_models_are_the_same_image_in_any_year_and_folder(voyage: Voyage, tmp_path: Path) -> None:
    _, first = voyage.project.image(tmp_path / "first")
    for path in sorted(voyage.root.rglob("*")):
        if path.is_file():
            os.utime(path, (1_000_000_000, 1_000_000_000))
    before = os.umask(0o077)
    try:
        _, second = voyage.project.image(tmp_path / "deep/down/second.tar", tag="127.0.0.1:1/m:2")
    finally:
        os.umask(before)
    assert first.digest == second.digest
    assert [each.digest for each in first.layers] == [each.digest for each in second.layers]
    assert (voyage.folder / "hardtack.golden").is_file()


def test_a_tar_is_a_layout_and_what_docker_saves(stock: Stock, tmp_path: Path) -> None:
    image = write_image(stock, tmp_path / "image.tar", base=Base(), tag="example.org/models:1")
    with tarfile.open(image.out) as tar:
        names = tar.getnames()
        assert len(names) == len(set(names))
        tar.extractall(tmp_path / "out", filter="data")
    docker = json.loads((tmp_path / "out/manifest.json").read_bytes())
    assert docker[0]["RepoTags"] == ["example.org/models:1"]
    assert len(docker[0]["Layers"]) == 5
    assert all((tmp_path / "out" / path).is_file() for path in (docker[0]["Config"], *docker[0]["Layers"]))
    index = json.loads((tmp_path / "out/index.json").read_bytes())
    assert index["manifests"][0]["digest"] == image.digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.tar", "out"]


def test_models_are_laid_on_a_base(stock: Stock, tmp_path: Path) -> None:
    base = find_base(str(a_base(tmp_path / "base")), "linux/amd64")
    image = write_image(stock, tmp_path / "image", base=base)
    said = config(image)
    assert said["architecture"] == "arm64"  # the base knows
    assert said["config"]["User"] == "1000"
    assert said["config"]["Env"] == ["PATH=/bin", "HARDTACK_PANTRY=/models"]
    assert len(said["rootfs"]["diff_ids"]) == len(manifest(image)["layers"]) == 6
    assert manifest(image)["layers"][0]["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    alone = write_image(stock, tmp_path / "alone", base=Base())
    assert image.layers[1:] == alone.layers  # shared by every base


def test_a_second_image_of_the_same_model_sends_no_model(stock: Stock, tmp_path: Path) -> None:
    first = write_image(stock, tmp_path / "first", base=Base())
    second = write_image(stock, tmp_path / "second", base=find_base(str(a_base(tmp_path / "base")), "linux/amd64"))
    with FakeRegistry() as registry:
        name = f"{registry.host}/models:1"
        assert push_image(first, Reference.parse(name), registry_of(name)) == (first.size + first.config.size, 0)
        sent, there = push_image(second, Reference.parse(name), registry_of(name))
        assert (sent, there) == (second.layers[0].size + second.config.size, first.size)
        assert registry.manifests["models", "1"] == second.manifest


def test_a_base_of_a_registry_is_pulled_by_digest_and_mounted(stock: Stock, tmp_path: Path) -> None:
    folder = a_base(tmp_path / "base")
    with FakeRegistry() as registry:
        digest = json.loads((folder / "index.json").read_bytes())["manifests"][0]["digest"]
        for path in (folder / "blobs/sha256").iterdir():
            registry.blobs["os/slim", f"sha256:{path.name}"] = path.read_bytes()
        text = (folder / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()
        index = json.dumps({
            "manifests": [{"digest": digest, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}}],
        }).encode()  # fmt: skip
        registry.manifests["os/slim", digest] = text
        registry.manifests["os/slim", digest_of(index)] = index
        ref = f"{registry.host}/os/slim@{digest_of(index)}"
        base = find_base(ref, "linux/arm64/v8", lambda reference: registry_of(str(reference)))
        image = write_image(stock, tmp_path / "image", base=base)
        said = manifest(image)["annotations"]
        assert said["org.opencontainers.image.base.digest"] == digest
        name = f"{registry.host}/app/models:2"
        sent, there = push_image(image, Reference.parse(name), registry_of(name))
        assert there == image.layers[0].size
        assert sent == image.size - there + image.config.size
        assert any("mount=" in line for line in registry.seen)
        with pytest.raises(Misused, match="platform") as refused:
            find_base(ref, "linux/s390x", lambda reference: registry_of(str(reference)))
        assert refused.value.found == "linux/arm64/v8"
        with pytest.raises(Misused) as refused:
            find_base(f"{registry.host}/os/slim@{digest_of(b'')}", "linux/amd64", lambda r: registry_of(str(r)))
        assert "MANIFEST_UNKNOWN" in refused.value.found
        registry.blobs["os/slim", base.layers[0]["digest"]] = b"other bytes"
        with pytest.raises(Mismatch):
            write_image(stock, tmp_path / "other", base=base)
    assert not (tmp_path / "other").exists()


def test_a_registry_learns_who_asks(stock: Stock, tmp_path: Path) -> None:
    image = write_image(stock, tmp_path / "image", base=Base())
    with FakeRegistry(token="pass") as registry:
        name = f"{registry.host}/models:1"
        push_image(image, Reference.parse(name), registry_of(name, Credentials("me", "secret")))
        assert ("models", "1") in registry.manifests
        assert sum(line.startswith("GET /token") for line in registry.seen) == 2  # to pull, and to push
        with pytest.raises(AccessDenied) as refused:
            push_image(image, Reference.parse(name), registry_of(name))
        assert refused.value.mend == f"docker login {registry.host}"
    assert "secret" not in repr(Credentials("me", "secret"))


@pytest.mark.parametrize(("trouble", "error"), [({"refuse": 403}, AccessDenied), ({"refuse": 507}, HubUnreachable),
                                                ({"broken": 9}, HubUnreachable)])  # fmt: skip
def test_a_registry_that_refuses_is_one_error(
    stock: Stock, tmp_path: Path, trouble: dict[str, int], error: type[Exception]
) -> None:
    image = write_image(stock, tmp_path / "image", base=Base())
    with FakeRegistry(**trouble) as registry:  # type: ignore[arg-type]
        name = f"{registry.host}/models:1"
        with pytest.raises(error):
            push_image(image, Reference.parse(name), registry_of(name))
        assert registry.manifests == {}  # nothing names what is not there whole


def test_an_upload_that_breaks_off_is_begun_anew(stock: Stock, tmp_path: Path) -> None:
    image = write_image(stock, tmp_path / "image", base=Base())
    with FakeRegistry(broken=2) as registry:
        name = f"{registry.host}/models:1"
        push_image(image, Reference.parse(name), registry_of(name))
        assert registry.manifests["models", "1"] == image.manifest


def test_nobody_at_home_is_one_error(stock: Stock, tmp_path: Path) -> None:
    image = write_image(stock, tmp_path / "image", base=Base())
    with FakeRegistry() as registry:
        name = f"{registry.host}/models:1"
    with pytest.raises(HubUnreachable) as refused:
        push_image(image, Reference.parse(name), registry_of(name))
    assert "/v2/" in refused.value.mend


@pytest.mark.parametrize("out", ["image", "image.tar"])
def test_a_file_that_changed_leaves_no_half_image(stock: Stock, tmp_path: Path, out: str) -> None:
    before = write_image(stock, tmp_path / out, base=Base())
    wrong = [replace(item, file=replace(item.file, sha256="0" * 64)) for item in stock.aboard[1].items]
    spoilt = replace(stock, aboard=(stock.aboard[0], replace(stock.aboard[1], items=tuple(wrong))))
    with pytest.raises(Mismatch) as refused:
        write_image(spoilt, tmp_path / out, base=Base())
    assert refused.value.mend == "hardtack pull"
    assert [path.name for path in tmp_path.iterdir()] == [out]
    assert digest_of(blob(before, before.digest)) == before.digest  # the old one is whole


def test_no_space_is_said_before_the_first_byte(stock: Stock, tmp_path: Path) -> None:
    with pytest.raises(DiskError) as refused:
        write_image(stock, tmp_path / "image", base=Base(), free=lambda _: 10)
    assert refused.value.found == "10 bytes free"
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_image_is_never_replaced(stock: Stock, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("mine")
    (tmp_path / "folder.tar").mkdir()
    for out in ("mine", "folder.tar"):
        with pytest.raises(Misused):
            write_image(stock, tmp_path / out, base=Base())
    assert (tmp_path / "mine/file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.tar", "mine"]


@pytest.mark.parametrize("text", ["python:3.12", "example.org/a", "./nowhere", "/nowhere", "EXAMPLE/a@sha256:0"])
def test_an_unknown_base_is_one_error(text: str) -> None:
    with pytest.raises(Misused) as refused:
        find_base(text, "linux/amd64")
    assert refused.value.mend


@pytest.mark.parametrize(
    ("text", "origin", "name"),
    [
        ("python:3.12", "https://registry-1.docker.io", "library/python"),
        ("localhost/a", "http://localhost", "a"),
        ("127.0.0.1:5000/a/b:1", "http://127.0.0.1:5000", "a/b"),
        ("[::1]:5000/a", "http://[::1]:5000", "a"),
        ("example.org/a/b", "https://example.org", "a/b"),
        ("127.0.0.1.example.org/a", "https://127.0.0.1.example.org", "a"),
    ],
)
def test_plain_http_is_for_loopback_alone(text: str, origin: str, name: str) -> None:
    reference = Reference.parse(text)
    assert (reference.origin, reference.name) == (origin, name)


@pytest.mark.parametrize("text", ["", "Upper/a", "a b", "example.org/../a", "example.org/a:", "a@sha256:1", "a:b/c"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(Misused):
        Reference.parse(text)
