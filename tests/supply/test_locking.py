"""What stays at its commit when a manifest is locked again, and what is looked up anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hardtack.errors import Refused
from hardtack.mirror import Served
from hardtack.mirror.messages import Request, Response
from hardtack.places import Store
from hardtack.spec.lock import Lock, LockedCode
from hardtack.spec.lock_render import render_lock
from hardtack.spec.lock_text import parse_lock
from hardtack.spec.manifest import Manifest, parse_manifest
from hardtack.supply.checking import check_store
from hardtack.supply.hub import Hub
from hardtack.supply.locking import Locker
from hardtack.supply.pull import pull
from tests.hub import FixtureHub, lay_out
from tests.supply.conftest import FILES, REPO, Clock, Heard

OLD, NEW = "1" * 40, "2" * 40
NONE = Lock("", ())


def manifest(repo: str = REPO, more: str = "") -> Manifest:
    return parse_manifest(f'[models.emb]\ntask = "embed"\nrepo = "{repo}"\n{more}')


@pytest.fixture
def moved(folder: Path, tmp_path: Path) -> Iterator[FixtureHub]:
    """A repository whose main has moved on from the commit that is locked."""
    new = lay_out(tmp_path / "new", FILES | {"config.json": '{"model_type": "bert", "new": 1}'})
    with FixtureHub(Served(REPO, new, commit=NEW), Served(REPO, folder, commit=OLD, refs=("refs/tags/v1",))) as hub:
        yield hub


def locker(fixture: FixtureHub, tmp_path: Path, heard: Heard | None = None) -> Locker:
    hub = Hub(fixture.url, patience=Clock().patience())
    return Locker(hub, Store(tmp_path / "hub", tmp_path / "own"), tmp_path, heard or Heard())


def test_it_stays_until_it_is_upgraded(moved: FixtureHub, tmp_path: Path) -> None:
    here = locker(moved, tmp_path)
    first = here.lock(manifest(more='revision = "v1"'), NONE)
    assert first.models[0].commit == OLD
    at_main = Lock("", (replace(first.models[0], requested="main"),))
    again = here.lock(manifest(more='exclude = ["tokenizer.json"]'), at_main)
    assert (again.models[0].commit, again.models[0].requested) == (OLD, "main")
    assert here.lock(manifest(), at_main, ["emb"]).models[0].commit == NEW
    assert here.lock(manifest(), at_main, None).models[0].commit == NEW
    assert here.lock(manifest(), at_main, ["other"]).models[0].commit == OLD


def test_another_revision_is_another_wish(moved: FixtureHub, tmp_path: Path) -> None:
    here = locker(moved, tmp_path)
    first = here.lock(manifest(more='revision = "v1"'), NONE)
    assert here.lock(manifest(), first).models[0].commit == NEW


def renamed(fixture: FixtureHub, old: str) -> None:
    """The Hub's answer for a name of former days: what it says of the new one."""

    def answer(request: Request, true: Response) -> Response:
        here = request.path.replace(f"/{old}/", f"/{REPO}/")
        return Response.of(307, b"", "text/plain", ("Location", f"{here}?{request.query}" if request.query else here))

    fixture.fault(f"/api/models/{old}/*", answer)


def test_a_renamed_repository_stays_at_its_commit(moved: FixtureHub, tmp_path: Path) -> None:
    renamed(moved, "org/former")
    here = locker(moved, tmp_path)
    first = here.lock(manifest("org/former", 'revision = "v1"'), NONE)
    assert (first.models[0].repo, first.models[0].commit) == (REPO, OLD)
    at_main = Lock("", (replace(first.models[0], requested="main"),))
    assert here.lock(manifest("org/former", 'exclude = ["tokenizer.json"]'), at_main).models[0].commit == OLD
    assert here.lock(manifest("org/former"), at_main, None).models[0].commit == NEW


def test_another_repository_is_locked_anew(moved: FixtureHub, folder: Path, tmp_path: Path) -> None:
    here = locker(moved, tmp_path)
    first = here.lock(manifest(more='revision = "v1"'), NONE)
    at_main = Lock("", (replace(first.models[0], requested="main"),))
    # a copy under another name that happens to have the very commit
    with FixtureHub(Served("org/copy", folder), Served("org/copy", folder, commit=OLD, refs=())) as other:
        model = locker(other, tmp_path).lock(manifest("org/copy"), at_main).models[0]
        assert (model.repo, model.commit) == ("org/copy", other.commit("org/copy"))
        assert model.commit != OLD


