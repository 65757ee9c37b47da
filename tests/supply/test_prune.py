"""The store's own housekeeping: who keeps what, what goes, and that nothing else does."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir, snapshot_download
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardtack.mirror import Served
from hardtack.places import Store
from hardtack.spec.lock import Lock, LockedModel
from hardtack.spec.lock_text import write_lock
from hardtack.spec.manifest import WantedModel
from hardtack.spec.words import Task
from hardtack.supply.hub import Hub
from hardtack.supply.prune import prunable, prune
from hardtack.supply.pull import pull
from hardtack.supply.registry import Standing, known, remember, writing
from hardtack.supply.resolve import resolve
from hardtack.supply.store import Shelf, project_id
from hardtack.supply.usage import usage
from tests.hub import FixtureHub, lay_out
from tests.supply.conftest import FILES, REPO, everything

OLD, NEW = "1" * 40, "2" * 40
SHARED = "model.safetensors"  # the same in both commits


@pytest.fixture
def upstream(folder: Path, tmp_path: Path) -> Iterator[FixtureHub]:
    new = lay_out(tmp_path / "new", FILES | {"config.json": '{"model_type": "bert", "new": 1}'})
    with FixtureHub(
        Served(REPO, new, commit=NEW), Served(REPO, folder, commit=OLD, refs=()), Served("org/other", folder)
    ) as hub:
        yield hub


class Yard:
    """Projects that pull into one store."""

    def __init__(self, root: Path, upstream: FixtureHub) -> None:
        self.root, self.upstream = root, upstream
        self.store = Store(root / "hf" / "hub", root / "hf" / "hardtack")

    def lock(self, project: str, commit: str, repo: str = REPO) -> Path:
        """A project whose lock names one commit."""
        path = self.root / project / "hardtack.lock"
        path.parent.mkdir(exist_ok=True)
        elsewhere = Store(self.root / "elsewhere", self.root / "elsewhere-own")
        model = resolve(WantedModel("emb", Task.EMBED, repo, commit), Hub(self.upstream.url), elsewhere)
        write_lock(Lock("", (model,)), path)
        return path

    def pull(self, path: Path) -> None:
        from hardtack.spec.lock_text import read_lock

        lock = read_lock(path)
        remember(self.store, lock, path)
        pull(lock, self.store, Hub(self.upstream.url), project=project_id(path))

    def has(self, commit: str, repo: str = REPO) -> bool:
        folder = self.store.snapshot(repo, commit)
        names = [p for p in folder.rglob("*") if not p.is_dir()] if folder.exists() else []
        assert all(name.exists() for name in names), "a name that leads to nothing"
        return bool(names)


@pytest.fixture
def yard(tmp_path: Path, upstream: FixtureHub) -> Yard:
    (tmp_path / "yard").mkdir()
    return Yard(tmp_path / "yard", upstream)


def test_what_a_lock_names_stays(yard: Yard) -> None:
    yard.pull(yard.lock("a", OLD))
    yard.pull(yard.lock("b", NEW))
    before = everything(yard.store.hub)
    going = prune(yard.store)
    assert (going.snapshots, going.partials, going.kept, going.freed) == ((), (), 2, 0)
    assert everything(yard.store.hub) == before


def test_what_no_lock_names_any_more_goes_and_shared_blobs_stay(yard: Yard) -> None:
    yard.pull(yard.lock("a", OLD))
    yard.pull(yard.lock("a", NEW))
    before = everything(yard.store.hub)
    shown = prunable(yard.store)
    assert everything(yard.store.hub) == before
    assert [snapshot.commit for snapshot in shown.snapshots] == [OLD]
    assert shown.freed == len(str(FILES["config.json"]))
    assert prune(yard.store) == shown
    assert not yard.store.snapshot(REPO, OLD).exists()
    assert yard.has(NEW)
    assert scan_cache_dir(yard.store.hub).warnings == []
    assert prune(yard.store).snapshots == ()


def test_one_commit_two_projects(yard: Yard) -> None:
    yard.pull(yard.lock("a", OLD))
    yard.pull(yard.lock("b", OLD))
    yard.pull(yard.lock("a", NEW))
    assert prune(yard.store).snapshots == ()
    keepers = {s.commit: s.keepers for s in usage(yard.store, known(yard.store)).snapshots}
    assert [keeper.split("-")[0] for keeper in keepers[OLD]] == ["b"]


def test_a_lock_that_was_written_but_not_pulled_yet_keeps(yard: Yard) -> None:
    yard.pull(yard.lock("a", OLD))
    yard.pull(yard.lock("a", NEW))
    yard.lock("a", OLD)  # checked out again: the lock counts, and not the last pull
    assert [snapshot.commit for snapshot in prune(yard.store).snapshots] == [NEW]
    assert yard.has(OLD)


def test_projects_whose_folder_went_keep_until_one_says_so(yard: Yard) -> None:
    yard.pull(yard.lock("a", OLD))
    yard.pull(yard.lock("b", NEW))
    shutil.rmtree(yard.root / "a")
    quiet = prune(yard.store)
    assert quiet.snapshots == ()
    assert any("--gone" in note for note in quiet.notes)
    gone = prune(yard.store, gone=True)
    assert [snapshot.commit for snapshot in gone.snapshots] == [OLD]
    assert [project.lock.parent.name for project in gone.projects] == ["a"]
    assert [project.standing for project in known(yard.store)] == [Standing.HERE]
    assert yard.has(NEW)


@pytest.mark.parametrize("damage", ["unreadable", "missing"])
def test_a_lock_that_cannot_be_read_keeps_what_it_kept(yard: Yard, damage: str) -> None:
    lock = yard.lock("a", OLD)
    yard.pull(lock)
    lock.write_text("<<<<<<< HEAD\n") if damage == "unreadable" else lock.unlink()
    going = prune(yard.store, gone=True)
    assert going.snapshots == ()
    assert any("cannot be read" in note for note in going.notes)
    assert yard.has(OLD)


def test_what_others_brought_is_theirs(yard: Yard) -> None:
    snapshot_download(REPO, revision=NEW, endpoint=yard.upstream.url, cache_dir=yard.store.hub)
    yard.pull(yard.lock("a", NEW))
    yard.pull(yard.lock("a", OLD))
    assert prune(yard.store, gone=True).snapshots == ()
    assert yard.has(NEW)


def test_the_last_snapshot_takes_its_repository_along(yard: Yard) -> None:
    yard.pull(yard.lock("a", yard.upstream.commit("org/other"), "org/other"))
    yard.pull(yard.lock("a", NEW))
    assert [snapshot.repo for snapshot in prune(yard.store).snapshots] == ["org/other"]
    assert not yard.store.repo("org/other").exists()
    assert scan_cache_dir(yard.store.hub).warnings == []


def test_the_same_commit_in_a_copy_of_the_repository_is_told_apart(yard: Yard, folder: Path) -> None:
    with FixtureHub(Served(REPO, folder, commit=OLD), Served("org/copy", folder, commit=OLD)) as both:
        yard.upstream = both
        yard.pull(yard.lock("a", OLD))
        yard.pull(yard.lock("b", OLD, "org/copy"))
        yard.lock("b", OLD)
        assert [snapshot.repo for snapshot in prune(yard.store).snapshots] == ["org/copy"]
        assert yard.has(OLD)


def test_pins_of_the_environment_keep(yard: Yard) -> None:
    lock = yard.lock("a", OLD)
    yard.pull(lock)
    yard.pull(yard.lock("b", NEW))
    pin = yard.store.own / "pins" / "embed--org--tiny--main.lock"
    pin.parent.mkdir()
    shutil.copy(lock, pin)
    shutil.rmtree(lock.parent)
    assert prune(yard.store, gone=True).snapshots == ()


def test_partials_that_nobody_needs_go_and_those_under_way_stay(yard: Yard) -> None:
    lock = yard.lock("a", OLD)
    yard.pull(lock)
    blobs = yard.store.repo(REPO) / "blobs"
    needed = next(path.name for path in blobs.iterdir())
    for name in (needed, "a" * 64, "b" * 64):
        (blobs / f"{name}.hardtack.incomplete").write_bytes(b"half")
    (blobs / ("c" * 64 + ".12345678.incomplete")).write_bytes(b"another program's")
    shelf = Shelf(yard.store, REPO)
    with shelf.lock(blobs / ("b" * 64), threading.Event(), lambda: None):
        going = prune(yard.store)
    assert {part.path.name[0] for part in going.partials} == {"a", "b"}
    left = {path.name for path in blobs.glob("*.incomplete")}
    assert left == {
        f"{needed}.hardtack.incomplete",
        f"{'b' * 64}.hardtack.incomplete",
        "c" * 64 + ".12345678.incomplete",
    }


def test_a_pull_waits_for_a_prune(yard: Yard) -> None:
    lock = yard.lock("a", OLD)
    done = threading.Event()

    def go() -> None:
        yard.pull(lock)
        done.set()

    with writing(yard.store):
        puller = threading.Thread(target=go)
        puller.start()
        assert not done.wait(0.3)
        assert not yard.store.hub.exists()
    puller.join()
    assert yard.has(OLD)


def test_a_note_is_written_once_and_holds_no_more_than_it_must(yard: Yard) -> None:
    lock = yard.lock("a", OLD)
    yard.pull(lock)
    (note,) = (yard.store.own / "projects").iterdir()
    assert json.loads(note.read_text()) == {
        "lock": str(lock), "keeps": [f"{REPO}@{OLD}"], "brought": [f"{REPO}@{OLD}"],
    }  # fmt: skip
    before = everything(yard.store.own)
    yard.pull(lock)
    assert everything(yard.store.own) == before


def test_two_locks_in_one_folder_are_two(yard: Yard) -> None:
    first = yard.lock("a", OLD)
    yard.pull(first)
    second = first.with_name("other.lock")
    first.rename(second)
    yard.pull(second)
    yard.pull(yard.lock("a", NEW))
    assert prune(yard.store).snapshots == ()
    assert yard.has(OLD)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"lock": 3, "brought": "x"}', '{"lock": "rel", "brought": ["../..@x"]}']
)
def test_a_note_that_is_none_lets_nothing_go(yard: Yard, text: str) -> None:
    yard.pull(yard.lock("a", OLD))
    (note,) = (yard.store.own / "projects").iterdir()
    note.write_text(text)
    assert prune(yard.store, gone=True).snapshots == ()
    assert yard.has(OLD)


def test_an_empty_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "hub", tmp_path / "own")
    assert prunable(store).snapshots == ()
    assert usage(store).size == 0


def test_a_store_that_cannot_be_written_needs_no_note(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    from hardtack.spec.lock_text import read_lock

    path = yard.lock("a", OLD)
    lock = read_lock(path)
    monkeypatch.setattr(os, "open", read_only)
    monkeypatch.setattr(Path, "mkdir", read_only)
    assert remember(yard.store, lock, path) is False


COMMITS = [f"{digit}" * 40 for digit in "1234"]
STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(COMMITS)), min_size=1, max_size=8)


@given(steps=STEPS, lost=st.sets(st.sampled_from("abc")), gone=st.booleans())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_never_what_a_known_lock_names_and_nothing_dangles(
    tmp_path_factory: pytest.TempPathFactory,
    locked: LockedModel,
    steps: list[tuple[str, str]],
    lost: set[str],
    gone: bool,
) -> None:
    """Pulls of any projects in any order, without a Hub: the snapshots are laid by hand, as a pull lays them."""
    root = tmp_path_factory.mktemp("yard")
    store = Store(root / "hub", root / "own")
    small = tuple(file for file in locked.files if file.size < 1000)
    last: dict[str, str] = {}
    for project, commit in steps:
        path = root / project / "hardtack.lock"
        path.parent.mkdir(exist_ok=True)
        lock = Lock("", (replace(locked, commit=commit, files=small, digest=""),))
        lock = Lock("", (replace(lock.models[0], digest=_digest(lock.models[0])),))
        write_lock(lock, path)
        remember(store, lock, path)
        shelf = Shelf(store, REPO)
        for file in small:
            blob = shelf.blob(file.git, file.sha256)
            lay_out(blob.parent, {blob.name: b"x"})
            shelf.point(commit, file.path, blob)
        shelf.finish(commit, small, [f"hardtack/{project_id(path)}/emb"])
        last[project] = commit
    for project in lost & set(last):
        shutil.rmtree(root / project)
    keeping = {commit for project, commit in last.items() if not gone or project not in lost}
    prune(store, gone=gone)
    here = {path.name for path in (store.repo(REPO) / "snapshots").glob("*")}
    assert here == keeping
    for name in store.hub.rglob("*"):
        assert name.exists()
    assert scan_cache_dir(store.hub).warnings == [] if store.hub.exists() else True


def _digest(model: LockedModel) -> str:
    from hardtack.spec.digest import tree_digest

    return tree_digest((file.path, file.sha256) for file in model.files)
