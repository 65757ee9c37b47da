"""A wish becomes a lock's entry: every file with a SHA-256, and no weights fetched for it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hardtack.errors import DiskError, Mismatch, Refused, UnknownRepo, UnsupportedModel
from hardtack.mirror import Served
from hardtack.places import Store
from hardtack.spec.digest import hash_bytes
from hardtack.spec.lock import Lock, LockedModel
from hardtack.spec.lock_text import parse_lock, render_lock
from hardtack.spec.words import Task, WeightsKind
from hardtack.supply.bare_names import ORIGINAL, full_name
from hardtack.supply.hub import Hub
from hardtack.supply.resolve import resolve
from tests.hub import FixtureHub, lay_out
from tests.supply.conftest import CHOSEN, FILES, REPO, WANTED, WEIGHTS, Heard


def test_every_file_has_its_hash_and_no_weights_were_fetched(hub: Hub, store: Store, fixture_hub: FixtureHub) -> None:
    model = resolve(WANTED, hub, store)
    assert tuple(file.path for file in model.files) == CHOSEN
    for file in model.files:
        content = FILES[file.path]
        hashes = hash_bytes(content.encode() if isinstance(content, str) else content)
        assert (file.size, file.sha256) == (hashes.size, hashes.sha256)
        assert file.git == ("" if file.path == "model.safetensors" else hashes.git)
    assert (model.repo, model.requested, model.commit) == (REPO, "main", fixture_hub.commit(REPO))
    assert model.license == "apache-2.0"
    assert fixture_hub.count("GET", "model.safetensors") == 0
    assert fixture_hub.count() == 1 + len(CHOSEN) - 1


def test_locking_twice_changes_nothing_and_fetches_nothing(
    hub: Hub, store: Store, fixture_hub: FixtureHub, locked: LockedModel
) -> None:
    first = resolve(WANTED, hub, store)
    fixture_hub.forget()
    assert resolve(WANTED, hub, store) == first == locked
    assert fixture_hub.count() == 1
    assert fixture_hub.count("GET", "*/revision/main") == 1


def test_a_mirror_of_what_was_chosen_gives_the_same_lock(
    store: Store, folder: Path, tmp_path: Path, locked: LockedModel
) -> None:
    for path in FILES.keys() - {*CHOSEN, "README.md"}:
        (folder / path).unlink()
    with FixtureHub(Served(REPO, folder, commit=locked.commit)) as mirror:
        assert resolve(WANTED, Hub(mirror.url), store) == locked


def test_it_can_be_written_and_read(lock: Lock) -> None:
    assert parse_lock(render_lock(lock)) == lock


@pytest.mark.parametrize("revision", ["refs/pr/1", "v1"])
def test_other_revisions(folder: Path, store: Store, revision: str) -> None:
    refs = ("main", "refs/pr/1", "refs/tags/v1")
    with FixtureHub(Served(REPO, folder, refs=refs)) as fixture:
        model = resolve(replace(WANTED, revision=revision), Hub(fixture.url), store)
        assert (model.requested, model.commit) == (revision, fixture.commit(REPO))


def test_a_wrong_revision(hub: Hub, store: Store) -> None:
    with pytest.raises(UnknownRepo, match="'nowhere'"):
        resolve(replace(WANTED, revision="nowhere"), hub, store)


def test_a_small_file_that_is_not_what_the_listing_says(hub: Hub, store: Store, fixture_hub: FixtureHub) -> None:
    fixture_hub.wrong_bytes("tokenizer.json")
    with pytest.raises(Mismatch) as caught:
        resolve(WANTED, hub, store)
    assert "tokenizer.json" in caught.value.where
    assert caught.value.expected.startswith("git blob ")


def test_a_hostile_name_reaches_no_disk(hub: Hub, store: Store, fixture_hub: FixtureHub, tmp_path: Path) -> None:
    fixture_hub.hostile_names("../../x")
    with pytest.raises(Refused):
        resolve(replace(WANTED, task=Task.FILES), hub, store)
    assert not store.hub.exists()


def test_names_that_would_fall_on_one_file_are_refused_if_both_are_chosen(
    hub: Hub, store: Store, fixture_hub: FixtureHub
) -> None:
    fixture_hub.hostile_names("CONFIG.json")
    resolve(WANTED, hub, store)  # not chosen: harmless
    with pytest.raises(Refused, match="side by side"):
        resolve(replace(WANTED, include=("CONFIG.json",)), hub, store)


def test_pickle_only_by_name(tmp_path: Path, store: Store) -> None:
    served = lay_out(tmp_path / "pickled", {"config.json": "{}", "pytorch_model.bin": b"\x80"})
    with FixtureHub(Served(REPO, served)) as fixture:
        with pytest.raises(UnsupportedModel, match="no weights") as caught:
            resolve(WANTED, Hub(fixture.url), store)
        assert "pickle" in caught.value.found
        model = resolve(replace(WANTED, weights=WeightsKind.PICKLE), Hub(fixture.url), store)
        assert model.weights is WeightsKind.PICKLE


def test_no_weights_at_all(tmp_path: Path, store: Store) -> None:
    with FixtureHub(Served(REPO, lay_out(tmp_path / "bare", {"config.json": "{}"}))) as fixture:
        with pytest.raises(UnsupportedModel) as caught:
            resolve(WANTED, Hub(fixture.url), store)
        assert caught.value.found == "no weights at all"


@pytest.mark.parametrize("text", ["{}x", "3", '[{"idx": 0}]', '[{"path": 3}]'])
def test_modules_that_are_none(tmp_path: Path, store: Store, text: str) -> None:
    served = lay_out(tmp_path / "odd", {"modules.json": text, "model.safetensors": b"x"})
    with FixtureHub(Served(REPO, served)) as fixture, pytest.raises(UnsupportedModel, match=r"JSON|modules"):
        resolve(WANTED, Hub(fixture.url), store)


def test_a_full_disk_is_said_before_the_first_file(hub: Hub, store: Store, fixture_hub: FixtureHub) -> None:
    with pytest.raises(DiskError, match="free space"):
        resolve(WANTED, hub, store, free=lambda _: 10)
    assert fixture_hub.count("GET", "*/resolve/*") == 1  # modules.json, which the choice hangs on


def test_a_fallback_and_a_rename_are_said(tmp_path: Path, store: Store, heard: Heard) -> None:
    served = lay_out(tmp_path / "onnx", {"config.json": "{}", "onnx/model.onnx": b"x"})
    with FixtureHub(Served("sentence-transformers/tiny", served)) as fixture:
        model = resolve(replace(WANTED, repo="tiny"), Hub(fixture.url), store, progress=heard)
    assert (model.repo, model.weights) == ("sentence-transformers/tiny", WeightsKind.ONNX)
    assert heard.said == [
        "tiny is sentence-transformers/tiny on the Hub",
        "sentence-transformers/tiny: no safetensors weights there: onnx is taken",
    ]


def test_code_of_other_repositories_is_locked_too(tmp_path: Path, store: Store) -> None:
    config = {"auto_map": {"AutoModel": "org/code--module.Model", "AutoTokenizer": ["own.Fast", None]}}
    modules = [{"path": "", "type": "org/more--transformer.Custom"}]
    model_dir = lay_out(
        tmp_path / "m",
        {
            "config.json": json.dumps(config),
            "modules.json": json.dumps(modules),
            "own.py": "",
            "model.safetensors": b"x",
        },
    )
    code_dir = lay_out(tmp_path / "c", {"module.py": "import helper", "helper.py": "", "weights.bin": b"x"})
    more_dir = lay_out(tmp_path / "d", {"transformer.py": ""})
    with FixtureHub(
        Served(REPO, model_dir), Served("org/code", code_dir), Served("org/more", more_dir)
    ) as fixture:  # fmt: skip
        hub = Hub(fixture.url)
        assert resolve(WANTED, hub, store).code == ()
        model = resolve(replace(WANTED, trust_remote_code=True), hub, store)
        assert "own.py" in {file.path for file in model.files}
        assert [(code.repo, code.commit, [file.path for file in code.files]) for code in model.code] == [
            ("org/code", fixture.commit("org/code"), ["helper.py", "module.py"]),
            ("org/more", fixture.commit("org/more"), ["transformer.py"]),
        ]
        assert all(file.sha256 for code in model.code for file in code.files)


def test_weights_are_not_fetched_even_where_a_json_is_in_lfs(tmp_path: Path, store: Store) -> None:
    large = json.dumps({"vocab": "x" * 10_000_001})
    served = lay_out(tmp_path / "big", {"config.json": "{}", "tokenizer.json": large, "model.safetensors": WEIGHTS})
    with FixtureHub(Served(REPO, served)) as fixture:
        model = resolve(WANTED, Hub(fixture.url), store)
        assert fixture.count("GET", "tokenizer.json") == 0
        assert {file.path: file.git for file in model.files}["tokenizer.json"] == ""


@pytest.mark.parametrize(
    ("repo", "task", "full"),
    [
        ("all-MiniLM-L6-v2", Task.EMBED, "sentence-transformers/all-MiniLM-L6-v2"),
        ("ms-marco-MiniLM-L6-v2", Task.RERANK, "cross-encoder/ms-marco-MiniLM-L6-v2"),
        ("bert-base-uncased", Task.EMBED, "bert-base-uncased"),
        ("BERT-base-uncased", Task.RERANK, "BERT-base-uncased"),
        ("gpt2-like", Task.CLASSIFY, "gpt2-like"),
        ("BAAI/bge-m3", Task.EMBED, "BAAI/bge-m3"),
    ],
)
def test_bare_names(repo: str, task: Task, full: str) -> None:
    assert full_name(repo, task) == full


@pytest.mark.torch
def test_bare_names_are_those_of_sentence_transformers() -> None:
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from sentence_transformers.util import misc

    assert frozenset(misc.ORIGINAL_TRANSFORMER_MODELS) == ORIGINAL
    assert SentenceTransformer.default_huggingface_organization == full_name("x", Task.EMBED).split("/")[0]
    assert CrossEncoder.default_huggingface_organization == full_name("x", Task.RERANK).split("/")[0]


def test_that_it_is_gated_is_locked(folder: Path, store: Store) -> None:
    with FixtureHub(Served(REPO, folder, gated=True), token="t0ken") as fixture:
        model = resolve(WANTED, Hub(fixture.url, "t0ken", token_for_other_hubs=True), store)
    assert model.gated
