"""What locks and pantries name, and nothing else, at the locked commits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import HfApi, snapshot_download
from hypothesis import given, settings
from hypothesis import strategies as st

from hardtack.errors import LockError, Mismatch
from hardtack.mirror import Content, MirrorServer, Served, from_locks, from_pantry
from hardtack.mirror.messages import Request, Slice
from hardtack.mirror.protocol import answer
from hardtack.places import Store
from hardtack.spec.digest import tree_digest
from hardtack.spec.lock import Lock, LockedCode, LockedFile, LockedModel
from hardtack.spec.lock_text import render_lock
from hardtack.spec.words import Task
from hardtack.supply.hub import Hub
from hardtack.supply.pull import pull
from tests.hub import lay_out
from tests.supply.test_archive_hostile import locked

NEW, OLD = "a" * 40, "b" * 40
CONTENTS: dict[str, bytes] = {"config.json": b"{}", "deep/notes.txt": b"notes", "model.safetensors": b"weights"}
# what a store also holds, and a lock does not name
STRANGERS: dict[str, bytes] = {"pytorch_model.bin": b"pickle", "secret.json": b"{}"}


def model(repo: str = "org/tiny", commit: str = NEW, *names: str, requested: str = "main") -> LockedModel:
    files = tuple(locked(name, CONTENTS[name]) for name in names or CONTENTS)
    digest = tree_digest((file.path, file.sha256) for file in files)
    return LockedModel(repo[-4:], Task.FILES, repo, commit=commit, requested=requested, files=files, digest=digest)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "hub", tmp_path / "own")
    for repo, commit in (("org/tiny", NEW), ("org/tiny", OLD), ("org/more", NEW)):
        lay_out(store.snapshot(repo, commit), {**CONTENTS, **STRANGERS})
    return store


def test_only_what_is_named(store: Store) -> None:
    content = Content.gather(from_locks([Lock("", (model("org/tiny", NEW, "config.json"),))], store))
    assert {repo: {*each.revisions} for repo, each in content.repos.items()} == {"org/tiny": {NEW}}
    assert {*content.repos["org/tiny"].revisions[NEW].files} == {"config.json"}


def test_several_locks_models_and_revisions(store: Store) -> None:
    first = Lock("", (model("org/tiny", NEW, "config.json", requested="v2"), model("org/more")))
    second = Lock("", (model("org/tiny", OLD, requested="main"), model("org/tiny", NEW, "model.safetensors")))
    repos = Content.gather(from_locks([first, second], store)).repos
    tiny = repos["org/tiny"]
    assert {commit: {*each.files} for commit, each in tiny.revisions.items()} == {
        NEW: {"config.json", "model.safetensors"},
        OLD: {*CONTENTS},
    }
    assert dict(tiny.refs) == {"refs/heads/main": OLD, "refs/heads/v2": NEW}
    assert dict(repos["org/more"].refs) == {"refs/heads/main": NEW}


@pytest.mark.parametrize("requested", ["", NEW, "v2", "odd ref", "refs/pr/1"])
def test_main_is_the_locked_commit_where_nothing_else_is(store: Store, requested: str) -> None:
    found = Content.gather(from_locks([Lock("", (model(requested=requested),))], store)).repos["org/tiny"].find("main")
    assert found is not None
    assert found.commit == NEW


def test_etags_are_the_hubs(store: Store) -> None:
    """What the lock has a git id for is in git, whatever its name; the rest is in LFS."""
    files = (*model("org/tiny", NEW, "model.safetensors").files, replace(locked("config.json", b"{}"), git=""))
    found = Content.gather(from_locks([Lock("", (replace(model(), files=files),))], store)).repos["org/tiny"]
    assert {path: file.etag for path, file in found.revisions[NEW].files.items()} == {f.path: f.sha256 for f in files}


@pytest.mark.parametrize("damage", [b"[]", b"{} ", None])
def test_what_is_not_as_locked_is_not_served(store: Store, damage: bytes | None) -> None:
    path = store.snapshot("org/tiny", NEW) / "config.json"
    path.unlink() if damage is None else path.write_bytes(damage)
    with pytest.raises(Mismatch) as caught:
        Content.gather(from_locks([Lock("", (model(),))], store))
    assert caught.value.mend == "hardtack pull"


def test_code_is_served_and_local_models_are_not(store: Store) -> None:
    code = LockedCode("org/more", NEW, model("org/more", NEW, "config.json").files)
    lock = Lock("", (replace(model(), code=(code,)), replace(model(), key="l", repo="./l", source="local", commit="")))
    assert {*Content.gather(from_locks([lock], store)).repos} == {"org/tiny", "org/more"}


def test_what_a_lock_calls_gated_is(store: Store) -> None:
    lock = Lock("", (replace(model(), gated=True), model("org/more")))
    found = Content.gather(from_locks([lock], store)).repos
    assert {repo: each.gated for repo, each in found.items()} == {"org/tiny": True, "org/more": False}
    named = Content.gather(from_locks([lock], store, ["org/more"])).repos
    assert all(each.gated for each in named.values())


def test_locks_that_disagree(store: Store) -> None:
    wrong = replace(model(), files=tuple(replace(file, sha256="0" * 64) for file in model().files))
    with pytest.raises(LockError):
        from_locks([Lock("", (model(),)), Lock("", (wrong,))], store)


def test_a_pantry(tmp_path: Path) -> None:
    added = LockedFile("hardtack/golden.json", 2, "0" * 64)
    lock = Lock(
        "", (replace(model(), added=(added,)), replace(model(), key="l", repo="./l", source="local", commit=""))
    )
    pantry = lay_out(tmp_path / "pantry", {f"tiny/{name}": content for name, content in CONTENTS.items()})
    (pantry / "hardtack.lock").write_text(render_lock(lock))
    found = Content.gather(from_pantry(pantry, ["org/tiny"])).repos
    assert {*found} == {"org/tiny"}
    assert found["org/tiny"].gated
    assert {*found["org/tiny"].revisions[NEW].files} == {*CONTENTS}
    with pytest.raises(LockError):
        from_pantry(tmp_path)


@pytest.fixture
def mirror(store: Store) -> Iterator[MirrorServer]:
    content = Content.gather(from_locks([Lock("", (model(), model("org/more", requested="v1")))], store))
    with MirrorServer(content) as server:
        yield server


def test_clients_get_what_is_locked(mirror: MirrorServer, tmp_path: Path) -> None:
    got = snapshot_download("org/tiny", endpoint=mirror.url, cache_dir=tmp_path / "theirs")
    assert {str(p.relative_to(got)) for p in Path(got).rglob("*") if p.is_file()} == {*CONTENTS}
    tree = HfApi(mirror.url).list_repo_tree("ORG/tiny", recursive=True, expand=True)
    assert {each.last_commit.oid for each in tree if each.last_commit} == {NEW}
    assert HfApi(mirror.url).model_info("org/more", revision="v1", expand=["sha"]).sha == NEW


def test_hardtack_pulls_the_same_lock_from_it(mirror: MirrorServer, tmp_path: Path) -> None:
    other = Store(tmp_path / "theirs", tmp_path / "own2")
    assert pull(Lock("", (model(),)), other, Hub(mirror.url)).transferred == sum(map(len, CONTENTS.values()))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Content:
    root = tmp_path_factory.mktemp("served")
    store = Store(root / "hub", root / "own")
    lay_out(store.snapshot("org/tiny", NEW), {**CONTENTS, **STRANGERS})
    lay_out(store.snapshot("org/tiny", OLD), {**CONTENTS, **STRANGERS})
    return Content.gather(from_locks([Lock("", (model("org/tiny", NEW, "config.json"),))], store))


@settings(deadline=None)
@given(
    st.sampled_from(["org/tiny", "ORG/TINY", "org/more", "models--org--tiny", "tiny"]),
    st.sampled_from(["main", NEW, OLD, "refs%2Fheads%2Fmain", "v1", NEW[:7], ".."]),
    st.sampled_from([*CONTENTS, *STRANGERS, "CONFIG.JSON", "../../snapshots/" + OLD + "/config.json", "deep"]),
)
def test_nothing_unlocked_is_ever_given(served: Content, repo: str, revision: str, path: str) -> None:
    response = answer(served, Request("GET", f"/{repo}/resolve/{revision}/{path}"))
    right = repo.lower() == "org/tiny" and revision in ("main", NEW, "refs%2Fheads%2Fmain") and path == "config.json"
    assert (response.status == 200) is right
    assert isinstance(response.body, Slice) is right


def test_a_folder_given_by_hand_beside_a_lock(store: Store, tmp_path: Path) -> None:
    by_hand = Served("org/hand", lay_out(tmp_path / "hand", {"config.json": "{}"}))
    assert {*Content.gather([*from_locks([Lock("", (model(),))], store), by_hand]).repos} == {"org/tiny", "org/hand"}
