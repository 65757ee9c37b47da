from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hardtack import loaders
from hardtack.errors import (
    LockError,
    Mismatch,
    Misused,
    ModelNotFound,
    StaleLock,
    UnknownModel,
    UnsupportedModel,
    Unverified,
    WrongSpace,
)
from hardtack.finding import is_path
from hardtack.loaders import get_model_manager, load_classifier, load_embedder, load_reranker, make_manager
from hardtack.places import store_of
from hardtack.runtime import load as load_module
from hardtack.settings import Settings, read_settings
from hardtack.spec.lock import Lock, LockedModel
from hardtack.spec.lock_text import write_lock
from hardtack.spec.pantry_digest import pantry_digest
from hardtack.spec.words import Task
from tests.runtime.fakes import COMMIT, lay_out_model, lock_of, open_fake


@pytest.fixture(autouse=True)
def _fake_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    choose = load_module._choose
    monkeypatch.setattr(
        load_module,
        "_choose",
        lambda directory, task, locked, options, _, packs, built: choose(
            directory, task, locked, options, open_fake, packs, built=built
        ),
    )
    # no /models of this machine, no lock above, nothing of the environment
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def settings_of(tmp_path: Path, environ: Mapping[str, str] | None = None) -> Settings:
    settings = read_settings({"HOME": str(tmp_path / "home"), "HF_HOME": str(tmp_path / "hf")} | dict(environ or {}))
    return settings if "HARDTACK_PANTRY" in (environ or {}) else replace(settings, pantry=tmp_path / "models")


def a_pantry(root: Path, **models: LockedModel) -> Lock:
    """An embedder, a reranker and whatever else, where and as ``bake`` would lay them."""
    made = [
        replace(lock_of(lay_out_model(root / "emb"), "emb"), repo="org/tiny-embedder"),
        replace(lock_of(lay_out_model(root / "rerank", labels=1), "rerank", Task.RERANK), repo="org/tiny-reranker"),
        replace(lock_of(lay_out_model(root / "head", labels=2), "head", Task.CLASSIFY), repo="org/tiny-classifier"),
    ]
    lock = Lock("sha256:" + "0" * 64, (*made, *models.values()))
    write_lock(lock, root / "hardtack.lock")
    return lock


def a_project(root: Path, settings: Settings, *, pulled: bool = True) -> LockedModel:
    """A project's lock of one embedder, and the embedder in the store."""
    directory = lay_out_model(root / "upstream")
    model = lock_of(directory)
    write_lock(Lock("sha256:" + "0" * 64, (model,)), root / "hardtack.lock")
    if pulled:
        shutil.copytree(directory, store_of(settings).snapshot(model.repo, model.commit))
    return model


def no_fetch(model: LockedModel, lock: Path) -> Path:
    raise AssertionError("the Hub must not be asked")


# ── a pantry ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("which", [None, "emb", "org/tiny-embedder", "tiny-embedder"])
def test_a_pantry_serves_by_task_key_repository_and_last_part(tmp_path: Path, which: str | None) -> None:
    a_pantry(tmp_path / "models")
    embedder = load_embedder(which, settings=settings_of(tmp_path), fetch=no_fetch)
    assert (embedder.key, embedder.source, embedder.identity.verified) == ("emb", "pantry", "full")
    assert embedder.encode("red").shape == (4,)


def test_each_loader_has_its_task(tmp_path: Path) -> None:
    a_pantry(tmp_path / "models")
    settings = settings_of(tmp_path)
    assert load_reranker(settings=settings).key == "rerank"
    assert load_classifier(settings=settings).key == "head"
    with pytest.raises(Misused):
        load_embedder("rerank", settings=settings)


def test_a_name_in_no_lock_ends_in_add(tmp_path: Path) -> None:
    a_pantry(tmp_path / "models")
    with pytest.raises(UnknownModel) as problem:
        load_embedder("BAAI/bge-small-en-v1.5", settings=settings_of(tmp_path), fetch=no_fetch)
    assert problem.value.mend == "hardtack add BAAI/bge-small-en-v1.5"


