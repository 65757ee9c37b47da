"""Packed weights in the store: whose model no known lock has goes, and where a lock cannot be read all stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hardtack.cli import cli
from hardtack.places import Store, pack_prefix
from hardtack.spec.digest import tree_digest
from hardtack.spec.lock import Lock, LockedFile, LockedModel
from hardtack.spec.lock_text import write_lock
from hardtack.spec.words import Task
from hardtack.supply.prune import prunable, prune
from hardtack.supply.registry import remember
from hardtack.supply.usage import usage


def model(number: int) -> LockedModel:
    file = LockedFile("config.json", 2, f"{number}" * 64)
    digest = tree_digest([(file.path, file.sha256)])
    return LockedModel("emb", Task.EMBED, "./emb", source="local", digest=digest, files=(file,))


def pack(store: Store, of: LockedModel, *, front: str = "", end: str = ".tiles") -> Path:
    store.packs.mkdir(parents=True, exist_ok=True)
    path = store.packs / f"{front}{pack_prefix(of.digest)}{'a' * 32}{end}"
    path.write_bytes(b"12345")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that a project uses, whose lock has model 1."""
    store = Store(tmp_path / "hf/hub", tmp_path / "hf/hardtack")
    lock = Lock("", (model(1),))
    (tmp_path / "project").mkdir()
    write_lock(lock, tmp_path / "project/hardtack.lock")
    remember(store, lock, tmp_path / "project/hardtack.lock")
    return store


def test_packs_of_models_that_no_lock_has_go(store: Store) -> None:
    mine, other = pack(store, model(1)), pack(store, model(2))
    former = store.packs / f"{'b' * 32}.tiles"
    former.write_bytes(b"123")
    cut_off = pack(store, model(1), front=".", end=".tiles.0123456789abcdef.new")
    assert {file.path for file in usage(store).packs} == {mine, other, former, cut_off}
    shown = prunable(store)
    assert {file.path for file in shown.packs} == {other, former, cut_off}
    assert shown.freed == 13
    assert prune(store) == shown
    assert list(store.packs.iterdir()) == [mine]
    assert prunable(store).packs == ()


@pytest.mark.parametrize("harm", ["unclear", "gone"])
def test_where_a_lock_cannot_be_read_all_packs_stay(harm: str, store: Store, tmp_path: Path) -> None:
    other = pack(store, model(2))
    lock = tmp_path / "project/hardtack.lock"
    lock.unlink()
    if harm == "gone":
        lock.parent.rmdir()
    assert prune(store).packs == ()
    assert other.exists()
    if harm == "gone":
        assert [file.path for file in prune(store, gone=True).packs] == [other]


def test_a_store_without_packs(tmp_path: Path) -> None:
    store = Store(tmp_path / "hub", tmp_path / "own")
    assert (usage(store).packs, prunable(store).packs) == ((), ())


def test_the_command_line_lists_and_sweeps_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    other = pack(store, model(2))
    monkeypatch.setenv("HF_HOME", str(store.hub.parent))
    ask = CliRunner().invoke
    assert "5 B packed for the native engine" in ask(cli, ["cache"]).output
    assert json.loads(ask(cli, ["cache", "--json"]).stdout)["packs"] == [{"path": str(other), "size": 5}]
    assert "packed weights" in ask(cli, ["cache", "prune"]).output
    assert json.loads(ask(cli, ["cache", "prune", "--yes", "--json"]).stdout)["packs"] == [str(other)]
    assert not other.exists()
