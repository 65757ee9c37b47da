"""Packing: the same bytes wherever it is done, and never a file that is not as locked."""

from __future__ import annotations

import io
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hardtack.errors import DiskError, LockError, Mismatch, Refused, UnknownModel
from hardtack.places import Store
from hardtack.spec.digest import hash_bytes, tree_digest
from hardtack.spec.lock import Lock, LockedBuild, LockedFile, LockedModel
from hardtack.spec.lock_text import render_lock
from hardtack.spec.words import Precision, Task
from hardtack.supply.archive import archive_lock, entries_of
from hardtack.supply.archive_pack import pack, pack_file
from hardtack.supply.archive_stage import hold
from hardtack.supply.hub import Hub
from hardtack.supply.pull import pull
from tests.hub import lay_out
from tests.supply.conftest import CHOSEN, REPO, Heard


def packed(lock: Lock, store: Store, folder: Path, *select: str) -> bytes:
    out = io.BytesIO()
    assert pack(lock, store, folder, out, select=select).bytes == len(out.getvalue())
    return out.getvalue()


@pytest.fixture
def pulled(lock: Lock, store: Store, hub: Hub) -> Store:
    pull(lock, store, hub)
    return store


def test_the_same_to_the_byte(lock: Lock, pulled: Store, hub: Hub, tmp_path: Path) -> None:
    """Other store, other order of arrival, other umask, other times: the same archive."""
    other = Store(tmp_path / "other" / "hub", tmp_path / "other" / "own")
    former = os.umask(0o077)
    try:
        pull(lock, other, hub)
        for path in other.hub.rglob("*.json"):
            os.utime(path, (1, 1))
        again = packed(lock, other, tmp_path)
        pack_file(lock, other, tmp_path, tmp_path / "a.tar")
    finally:
        os.umask(former)
    assert packed(lock, pulled, tmp_path) == again == (tmp_path / "a.tar").read_bytes()


def test_without_hardtack_it_is_a_hub_cache_and_its_digest_is_the_locks(
    lock: Lock, pulled: Store, tmp_path: Path
) -> None:
    done = pack_file(lock, pulled, tmp_path, tmp_path / "a.tar")
    subprocess.run(["tar", "xf", "a.tar"], cwd=tmp_path, check=True)
    laid = Store(tmp_path, tmp_path).snapshot(REPO, lock.models[0].commit)
    assert {str(path.relative_to(laid)) for path in laid.rglob("*") if path.is_file()} == {*CHOSEN}
    said = subprocess.run(["sha256sum", "hardtack.lock"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.digest == f"sha256:{said.stdout.split()[0]}"
    assert (done.files, done.models) == (len(CHOSEN), ("emb",))


def test_only_what_was_chosen(lock: Lock, tmp_path: Path) -> None:
    two = lock.with_model(replace(lock.models[0], key="other", repo="org/other"))
    two = two.with_model(LockedModel("llm", Task.EXTERNAL, note="elsewhere"))
    assert [model.key for model in archive_lock(two, ["other"]).models] == ["other"]
    assert archive_lock(two).models == two.models, "all of it is the lock itself, so the digest is the lock's"
    with pytest.raises(UnknownModel):
        archive_lock(two, ["nobody"])


@pytest.mark.parametrize("damage", ["changed", "longer", "missing"])
def test_what_is_not_as_locked_is_not_packed(lock: Lock, pulled: Store, tmp_path: Path, damage: str) -> None:
    path = pulled.snapshot(REPO, lock.models[0].commit) / "config.json"
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[::-1] if damage == "changed" else content + b"x")
    with pytest.raises(Mismatch) as caught:
        pack_file(lock, pulled, tmp_path, tmp_path / "a.tar")
    assert caught.value.mend == "hardtack pull"
    assert sorted(tmp_path.glob(".*")) + sorted(tmp_path.glob("a.tar")) == []


def test_what_a_killed_one_left_is_removed(lock: Lock, pulled: Store, tmp_path: Path) -> None:
    """A file that nobody holds; one that somebody packs still, and whatever else is there, stays."""
    left, held, other = (tmp_path / f".{name}.packing" for name in ("a[1].tar.dead", "a[1].tar.alive", "b.tar.dead"))
    for path in (left, held, other):
        path.write_bytes(b"half")
    with held.open("rb") as somebody:
        assert hold(somebody.fileno())
        pack_file(lock, pulled, tmp_path, tmp_path / "a[1].tar")
    assert [path.exists() for path in (left, held, other)] == [False, True, True]


def test_a_full_disk_is_said_before_the_first_byte(lock: Lock, pulled: Store, tmp_path: Path) -> None:
    with pytest.raises(DiskError):
        pack_file(lock, pulled, tmp_path, tmp_path / "a.tar", free=lambda _: 1000)
    assert not (tmp_path / "a.tar").exists()


def test_two_models_of_one_repository_are_carried_once(lock: Lock, pulled: Store, tmp_path: Path) -> None:
    twice = lock.with_model(replace(lock.models[0], key="again"))
    entries = entries_of(twice)
    assert len(entries) == len(CHOSEN)
    assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
    assert len(packed(twice, pulled, tmp_path)) < len(packed(lock, pulled, tmp_path)) + 4096


def test_two_models_that_disagree(lock: Lock) -> None:
    model = lock.models[0]
    wrong = tuple(replace(file, sha256="0" * 64) for file in model.files)
    with pytest.raises(LockError):
        entries_of(lock.with_model(replace(model, key="again", files=wrong)))


def local(repo: str, path: str = "config.json", content: bytes = b"{}") -> LockedModel:
    hashes = hash_bytes(content)
    files = (LockedFile(path, hashes.size, hashes.sha256),)
    return LockedModel("mine", Task.FILES, repo, "local", digest=tree_digest([(path, hashes.sha256)]), files=files)


@pytest.mark.parametrize("repo", [".", "..", "../elsewhere", "./a/../../b", "./.git", "./a/.hidden", ".//a", "./a//b"])
def test_local_models_from_odd_places_are_refused(repo: str) -> None:
    with pytest.raises(Refused):
        entries_of(Lock("", (local(repo),)))


def test_local_files_that_belong_to_other_tools_are_refused() -> None:
    with pytest.raises(Refused):
        entries_of(Lock("", (local("./a", ".git/config"),)))


def test_local_models_that_would_lie_in_one_another(tmp_path: Path) -> None:
    inner = replace(local("./a/b", "c"), key="inner")
    assert [entry.name for entry in entries_of(Lock("", (local("./a", "b2/c"), inner)))] == [
        "local/a/b/c",
        "local/a/b2/c",
    ]
    with pytest.raises(LockError):
        entries_of(Lock("", (local("./a", "b"), inner)))


def test_builds_are_carried(lock: Lock, pulled: Store, tmp_path: Path) -> None:
    hashes = hash_bytes(b"graph")
    files = (LockedFile("hardtack/int8-1/model.xml", hashes.size, hashes.sha256),)
    build = LockedBuild("int8", Precision.INT8, "sha256:" + "0" * 64, files)
    lay_out(pulled.builds, {"int8-1/model.xml": b"graph"})
    text = packed(Lock("", (replace(lock.models[0], builds=(build,)),)), pulled, tmp_path)
    assert b"builds/int8-1/model.xml" in text


def test_progress_adds_up(lock: Lock, pulled: Store, tmp_path: Path, heard: Heard) -> None:
    pack(lock, pulled, tmp_path, io.BytesIO(), progress=heard)
    assert sum(heard.done.values()) == lock.models[0].size
    assert render_lock(lock)