def test_a_changed_pantry_is_not_answered_from(tmp_path: Path) -> None:
    a_pantry(tmp_path / "models")
    with (tmp_path / "models/emb/model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    with pytest.raises(Mismatch):
        load_embedder(settings=settings_of(tmp_path), fetch=no_fetch)


@pytest.mark.parametrize("path", ["models/emb", "models/emb/"])
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_pantrys_folder_by_its_path_is_held_to_the_pantrys_lock(tmp_path: Path, path: str, by: str) -> None:
    a_pantry(tmp_path / "models")
    where = f"{tmp_path}/{path}"
    # as in a process that knows of no pantry: the lock above the folder is found all the same
    environ = {"EMBED_MODEL_PATH": where} if by == "environment" else {}
    settings = replace(settings_of(tmp_path, environ), pantry=tmp_path / "none")
    embedder = load_embedder(where if by == "argument" else None, settings=settings)
    assert (embedder.key, embedder.identity.verified, embedder.commit) == ("emb", "full", COMMIT)


def test_a_pantry_elsewhere_found_from_its_folder(tmp_path: Path) -> None:
    a_pantry(tmp_path / "elsewhere")
    embedder = load_embedder(tmp_path / "elsewhere" / "emb", settings=settings_of(tmp_path))
    assert (embedder.identity.verified, embedder.source) == ("full", "pantry")
    with (tmp_path / "elsewhere/emb/tokenizer.json").open("a") as file:
        file.write(" ")
    with pytest.raises(Mismatch):
        load_embedder(tmp_path / "elsewhere" / "emb", settings=settings_of(tmp_path))


def test_a_pantry_that_is_named_and_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for where in (tmp_path / "empty", tmp_path / "nothing"):
        with pytest.raises(LockError) as problem:
            load_embedder(settings=settings_of(tmp_path, {"HARDTACK_PANTRY": str(where)}))
        assert problem.value.where == str(where)


# ── HARDTACK_EXPECT ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_expect_holds_a_process_to_one_pantry(tmp_path: Path) -> None:
    lock = a_pantry(tmp_path / "models")
    digest = pantry_digest(lock, (tmp_path / "models/hardtack.lock").read_bytes())
    for expect in (digest, digest.removeprefix("sha256:")):
        assert load_embedder(settings=settings_of(tmp_path, {"HARDTACK_EXPECT": expect})).key == "emb"
    with pytest.raises(Mismatch) as problem:
        load_embedder(settings=settings_of(tmp_path, {"HARDTACK_EXPECT": "sha256:" + "1" * 64}))
    assert problem.value.found == digest
    settings = settings_of(tmp_path, {"HARDTACK_EXPECT": digest, "HARDTACK_POLICY": "online"})
    with pytest.raises(Unverified):  # nor is there a way around it
        load_embedder(lay_out_model(tmp_path / "other"), settings=settings)
    # a comment in the lock is another lock
    with (tmp_path / "models/hardtack.lock").open("a") as file:
        file.write("# by the way\n")
    with pytest.raises(Mismatch):
        load_embedder(settings=settings_of(tmp_path, {"HARDTACK_EXPECT": digest}))


def test_expect_without_a_pantry_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LockError):
        load_embedder(settings=settings_of(tmp_path, {"HARDTACK_EXPECT": "sha256:" + "1" * 64}))


def test_expect_is_not_met_by_another_pantry(tmp_path: Path) -> None:
    lock = a_pantry(tmp_path / "models")
    digest = pantry_digest(lock, (tmp_path / "models/hardtack.lock").read_bytes())
    a_pantry(tmp_path / "other")
    (tmp_path / "other/hardtack.lock").write_text((tmp_path / "other/hardtack.lock").read_text() + "# other\n")
    environ = {"HARDTACK_EXPECT": digest, "HARDTACK_LOCK": str(tmp_path / "other/hardtack.lock")}
    settings = settings_of(tmp_path, environ)
    with pytest.raises(Unverified):
        load_embedder(str(tmp_path / "other/emb"), settings=settings)
    assert load_embedder("emb", settings=settings).identity.directory == tmp_path / "models/emb"