def test_code_stays_at_its_commit_until_it_is_upgraded(tmp_path: Path) -> None:
    config = {"model_type": "x", "auto_map": {"AutoModel": "org/code--module.Model"}}
    model = lay_out(tmp_path / "m", {"config.json": json.dumps(config), "model.safetensors": b"x"})
    old, new = lay_out(tmp_path / "c1", {"module.py": "1"}), lay_out(tmp_path / "c2", {"module.py": "2"})
    wish = manifest(more="trust-remote-code = true\n")
    changed = manifest(more="trust-remote-code = true\nmax-length = 8\n")
    with FixtureHub(Served(REPO, model), Served("org/code", old, commit=OLD)) as hub:
        first = locker(hub, tmp_path).lock(wish, NONE)
        assert first.models[0].code[0].commit == OLD
    with FixtureHub(
        Served(REPO, model), Served("org/code", new, commit=NEW), Served("org/code", old, commit=OLD, refs=())
    ) as hub:
        here = locker(hub, tmp_path)
        assert here.lock(changed, first).models[0].code == first.models[0].code
        assert here.lock(changed, first, ["emb"]).models[0].code[0].commit == NEW


def test_code_that_a_directory_names_is_locked_and_pulled_too(tmp_path: Path) -> None:
    lay_out(tmp_path / "model", {
        "config.json": json.dumps({"auto_map": {"AutoModel": "org/code--module.Model"}}), "model.safetensors": b"x",
    })  # fmt: skip
    text = '[models.emb]\ntask = "embed"\nrepo = "./model"\ntrust-remote-code = true\n'
    code, newer = lay_out(tmp_path / "c", {"module.py": "old"}), lay_out(tmp_path / "d", {"module.py": "new"})
    with FixtureHub(Served("org/code", newer), Served("org/code", code, commit="a" * 40, refs=("v1",))) as fixture:
        locker = Locker(Hub(fixture.url), Store(tmp_path / "hub", tmp_path / "own"), tmp_path)
        locked = locker.lock(parse_manifest(text), Lock("", ()))
        assert [(c.repo, c.commit) for c in locked.models[0].code] == [("org/code", fixture.commit("org/code"))]
        assert parse_lock(render_lock(locked)).models == locked.models
        pulled = pull(replace(locked, name=str(tmp_path / "hardtack.lock")), locker.store, locker.hub)
        assert [snapshot.repo for snapshot in pulled.snapshots] == ["./model", "org/code"]
        assert (pulled.snapshots[1].directory / "module.py").read_text() == "new"
        assert {name: found.good for name, found in check_store(locked, locker.store, tmp_path).items()} == {
            "emb": True, "emb: code of org/code": True,
        }  # fmt: skip
        # it stays where it is locked, whatever main says
        old = replace(locked, models=(replace(locked.models[0], code=(LockedCode("org/code", "a" * 40, ()),)),))
        again = locker.lock(parse_manifest(text + "max-length = 9\n"), old)
        assert [c.commit for c in again.models[0].code] == ["a" * 40]
        assert locker.lock(parse_manifest(text), old, None).models[0].code == locked.models[0].code


def test_another_hub_is_said_and_a_fresh_lock_asks_nobody(moved: FixtureHub, tmp_path: Path) -> None:
    heard = Heard()
    here = locker(moved, tmp_path, heard)
    lock = here.lock(manifest(), NONE)
    assert any(moved.url in text and "not the default" in text for text in heard.said)
    heard.said.clear()
    moved.forget()
    assert here.lock(manifest(), lock) == lock
    assert (heard.said, moved.count()) == ([], 0)


@pytest.mark.parametrize("more", ['license = "mit"\n', '[policy]\nallow-licenses = ["mit"]\n'])
def test_a_licence_that_is_not_allowed_is_refused_fresh_or_not(moved: FixtureHub, tmp_path: Path, more: str) -> None:
    here = locker(moved, tmp_path)
    lock = here.lock(manifest(more='license = "Apache-2.0"\n[policy]\nallow-licenses = ["APACHE-2.0", "mit"]\n'), NONE)
    for old in (NONE, lock):
        with pytest.raises(Refused, match="licence"):
            here.lock(manifest(more=more), old)


def test_the_manifests_word_for_a_directory_is_locked(tmp_path: Path, moved: FixtureHub) -> None:
    lay_out(tmp_path / "mine", FILES)
    here = locker(moved, tmp_path)
    lock = here.lock(manifest("./mine", 'license = "mit"'), NONE)
    assert lock.models[0].license == "mit"
    again = here.lock(manifest("./mine", 'license = "apache-2.0"'), lock)
    assert (again.models[0].license, moved.count()) == ("apache-2.0", 0)
