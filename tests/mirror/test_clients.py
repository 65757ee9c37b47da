"""The clients themselves: huggingface_hub and the ``hf`` command, in processes of their own with the endpoint set."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from hardtack.mirror import Served
from tests.hub import FixtureHub, client_environment, lay_out

from .conftest import FILES

COMMIT = "a" * 40


@pytest.fixture
def hub(folder: Path, tmp_path: Path) -> Iterator[FixtureHub]:
    old = lay_out(tmp_path / "old", {"config.json": "old"})
    with FixtureHub(
        Served("org/tiny", folder, commit=COMMIT),
        Served("org/tiny", old, refs=("refs/pr/1", "refs/tags/v1")),
        Served("bare", folder),
        Served("org/gated", folder, gated=True),
        page_size=3,
    ) as hub:
        yield hub


def run(hub: FixtureHub, home: Path, *command: str, **extra: str) -> subprocess.CompletedProcess[str]:
    environment = client_environment(hub.url, home) | extra
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def python(hub: FixtureHub, home: Path, code: str, **extra: str) -> Any:
    """What a program prints as JSON; a warning in it is an error."""
    done = run(hub, home, sys.executable, "-W", "error", "-c", dedent(code), **extra)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def hf(hub: FixtureHub, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(hub, home, str(Path(sys.executable).with_name("hf")), *arguments)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


EXPECTED = {path: data.encode() if isinstance(data, str) else data for path, data in FILES.items()}


def test_snapshot_download(hub: FixtureHub, tmp_path: Path) -> None:
    code = """
        import json
        from huggingface_hub import snapshot_download
        asked = (("org/tiny", None), ("org/tiny", "refs/pr/1"), ("bare", "main"))
        print(json.dumps([snapshot_download(repo, revision=revision) for repo, revision in asked]))
    """
    whole, old, bare = (Path(each) for each in python(hub, tmp_path / "home", code))
    assert whole.name == COMMIT
    assert contents(whole) == contents(bare) == EXPECTED
    assert contents(old) == {"config.json": b"old"}
    hub.forget()
    python(hub, tmp_path / "home", code)
    assert [each.path for each in hub.seen] == [
        "/api/models/org/tiny/revision/main",
        "/api/models/org/tiny/revision/refs/pr/1",
        "/api/models/bare/revision/main",
    ]


def test_the_api(hub: FixtureHub, tmp_path: Path) -> None:
    code = """
        import json
        from huggingface_hub import HfApi, hf_hub_download
        from huggingface_hub.errors import (
            GatedRepoError, RemoteEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
        )
        api = HfApi()

        def fails(kind, call, *arguments, **named):
            try:
                call(*arguments, **named)
            except kind as error:
                return type(error).__name__
            raise SystemExit(f"no {kind}")

        info = api.model_info("org/tiny", files_metadata=True, securityStatus=True)
        refs = api.list_repo_refs("org/tiny", include_pull_requests=True)
        print(json.dumps({
            "sha": info.sha,
            "license": info.card_data.license,
            "lfs": [[s.rfilename, s.lfs.sha256, s.size] for s in info.siblings if s.lfs],
            "expanded": api.model_info("org/tiny", expand=["sha", "tags"]).sha,
            "tree": [entry.path for entry in api.list_repo_tree("org/tiny", recursive=True)],
            "sub": [entry.path for entry in api.list_repo_tree("org/tiny", "deep/er", revision="main")],
            "files": api.list_repo_files("org/tiny", revision="v1"),
            "paths": [entry.path for entry in api.get_paths_info("org/tiny", ["deep", "config.json", "none"])],
            "branches": [ref.name for ref in refs.branches], "tags": [ref.name for ref in refs.tags],
            "prs": [ref.ref for ref in refs.pull_requests],
            "commits": [commit.commit_id for commit in api.list_repo_commits("org/tiny")],
            "models": [model.id for model in api.list_models(author="org")],
            "found": [model.id for model in api.list_models(search="bar", limit=1)],
            "exists": [api.repo_exists("bare"), api.repo_exists("org/none"), api.file_exists("bare", "config.json")],
            "file": open(hf_hub_download("org/tiny", "deep/er/notes.txt")).read(),
            "errors": [
                fails(RepositoryNotFoundError, hf_hub_download, "org/none", "x"),
                fails(RevisionNotFoundError, hf_hub_download, "org/tiny", "config.json", revision="none"),
                fails(RemoteEntryNotFoundError, hf_hub_download, "org/tiny", "none"),
                fails(GatedRepoError, hf_hub_download, "org/gated", "config.json"),
                fails(GatedRepoError, api.auth_check, "org/gated"),
            ],
        }))
    """
    said = python(hub, tmp_path / "home", code)
    revision = hub.content.repos["org/tiny"].revisions[COMMIT]
    weights = revision.files["model.safetensors"]
    assert said == {
        "sha": COMMIT,
        "license": "apache-2.0",
        "lfs": [["model.safetensors", weights.sha256, weights.size]],
        "expanded": COMMIT,
        "tree": sorted([*FILES, "1_Pooling", "deep", "deep/er"]),
        "sub": ["deep/er/notes.txt"],
        "files": ["config.json"],
        "paths": ["deep", "config.json"],
        "branches": ["main"],
        "tags": ["v1"],
        "prs": ["refs/pr/1"],
        "commits": [COMMIT],
        "models": ["org/gated", "org/tiny"],
        "found": ["bare"],
        "exists": [True, False, True],
        "file": "notes\n",
        "errors": [
            "RepositoryNotFoundError",
            "RevisionNotFoundError",
            "RemoteEntryNotFoundError",
            "GatedRepoError",
            "GatedRepoError",
        ],
    }
    # The missing file is remembered as missing, which needs the commit on the error.
    assert (tmp_path / "home/hf/hub/models--org--tiny/.no_exist" / COMMIT / "none").is_file()


def test_a_token(folder: Path, tmp_path: Path) -> None:
    code = """
        import json
        from huggingface_hub import HfApi, hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError
        try:
            print(json.dumps([open(hf_hub_download("org/gated", "modules.json")).read(), HfApi().whoami()["name"]]))
        except HfHubHTTPError as error:
            print(json.dumps([type(error).__name__, error.response.status_code]))
    """
    with FixtureHub(Served("org/gated", folder, gated=True), token="hf_right") as hub:
        assert python(hub, tmp_path / "1", code) == ["RepositoryNotFoundError", 401]
        assert python(hub, tmp_path / "2", code, HF_TOKEN="hf_wrong") == ["HfHubHTTPError", 401]
        assert python(hub, tmp_path / "3", code, HF_TOKEN="hf_right") == ["[]", "mirror"]


def test_the_hf_command(hub: FixtureHub, tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = hf(hub, home, "download", "org/tiny", "--quiet")
    assert done.returncode == 0, done.stderr
    assert contents(home / "hf/hub/models--org--tiny/snapshots" / COMMIT) == EXPECTED
    verified = hf(hub, home, "cache", "verify", "org/tiny")
    assert verified.returncode == 0, verified.stderr
    assert f"Verified {len(FILES)} file" in verified.stdout + verified.stderr

    local = hf(hub, home, "download", "bare", "config.json", "--local-dir", str(tmp_path / "local"))
    assert local.returncode == 0, local.stderr
    assert (tmp_path / "local/config.json").read_bytes() == EXPECTED["config.json"]

    missing = hf(hub, home, "download", "org/none")
    assert missing.returncode == 1
    assert "'org/none' not found" in missing.stderr


def test_hf_cache_verify_sees_a_changed_byte(hub: FixtureHub, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert hf(hub, home, "download", "org/tiny").returncode == 0
    weights = home / "hf/hub/models--org--tiny/snapshots" / COMMIT / "model.safetensors"
    weights.write_bytes(bytes(weights.stat().st_size))
    assert hf(hub, home, "cache", "verify", "org/tiny").returncode == 1