# ── the store and the Hub ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_store_serves_at_the_locked_commit(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    a_project(tmp_path, settings)
    embedder = load_embedder(settings=settings, fetch=no_fetch)
    assert (embedder.source, embedder.identity.verified) == ("store", "full")


def test_a_snapshot_by_its_path_is_held_to_the_lock_too(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    model = a_project(tmp_path, settings)
    snapshot = store_of(settings).snapshot(model.repo, model.commit)
    assert load_embedder(snapshot, settings=settings).identity.verified == "full"


@pytest.mark.parametrize("broken", ["all", "one file", "half a file"])
def test_online_fetches_what_is_not_there_or_not_whole(tmp_path: Path, broken: str) -> None:
    settings = settings_of(tmp_path)
    model = a_project(tmp_path, settings, pulled=broken != "all")
    snapshot = store_of(settings).snapshot(model.repo, model.commit)
    if broken == "one file":
        (snapshot / "tokenizer.json").unlink()
    if broken == "half a file":
        (snapshot / "model.safetensors").write_bytes(b"half")
    asked: list[tuple[str, Path]] = []

    def fetch(wanted: LockedModel, lock: Path) -> Path:
        asked.append((wanted.key, lock))
        shutil.rmtree(snapshot, ignore_errors=True)
        shutil.copytree(tmp_path / "upstream", snapshot)
        return snapshot

    embedder = load_embedder(settings=settings, fetch=fetch)
    assert (embedder.source, embedder.identity.verified) == ("hub", "full")
    assert asked == [("emb", tmp_path / "hardtack.lock")]
    assert load_embedder(settings=settings, fetch=no_fetch).source == "store"


@pytest.mark.parametrize(
    "environ", [{"HF_HUB_OFFLINE": "1"}, {"HARDTACK_POLICY": "strict"}, {"TRANSFORMERS_OFFLINE": "true"}]
)
def test_strict_never_asks_the_hub_and_names_every_place(tmp_path: Path, environ: dict[str, str]) -> None:
    settings = settings_of(tmp_path, environ)
    model = a_project(tmp_path, settings, pulled=False)
    with pytest.raises(ModelNotFound) as problem:
        load_embedder(settings=settings, fetch=no_fetch)
    assert str(store_of(settings).snapshot(model.repo, model.commit)) in problem.value.found
    assert "Hub" in problem.value.found
    assert problem.value.mend == "hardtack pull"


def test_a_strict_store_that_is_not_whole_is_a_mismatch(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, {"HF_HUB_OFFLINE": "1"})
    model = a_project(tmp_path, settings)
    (store_of(settings).snapshot(model.repo, model.commit) / "tokenizer.json").unlink()
    with pytest.raises(Mismatch) as problem:
        load_embedder(settings=settings, fetch=no_fetch)
    assert problem.value.mend == "hardtack pull"


def test_an_old_cache_is_read_from_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = settings_of(tmp_path, {"TRANSFORMERS_CACHE": str(tmp_path / "old"), "HARDTACK_POLICY": "strict"})
    model = a_project(tmp_path, settings)
    shutil.move(settings.hub_cache, tmp_path / "old")
    assert load_embedder(settings=settings, fetch=no_fetch).commit == model.commit
    assert "TRANSFORMERS_CACHE" in caplog.text


def test_a_local_directory_of_the_project(tmp_path: Path) -> None:
    directory = lay_out_model(tmp_path / "mine")
    model = lock_of(directory, "emb", repo="./mine", source="local", commit="", requested="")
    write_lock(Lock("sha256:" + "0" * 64, (model,)), tmp_path / "hardtack.lock")
    settings = settings_of(tmp_path)
    embedder = load_embedder("emb", settings=settings, fetch=no_fetch)
    assert (embedder.source, embedder.commit, embedder.digest) == ("local", "", model.digest)
    assert embedder.space
    assert load_embedder(directory, settings=settings).identity.verified == "full"
    shutil.rmtree(directory)
    with pytest.raises(ModelNotFound):
        load_embedder("emb", settings=settings, fetch=no_fetch)


def test_files_and_notes_are_not_loaded(tmp_path: Path) -> None:
    external = LockedModel(key="llm", task=Task.EXTERNAL, source="", note="elsewhere")
    a_pantry(tmp_path / "models", llm=external)
    with pytest.raises(UnknownModel):
        load_embedder("llm", settings=settings_of(tmp_path), fetch=no_fetch)


# ── paths ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_path_is() -> None:
    for path in ("/models/emb", "./emb", "../emb", "~/emb", ".", Path("emb")):
        assert is_path(path)
    for name in ("emb", "org/name", "all-MiniLM-L6-v2"):
        assert not is_path(name)


def test_a_key_is_a_key_even_where_a_folder_bears_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_pantry(tmp_path / "models")
    lay_out_model(tmp_path / "work" / "emb")
    assert load_embedder("emb", settings=settings_of(tmp_path)).source == "pantry"
    settings = replace(settings_of(tmp_path), policy=None)
    with pytest.raises(Unverified):
        load_embedder("./emb", settings=settings)


def test_a_path_with_no_lock_is_unverified_and_refused_under_strict(tmp_path: Path) -> None:
    directory = lay_out_model(tmp_path / "mine")
    assert load_embedder(str(directory), settings=settings_of(tmp_path)).identity.verified == "no"
    for environ in ({"HARDTACK_POLICY": "strict"}, {"HF_HUB_OFFLINE": "1"}):
        with pytest.raises(Unverified):
            load_embedder(str(directory), settings=settings_of(tmp_path, environ))


def test_home_is_expanded_and_a_path_to_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    lay_out_model(tmp_path / "mine")
    assert load_embedder("~/mine", settings=settings_of(tmp_path)).dim == 4
    with pytest.raises(ModelNotFound) as problem:
        load_embedder("~/nothing", settings=settings_of(tmp_path))
    assert problem.value.where == str(tmp_path / "nothing")


# ── the environment ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_lock_at_all(tmp_path: Path) -> None:
    for which, mend in ((None, "hardtack add REPO --task embed"), ("org/x", "hardtack add org/x --task embed")):
        with pytest.raises(UnknownModel) as problem:
            load_embedder(which, settings=settings_of(tmp_path))
        assert problem.value.mend == mend


def test_a_pin_chooses_and_its_commit_must_be_the_locks(tmp_path: Path) -> None:
    other = replace(lock_of(lay_out_model(tmp_path / "models/other"), "other"), repo="org/other")
    a_pantry(tmp_path / "models", other=other)
    with pytest.raises(UnknownModel):
        load_embedder(settings=settings_of(tmp_path))
    for environ in (
        {"EMBED_REPO": "org/other"},
        {"EMBEDDING_MODEL": "other"},
        {"EMBED_REPO": "other", "EMBED_COMMIT": COMMIT},
    ):
        assert load_embedder(settings=settings_of(tmp_path, environ)).key == "other"
    with pytest.raises(StaleLock):
        load_embedder(settings=settings_of(tmp_path, {"EMBED_REPO": "other", "EMBED_COMMIT": "f" * 40}))


def test_a_dimension_that_does_not_fit(tmp_path: Path) -> None:
    a_pantry(tmp_path / "models")
    assert load_embedder(settings=settings_of(tmp_path, {"EMBEDDING_DIM": "4"})).dim == 4
    with pytest.raises(Misused) as problem:
        load_embedder(settings=settings_of(tmp_path, {"EMBEDDING_DIM": "384"}))
    assert (problem.value.expected, problem.value.found) == ("EMBEDDING_DIM=4", "384")
    assert load_reranker(settings=settings_of(tmp_path, {"EMBEDDING_DIM": "384"})).num_labels == 1


def test_a_space_that_does_not_fit(tmp_path: Path) -> None:
    a_pantry(tmp_path / "models")
    settings = settings_of(tmp_path)
    space = load_embedder(settings=settings).space
    assert load_embedder(space=space, settings=settings).space == space
    with pytest.raises(WrongSpace) as problem:
        load_embedder(space="f" * 32, settings=settings)
    assert space in problem.value.found


def test_code_needs_the_callers_leave(tmp_path: Path) -> None:
    coded = replace(
        lock_of(lay_out_model(tmp_path / "models/coded"), "coded"), trust_remote_code=True, repo="org/coded"
    )
    a_pantry(tmp_path / "models", coded=coded)
    with pytest.raises(UnsupportedModel) as problem:
        load_embedder("coded", settings=settings_of(tmp_path))
    assert "HARDTACK_ALLOW_CODE=coded" in problem.value.expected
    assert load_embedder("coded", trust_remote_code=True, settings=settings_of(tmp_path)).key == "coded"
    assert load_embedder("coded", settings=settings_of(tmp_path, {"HARDTACK_ALLOW_CODE": "coded"})).key == "coded"


# ── the manager ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_manager_of_a_pantry(tmp_path: Path) -> None:
    a_pantry(tmp_path / "models", llm=LockedModel(key="llm", task=Task.EXTERNAL, source="", note="elsewhere"))
    manager = make_manager(settings_of(tmp_path), fetch=no_fetch)
    assert manager.embed.key == "emb"
    assert manager.rerank.key == "rerank"
    assert manager.classify.classify("red").keys() == {"label"}
    assert set(manager.tasks) == {"emb", "rerank", "head"}


def test_a_path_of_the_environment_is_the_managers_model(tmp_path: Path) -> None:
    a_pantry(tmp_path / "models")
    directory = lay_out_model(tmp_path / "mine")
    settings = settings_of(tmp_path, {"EMBED_MODEL_PATH": str(directory), "HARDTACK_POLICY": "online"})
    manager = make_manager(settings)
    assert manager.embed.identity.directory == directory
    assert manager.rerank.key == "rerank"


def test_the_process_has_one_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaders, "_manager", None)
    monkeypatch.setattr(loaders, "read_settings", lambda: settings_of(tmp_path))
    a_pantry(tmp_path / "models")
    start, got = threading.Barrier(4), []

    def ask() -> None:
        start.wait()
        got.append(get_model_manager())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(manager) for manager in got}) == 1
    assert got[0].embed.key == "emb"


def test_the_log_says_what_was_loaded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    a_pantry(tmp_path / "models")
    caplog.set_level(logging.INFO, logger="hardtack")
    load_embedder(settings=settings_of(tmp_path))
    lines = [record.getMessage() for record in caplog.records if record.name == "hardtack"]
    assert len(lines) == 1
    assert lines[0].startswith(f"emb: org/tiny-embedder@{COMMIT} from {tmp_path}/models/emb (pantry), dim 4")


def test_the_default_fetch_is_the_supply_rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hardtack.supply import pull

    settings = settings_of(tmp_path)
    model = a_project(tmp_path, settings, pulled=False)
    asked: list[Any] = []

    def pull_model(wanted: LockedModel, store: Any, hub: Any, *, project: str) -> Path:
        asked.append((wanted.key, store, project))
        return Path(shutil.copytree(tmp_path / "upstream", store.snapshot(wanted.repo, wanted.commit)))

    monkeypatch.setattr(pull, "pull_model", pull_model)
    assert load_embedder(settings=settings).commit == model.commit
    assert [(key, store) for key, store, _ in asked] == [("emb", store_of(settings))]
