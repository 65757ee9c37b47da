"""The standard cache as it is written, and as huggingface_hub itself reads it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download
from huggingface_hub.file_download import _CACHED_NO_EXIST, try_to_load_from_cache
from hypothesis import given
from hypothesis import strategies as st

from hardtack.errors import Misused
from hardtack.places import Store
from hardtack.spec.hub_cache import PROBED
from hardtack.spec.lock import Lock, LockedFile
from hardtack.supply.hub import Hub
from hardtack.supply.pull import pull
from hardtack.supply.store import Found, Shelf, project_id, requested_ref
from tests.hub import FixtureHub, client_environment, lay_out
from tests.supply.conftest import CHOSEN, FILES, REPO, WEIGHTS


@pytest.fixture
def pulled(lock: Lock, store: Store, hub: Hub) -> Shelf:
    pull(lock, store, hub, project="ours-1")
    return Shelf(store, REPO)


def content(path: str) -> bytes:
    known = FILES[path]
    return known.encode() if isinstance(known, str) else known


def test_the_layout_is_the_standard_one(pulled: Shelf, lock: Lock, store: Store) -> None:
    model = lock.models[0]
    snapshot = pulled.snapshot(model.commit)
    assert snapshot == store.hub / "models--org--tiny" / "snapshots" / model.commit
    for file in model.files:
        pointer = snapshot / file.path
        up = "../" * (2 + file.path.count("/"))
        assert str(pointer.readlink()) == f"{up}blobs/{file.git or file.sha256}"
        assert pointer.read_bytes() == content(file.path)
    assert (pulled.root / "refs" / "main").read_bytes() == model.commit.encode()
    assert (pulled.root / "refs" / "hardtack" / "ours-1" / "emb").read_bytes() == model.commit.encode()
    assert (store.hub / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")
    assert [path for path in (pulled.root / "blobs").iterdir() if "." in path.name] == []


def test_everybody_may_read_it(lock: Lock, store: Store, hub: Hub) -> None:
    before = os.umask(0o077)
    try:
        pull(lock, store, hub)
    finally:
        os.umask(before)
    for path in store.hub.rglob("*"):
        if ".locks" not in path.parts and not path.is_symlink():
            wanted = 0o555 if path.is_dir() else 0o444
            assert stat.S_IMODE(path.stat().st_mode) & wanted == wanted, path


def test_the_tree_is_what_huggingface_hub_would_have_written_of_these_files(
    pulled: Shelf, lock: Lock, fixture_hub: FixtureHub, tmp_path: Path
) -> None:
    commit = lock.models[0].commit
    snapshot_download(REPO, endpoint=fixture_hub.url, cache_dir=tmp_path / "theirs")
    theirs = json.loads((tmp_path / "theirs" / "models--org--tiny" / "trees" / f"{commit}.json").read_text())
    ours = json.loads((pulled.root / "trees" / f"{commit}.json").read_text())
    assert ours["format_version"] == theirs["format_version"]
    assert ours["files"] == {path: theirs["files"][path] for path in CHOSEN}


def test_what_is_known_to_be_absent_is_marked(pulled: Shelf, lock: Lock, store: Store) -> None:
    commit = lock.models[0].commit
    marked = {path.name for path in (pulled.root / ".no_exist" / commit).iterdir()}
    assert marked == set(PROBED) - set(FILES)
    found = try_to_load_from_cache(REPO, "adapter_config.json", cache_dir=store.hub)
    assert found is _CACHED_NO_EXIST
    assert "modules.json" not in marked  # it is there


def test_huggingface_hub_finds_everything_offline(pulled: Shelf, lock: Lock, store: Store) -> None:
    for revision in ("main", lock.models[0].commit):
        folder = snapshot_download(REPO, revision=revision, cache_dir=store.hub, local_files_only=True)
        assert sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file()) == list(CHOSEN)
        for path in CHOSEN:
            found = hf_hub_download(REPO, path, revision=revision, cache_dir=store.hub, local_files_only=True)
            assert Path(found).read_bytes() == content(path)


def test_huggingface_hub_online_asks_nothing_of_a_pulled_commit(
    pulled: Shelf, lock: Lock, store: Store, fixture_hub: FixtureHub
) -> None:
    fixture_hub.forget()
    snapshot_download(REPO, revision=lock.models[0].commit, cache_dir=store.hub, endpoint=fixture_hub.url)
    assert fixture_hub.count() == 0


def test_a_prune_leaves_it_alone(pulled: Shelf, store: Store, tmp_path: Path) -> None:
    (pulled.root / "refs" / "main").unlink()  # as where a commit was asked for
    scanned = scan_cache_dir(store.hub)
    assert not scanned.warnings
    assert [revision.refs for repo in scanned.repos for revision in repo.revisions] == [{"hardtack/ours-1/emb"}]
    command: list[str | Path] = [
        Path(sys.executable).with_name("hf"),
        "cache",
        "prune",
        "--dry-run",
        "--cache-dir",
        store.hub,
    ]
    environment = client_environment("http://127.0.0.1:9", tmp_path / "home")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "Nothing to prune" in done.stdout


def test_a_copy_of_the_folder_is_whole(pulled: Shelf, lock: Lock, tmp_path: Path) -> None:
    shutil.copytree(pulled.root, tmp_path / "copy" / pulled.root.name, symlinks=True)
    copied = Shelf(Store(tmp_path / "copy", tmp_path), REPO)
    for file in lock.models[0].files:
        assert copied.look(lock.models[0].commit, file) is Found.RIGHT


def test_without_symlinks_it_is_plain_files(
    lock: Lock, store: Store, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    pull(lock, store, hub)
    model = lock.models[0]
    shelf = Shelf(store, REPO)
    for file in model.files:
        assert not (shelf.snapshot(model.commit) / file.path).is_symlink()
        assert shelf.look(model.commit, file) is Found.RIGHT
    monkeypatch.setattr(os, "link", refuse)
    weights = shelf.snapshot(model.commit) / "model.safetensors"
    weights.unlink()
    pull(lock, store, hub)
    assert weights.read_bytes() == WEIGHTS


def test_a_tree_keeps_what_others_pulled_if_it_is_there(pulled: Shelf, lock: Lock) -> None:
    commit = lock.models[0].commit
    tree = pulled.root / "trees" / f"{commit}.json"
    data = json.loads(tree.read_text())
    data["files"]["README.md"] = {"size": 3, "blob_id": "0" * 40}
    data["files"]["pytorch_model.bin"] = {"size": 3, "blob_id": "1" * 40}
    data["files"]["../../x"] = {"size": 3, "blob_id": "1" * 40}
    tree.write_text(json.dumps(data))
    lay_out(pulled.snapshot(commit), {"README.md": "abc"})
    pulled.finish(commit, lock.models[0].files, [])
    assert list(json.loads(tree.read_text())["files"]) == sorted([*CHOSEN, "README.md"])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format_version": 2}', '{"format_version": 1, "files": 3}'])
def test_a_tree_that_cannot_be_read_is_written_anew(pulled: Shelf, lock: Lock, text: str) -> None:
    commit = lock.models[0].commit
    tree = pulled.root / "trees" / f"{commit}.json"
    tree.write_text(text)
    pulled.finish(commit, lock.models[0].files, [])
    assert list(json.loads(tree.read_text())["files"]) == list(CHOSEN)


@pytest.mark.parametrize("ref", ["../../x", "/x", "a/../../x", "x\ny"])
def test_a_ref_stays_in_its_folder(pulled: Shelf, lock: Lock, ref: str) -> None:
    with pytest.raises(Misused):
        pulled.finish(lock.models[0].commit, lock.models[0].files, [ref])


def test_a_commit_is_no_ref() -> None:
    assert requested_ref("a" * 40) is None
    assert requested_ref("main") == "main"
    assert requested_ref("") is None


@given(st.text(alphabet="ab/. é\n-", min_size=1, max_size=30))
def test_project_ids_are_plain_and_differ(name: str) -> None:
    first, second = project_id(Path("/x", name, "hardtack.lock")), project_id(Path("/x", name + "y", "hardtack.lock"))
    assert first != second
    assert all(c.isascii() and (c.isalnum() or c == "-") for c in first)


def test_content_that_is_there_without_a_name(pulled: Shelf, lock: Lock) -> None:
    commit = lock.models[0].commit
    weights = next(file for file in lock.models[0].files if file.path == "model.safetensors")
    (pulled.snapshot(commit) / weights.path).unlink()
    assert pulled.look(commit, weights) is Found.LOOSE
    blob = pulled.blob("", weights.sha256)
    blob.write_bytes(b"x")
    assert pulled.look(commit, weights) is Found.WRONG
    blob.unlink()
    assert pulled.look(commit, weights) is Found.MISSING
    (pulled.snapshot(commit) / weights.path).symlink_to("../../blobs/gone")
    assert pulled.look(commit, weights) is Found.MISSING
    assert pulled.look(commit, LockedFile("config.json/x", 1, "0" * 64)) is Found.MISSING
