from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from hardtack.errors import DiskError, Mismatch, Misused, ModelNotFound, UnsupportedModel, Unverified
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.layout import Layout
from hardtack.runtime.load import Options, load_model
from hardtack.runtime.reranker import Reranker
from hardtack.runtime.weights import Weights
from hardtack.settings import Verify
from hardtack.spec.lock import LockedModel, Overrides
from hardtack.spec.words import EngineName, Precision, Task
from tests.runtime.fakes import COMMIT, NumpyEngine, lay_out_model, lock_of, open_fake

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 90868376\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return lay_out_model(tmp_path / "emb")


def load(directory: Path, locked: LockedModel | None, source: str = "pantry", **options: Any) -> Embedder:
    made = load_model(
        directory, Task.EMBED, locked=locked, source=source, options=Options(**options), open_engine=open_fake
    )
    assert isinstance(made, Embedder)
    return made


def test_a_locked_model_knows_who_it_is_and_answers(directory: Path) -> None:
    locked = lock_of(directory)
    embedder = load(directory, locked)
    assert embedder.encode(["red", "blue"]).shape == (2, 4)
    assert (embedder.key, embedder.commit, embedder.digest, embedder.source) == ("emb", COMMIT, locked.digest, "pantry")
    assert embedder.identity.verified == "full"
    assert embedder.identity.seconds > 0
    assert embedder.max_seq_length == 32


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def point(path: Path) -> None:
    path.write_bytes(POINTER)


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "one bit": (flip, "sha256 "),
    "cut short": (cut, "bytes"),
    "missing": (Path.unlink, "no such file"),
    "a pointer": (point, "git-LFS pointer"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "model.safetensors", "vocab.txt", "1_Pooling/config.json"]
)
def test_whatever_is_not_what_the_lock_says_is_never_answered_from(directory: Path, name: str, damage: str) -> None:
    (directory / "1_Pooling").mkdir()
    (directory / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    (directory / "vocab.txt").write_text("nobody reads this")
    locked = lock_of(directory)
    hurt, found = DAMAGE[damage]
    hurt(directory / name)
    with pytest.raises(Mismatch) as problem:
        load(directory, locked)
    assert problem.value.where == str(directory / name)
    assert found in problem.value.found
    assert problem.value.expected
    assert problem.value.mend == "hardtack bake"


def test_what_is_parsed_is_hashed_before_it_is_parsed(directory: Path) -> None:
    locked = lock_of(directory)
    size = (directory / "config.json").stat().st_size
    (directory / "config.json").write_text("[".ljust(size))  # would be a complaint about JSON
    with pytest.raises(Mismatch, match="not what the lock says"):
        load(directory, locked)


@pytest.mark.parametrize(
    ("source", "mend"), [("store", "hardtack pull"), ("local", "hardtack lock"), ("path", "hardtack verify")]
)
def test_the_mend_is_that_of_the_place(directory: Path, source: str, mend: str) -> None:
    locked = lock_of(directory)
    flip(directory / "tokenizer.json")
    with pytest.raises(Mismatch) as problem:
        load(directory, locked, source)
    assert problem.value.mend == mend


def test_stat_looks_at_sizes_only_and_says_so(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    locked = lock_of(directory)
    flip(directory / "model.safetensors")
    embedder = load(directory, locked, verify=Verify.STAT)
    assert embedder.identity.verified == "stat"
    assert "HARDTACK_VERIFY=stat" in caplog.text
    cut(directory / "model.safetensors")
    with pytest.raises(Mismatch):
        load(directory, locked, verify=Verify.STAT)


def test_a_file_that_is_swapped_while_it_is_loaded(directory: Path) -> None:
    locked = lock_of(directory)

    def swap(layout: Layout, weights: Weights, options: Options) -> NumpyEngine:
        # the same bytes, so every hash is right; but what was read is not provably what was hashed
        for name in ("config.json", "model.safetensors"):
            (directory / "new").write_bytes((directory / name).read_bytes())
            (directory / "new").replace(directory / name)
        return open_fake(layout, weights, options)

    with pytest.raises(Mismatch) as problem:
        load_model(directory, Task.EMBED, locked=locked, source="store", open_engine=swap)
    assert "changed while it was loaded" in problem.value.found


def test_the_mapping_that_runs_is_the_one_that_is_hashed(directory: Path) -> None:
    # the file by its name is right all the time; what was mapped is another one
    locked = lock_of(directory)
    right = (directory / "model.safetensors").read_bytes()
    save_file({"weight": np.ones(64, dtype=np.float32)}, directory / "model.safetensors")
    seen: list[NumpyEngine] = []

    def restore(layout: Layout, weights: Weights, options: Options) -> NumpyEngine:
        (directory / "new").write_bytes(right)
        (directory / "new").replace(directory / "model.safetensors")
        seen.append(open_fake(layout, weights, options))
        return seen[0]

    with pytest.raises(Mismatch, match="not what the lock says"):
        load_model(directory, Task.EMBED, locked=locked, source="store", open_engine=restore)
    assert seen[0].closed


def test_no_lock_is_said_once_and_the_digest_is_what_was_read(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = load(directory, None, "path")
    assert [record.levelname for record in caplog.records if "unverified" in record.message] == ["WARNING"]
    assert (embedder.identity.verified, embedder.commit, embedder.key) == ("no", "", "emb")
    assert embedder.digest == lock_of(directory).digest
    assert embedder.space == load(directory, None, "path").space != ""
    flip(directory / "model.safetensors")
    assert load(directory, None, "path").space != embedder.space


def test_no_lock_is_refused_where_the_policy_is_strict(directory: Path) -> None:
    with pytest.raises(Unverified):
        load(directory, None, "path", strict=True)
    assert load(directory, lock_of(directory), strict=True).identity.verified == "full"


@pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors"])
def test_a_pointer_is_found_without_a_lock_too(directory: Path, name: str) -> None:
    point(directory / name)
    with pytest.raises(Mismatch) as problem:
        load(directory, None, "path")
    assert "git-LFS pointer" in problem.value.found


def test_one_line_a_load(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="hardtack")
    load(directory, lock_of(directory))
    (record,) = (record for record in caplog.records if record.name == "hardtack")
    assert record.levelname == "INFO"
    for part in (
        "emb",
        f"org/tiny@{COMMIT}",
        str(directory),
        "dim 4",
        "numpy",
        "fp32",
        "cpu",
        "verified full",
        " s",
        "MB",
    ):
        assert part in record.getMessage()


def test_another_task_than_the_locks(directory: Path) -> None:
    with pytest.raises(Misused) as problem:
        load(directory, lock_of(directory, task=Task.RERANK))
    assert "load_reranker" in problem.value.mend


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        load(tmp_path / "nothing", None, "path")


def test_pickles_are_not_opened(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    with pytest.raises(UnsupportedModel) as problem:
        load(directory, None, "path")
    assert problem.value.found == "pytorch_model.bin"
    assert problem.value.mend.startswith("hardtack add")


@pytest.mark.parametrize("wish", [{"engine": EngineName.TORCH}, {"engine": EngineName.NATIVE}, {"device": "cuda:0"}])
def test_an_engine_that_is_not_here(directory: Path, wish: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedModel):
        load_model(directory, Task.EMBED, locked=None, source="path", options=Options(**wish))


def test_the_locks_wishes_hold_unless_the_caller_has_others(directory: Path) -> None:
    asked: list[Options] = []

    def note(layout: Layout, weights: Weights, options: Options) -> NumpyEngine:
        asked.append(options)
        return open_fake(layout, weights, options)

    locked = lock_of(directory, engine=EngineName.OPENVINO, precision=Precision.FP32)
    for options in (Options(), Options(precision=Precision.BF16)):
        load_model(directory, Task.EMBED, locked=locked, source="store", options=options, open_engine=note)
    assert [(each.engine, each.precision) for each in asked] == [
        (EngineName.OPENVINO, Precision.FP32),
        (EngineName.OPENVINO, Precision.BF16),
    ]


def test_the_locks_overrides_hold(directory: Path) -> None:
    locked = lock_of(directory, overrides=Overrides(max_length=8, prompts={"query": "red "}))
    embedder = load(directory, locked)
    assert (embedder.max_seq_length, dict(embedder.prompts)) == (8, {"query": "red "})


def test_only_a_pantry_holds_what_bake_added(directory: Path) -> None:
    locked = lock_of(directory)
    (directory / "hardtack").mkdir()
    (directory / "hardtack" / "golden.json").write_text("{}")
    whole = lock_of(directory)
    added = tuple(file for file in whole.files if file not in locked.files)
    carried = lock_of(directory, added=added)
    carried = LockedModel(key="emb", task=Task.EMBED, files=locked.files, added=carried.added, digest=locked.digest)
    (directory / "hardtack" / "golden.json").unlink()
    load(directory, carried, "store")
    with pytest.raises(Mismatch):
        load(directory, carried, "pantry")


def test_a_reranker_and_a_classifier(tmp_path: Path) -> None:
    directory = lay_out_model(tmp_path / "rerank", labels=1)
    made = load_model(directory, Task.RERANK, locked=None, source="path", open_engine=open_fake)
    assert isinstance(made, Reranker)
    assert made.rank("red", ["blue"])[0]["corpus_id"] == 0
    directory = lay_out_model(tmp_path / "classify", labels=3)
    made = load_model(directory, Task.CLASSIFY, locked=None, source="path", open_engine=open_fake)
    assert json.loads(json.dumps(made.info))["task"] == "classify"


def test_an_engine_that_cannot_be_opened_leaves_no_thread(directory: Path) -> None:
    def broken(layout: Layout, weights: Weights, options: Options) -> NumpyEngine:
        raise UnsupportedModel("no")

    with pytest.raises(UnsupportedModel):
        load_model(directory, Task.EMBED, locked=lock_of(directory), source="store", open_engine=broken)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(directory: Path) -> None:
    locked = lock_of(directory)
    (directory / "tokenizer.json").chmod(0)
    with pytest.raises(DiskError):
        load(directory, locked)
