"""A store to another disk: all of it there, compared, and only then gone from here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from hardtack.errors import DiskError, Mismatch, Misused
from hardtack.places import Store
from hardtack.spec.lock import Lock
from hardtack.supply import move as module
from hardtack.supply.hub import Hub
from hardtack.supply.move import move
from hardtack.supply.pull import pull
from hardtack.supply.report import State
from hardtack.supply.store import Shelf
from tests.hub import FixtureHub, lay_out
from tests.supply.conftest import CHOSEN, REPO, WEIGHTS, Heard, everything


@pytest.fixture
def full(lock: Lock, store: Store, hub: Hub) -> Store:
    pull(lock, store, hub)
    lay_out(store.own, {"pins/a.lock": "a pin"})
    return store


def test_all_of_it_and_nothing_is_left(
    full: Store, lock: Lock, hub: Hub, fixture_hub: FixtureHub, tmp_path: Path, heard: Heard
) -> None:
    links = sorted(path.relative_to(full.hub) for path in full.hub.rglob("*") if path.is_symlink())
    moved = move(full, tmp_path / "disk", progress=heard)
    assert (moved.store, moved.left) == (Store(tmp_path / "disk/hub", tmp_path / "disk/hardtack"), ())
    assert not full.hub.exists()
    assert not full.own.exists()
    assert (
        sorted(path.relative_to(moved.store.hub) for path in moved.store.hub.rglob("*") if path.is_symlink()) == links
    )
    assert (moved.store.own / "pins/a.lock").read_text() == "a pin"
    assert not (tmp_path / "disk/.hardtack-moving").exists()
    assert sum(heard.done.values()) == moved.bytes
    fixture_hub.forget()
    assert pull(lock, moved.store, hub).count(State.THERE) == len(CHOSEN)
    assert fixture_hub.count() == 0


def test_shared_blobs_and_several_names_of_a_file_stay_what_they_are(full: Store, lock: Lock, tmp_path: Path) -> None:
    shelf = Shelf(full, REPO)
    blob = shelf.blob("", next(file.sha256 for file in lock.models[0].files if file.path == "model.safetensors"))
    shared = full.hub / "blobs" / "ab" / ("ab" + "0" * 62)
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(os.path.relpath(shared, blob.parent))
    os.link(shared, full.hub / "another name")
    move(full, tmp_path / "disk")
    new = Store(tmp_path / "disk/hub", tmp_path / "disk/hardtack")
    there = new.snapshot(REPO, lock.models[0].commit) / "model.safetensors"
    assert there.read_bytes() == WEIGHTS
    assert there.resolve() == new.hub / shared.relative_to(full.hub)
    assert (new.hub / "another name").samefile(there)


def test_a_link_that_leads_out_becomes_what_it_leads_to(full: Store, tmp_path: Path) -> None:
    lay_out(tmp_path / "outside", {"file": "content"})
    (full.hub / "absolute").symlink_to(tmp_path / "outside" / "file")
    (full.hub / "dangling").symlink_to("nothing")
    move(full, tmp_path / "disk")
    copy = tmp_path / "disk/hub/absolute"
    assert not copy.is_symlink()
    assert copy.read_text() == "content"
    assert (tmp_path / "disk/hub/dangling").readlink() == Path("nothing")
    assert (tmp_path / "outside/file").exists()


def test_a_copy_that_reads_differently_loses_nothing(
    full: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(full.hub)
    true = shutil.copy2

    def damaging(source: Path, target: Path) -> None:
        true(source, target)
        if Path(target).stat().st_size == len(WEIGHTS):
            with Path(target).open("r+b") as file:
                file.write(b"\x00damage")

    monkeypatch.setattr(shutil, "copy2", damaging)
    with pytest.raises(Mismatch, match="nothing was removed"):
        move(full, tmp_path / "disk")
    assert everything(full.hub) == before
    monkeypatch.undo()
    assert move(full, tmp_path / "disk").left == ()


def test_a_move_that_was_cut_off_goes_on(full: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = everything(full.hub)
    copied: list[Path] = []
    true = shutil.copy2

    def cut(source: Path, target: Path) -> None:
        copied.append(source)
        if len(copied) == 4:
            raise OSError(28, "No space left on device")
        true(source, target)

    monkeypatch.setattr(shutil, "copy2", cut)
    with pytest.raises(DiskError):
        move(full, tmp_path / "disk")
    assert everything(full.hub) == before
    again: list[Path] = []

    def noted(source: Path, target: Path) -> None:
        again.append(source)
        true(source, target)

    monkeypatch.setattr(shutil, "copy2", noted)
    move(full, tmp_path / "disk")
    assert set(again).isdisjoint(copied[:3])
    assert not full.hub.exists()


def test_what_came_meanwhile_stays(full: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = module._copy

    def copy(*arguments: object) -> None:
        true(*arguments)  # type: ignore[arg-type]
        (full.hub / "late").write_text("late")

    monkeypatch.setattr(module, "_copy", copy)
    assert move(full, tmp_path / "disk").left == (full.hub / "late",)
    assert (full.hub / "late").read_text() == "late"


def test_places_that_will_not_do(full: Store, tmp_path: Path) -> None:
    lay_out(tmp_path / "disk", {"mine": "x"})
    for target, expected in ((tmp_path / "disk", "empty"), (full.hub / "within", "outside")):
        with pytest.raises(Misused) as caught:
            move(full, target)
        assert expected in caught.value.expected
    with pytest.raises(Misused, match="no store"):
        move(Store(tmp_path / "none", tmp_path / "none-own"), tmp_path / "new")
    with pytest.raises(DiskError, match="free space"):
        move(full, tmp_path / "new", free=lambda _: 100)
    assert full.hub.exists()
