"""Bad models and bad inputs, the table: each one clear error, and a process that lives and answers others."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from hardtack.errors import HardtackError, Mismatch, Misused, UnsupportedModel
from hardtack.runtime import choosing
from hardtack.runtime.load import Options, load_model
from hardtack.spec.words import Precision, Task
from tests.coded import make_coded
from tests.models import make_bert, make_distilbert, make_llama, make_mpnet, make_roberta, make_static, make_t5
from tests.runtime.fakes import lock_of

WARM = "the kitchen light turns on at seven"


def load(directory: Path, task: Task = Task.EMBED, **named: Any) -> Any:
    return load_model(
        directory, task, options=Options(precision=Precision.FP32), **{"locked": None, "source": "path", **named}
    )


@pytest.fixture(autouse=True)
def _no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch makes of such models is a matter of its own tests."""
    monkeypatch.setattr(choosing, "find_spec", lambda _: None)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load(make_bert(tmp_path_factory.mktemp("good")))


@pytest.fixture(autouse=True)
def _process_lives(good: Any) -> Any:
    before = good.encode(WARM)
    yield
    np.testing.assert_array_equal(good.encode(WARM), before)


# ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def retensored(directory: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    file = directory / "model.safetensors"
    tensors = {name: array.copy() for name, array in load_file(file).items()}
    change(tensors)
    save_file(tensors, file)
    return directory


def reconfigured(directory: Path, name: str = "config.json", **values: Any) -> Path:
    known = json.loads((directory / name).read_text()) if (directory / name).exists() else {}
    (directory / name).write_text(json.dumps(known | values))
    return directory


def without(path: Path) -> Path:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return path.parent


def with_pickle(directory: Path) -> Path:
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    return directory


def as_pointer(directory: Path) -> Path:
    (directory / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    return directory


def cut_short(directory: Path) -> Path:
    file = directory / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    return directory


EMBEDDING = "embeddings.word_embeddings.weight"
MODELS: dict[str, tuple[Callable[[Path], Path], type[HardtackError], str]] = {
    "a module's folder is missing": (lambda d: without(make_bert(d, dense=(12,)) / "2_Dense"), UnsupportedModel,
                                     "2_Dense/model.safetensors"),
    "the pooling's config is missing": (lambda d: without(make_bert(d) / "1_Pooling"), UnsupportedModel,
                                        "1_Pooling/config.json"),
    "the tokenizer is missing": (lambda d: without(make_bert(d) / "tokenizer.json"), UnsupportedModel,
                                 "tokenizer.json"),
    "a tensor of another shape": (lambda d: reconfigured(make_bert(d), intermediate_size=33), UnsupportedModel,
                                  "model.safetensors"),
    "a tensor is missing": (lambda d: retensored(make_bert(d), lambda t: t.pop("encoder.layer.1.output.dense.bias")),
                            UnsupportedModel, "model.safetensors"),
    "a Dense of another width": (lambda d: reconfigured(make_bert(d, dense=(12,)), "2_Dense/config.json",
                                                        in_features=15), UnsupportedModel, "2_Dense/model.safetensors"),
    "weights of another architecture": (lambda d: reconfigured(make_mpnet(d), model_type="bert"), UnsupportedModel,
                                        "model.safetensors"),
    "an architecture nobody knows": (lambda d: make_bert(d, model_type="unheard-of"), UnsupportedModel,
                                     "config.json: model_type"),
    "an activation nobody knows": (lambda d: make_bert(d, hidden_act="mish"), UnsupportedModel,
                                   "config.json: hidden_act"),
    "pickled weights": (lambda d: with_pickle(make_bert(d)), UnsupportedModel, ""),
    "a module's pickled weights": (lambda d: with_pickle(make_bert(d, dense=(12,)) / "2_Dense").parent,
                                   UnsupportedModel, "2_Dense/model.safetensors"),
    "remote code": (make_coded, UnsupportedModel, "config.json: model_type"),
    "a git-LFS pointer": (lambda d: as_pointer(make_bert(d)), Mismatch, "model.safetensors"),
    "weights cut short": (lambda d: cut_short(make_bert(d)), Mismatch, "model.safetensors"),
    "positions that do not add up": (lambda d: make_llama(d, rope_scaling={"rope_type": "yarn", "factor": 2.0}),
                                     UnsupportedModel, "config.json: rope_scaling.rope_type"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_bad_model_is_one_clear_error(name: str, tmp_path: Path) -> None:
    make, kind, where = MODELS[name]
    with pytest.raises(kind) as problem:
        load(make(tmp_path / "model"))
    assert problem.value.where.endswith(where)
    assert all(problem.value.fields().values()), problem.value.fields()


def test_nan_weights_give_no_vector(tmp_path: Path) -> None:
    model = load(retensored(make_bert(tmp_path), lambda t: t[EMBEDDING].fill(np.nan)))
    with pytest.raises(UnsupportedModel, match="no number"):
        model.encode(WARM)


def test_nan_weights_give_no_label(tmp_path: Path) -> None:
    model = load(retensored(make_t5(tmp_path), lambda t: t["lm_head.weight"].fill(np.inf)), Task.CLASSIFY)
    with pytest.raises(UnsupportedModel, match="no number"):
        model.classify(WARM, labels=["energy", "comfort"], prompt="{text}")


@pytest.mark.parametrize("make", [make_bert, make_static])
def test_a_tokenizer_of_another_vocabulary(make: Callable[[Path], Path], tmp_path: Path) -> None:
    """Its ids have no row in the embedding: neither a crash nor another row."""
    directory = make(tmp_path)
    name = "embeddings" if make is make_static else EMBEDDING
    retensored(directory, lambda t: t.update({name: t[name][:12].copy()}))
    if make is make_bert:
        reconfigured(directory, vocab_size=12)
    with pytest.raises(UnsupportedModel, match="no row") as problem:
        load(directory).encode(WARM)
    assert problem.value.where.endswith("tokenizer.json")
    assert problem.value.mend


def test_a_lock_that_says_pickle_still_wants_torch(tmp_path: Path) -> None:
    from hardtack.spec.words import WeightsKind

    directory = with_pickle(make_bert(tmp_path))
    with pytest.raises(UnsupportedModel, match="Only torch reads pickled weights") as problem:
        load(directory, locked=replace(lock_of(directory), weights=WeightsKind.PICKLE))
    assert "hardtack[torch]" in problem.value.mend


# ── inputs ───────────────────────────────────────────────────────────────────────────────────────────────────────────

LONG = "light " * 200_000


@pytest.mark.parametrize("make", [make_bert, make_distilbert, make_roberta, make_mpnet, make_llama])
def test_a_text_of_200_000_tokens_is_cut_where_the_model_has_a_length(make: Any, tmp_path: Path) -> None:
    model = load(make(tmp_path))
    short = " ".join(LONG.split()[: model.max_seq_length + 5])
    np.testing.assert_allclose(model.encode(LONG), model.encode(short), atol=1e-6)


def test_a_text_of_200_000_tokens_is_averaged_by_a_static_model(tmp_path: Path) -> None:
    model = load(make_static(tmp_path))
    np.testing.assert_allclose(model.encode(LONG), model.encode("light"), atol=5e-3)  # 200,000 additions in float32


def test_a_text_of_200_000_tokens_without_any_length_is_refused(tmp_path: Path) -> None:
    directory = reconfigured(make_t5(tmp_path, Task.EMBED), "tokenizer_config.json", model_max_length=None)
    model = load(directory)
    with pytest.raises(Misused, match="longer than what fits in memory") as problem:
        model.encode(["short", LONG])
    assert problem.value.where == "input 1"
    assert "max-length" in problem.value.mend
    assert model.encode("short").shape == (16,)


INPUTS: dict[str, tuple[Any, str]] = {
    "none": (None, "neither a text nor a sequence"),
    "a number": (7, "neither a text nor a sequence"),
    "bytes": (b"light", "neither a text nor a sequence"),
    "a mapping": ({"text": "light"}, "neither a text nor a sequence"),
    "a number among texts": (["light", 7], "not a string"),
    "nothing among texts": (["light", None], "not a string"),
    "a pair among texts": (["light", ("a", "b")], "not a string"),
    "half a surrogate pair": (["light", "\ud83d"], "surrogate"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_a_bad_input_is_one_clear_error(name: str, good: Any) -> None:
    given, message = INPUTS[name]
    with pytest.raises(Misused, match=message) as problem:
        good.encode(given)
    assert all(problem.value.fields().values()), problem.value.fields()


def test_empty_inputs_have_empty_answers(good: Any, tmp_path: Path) -> None:
    assert good.encode([]).shape == (0, 16)
    assert np.isfinite(good.encode("")).all()
    ranker = load(make_bert(tmp_path / "ranker", Task.RERANK), Task.RERANK)
    assert ranker.rank(WARM, []) == []
    assert ranker.predict([]).shape == (0,)
    assert np.isfinite(ranker.predict([("", "")])).all()
    classifier = load(make_t5(tmp_path / "t5"), Task.CLASSIFY)
    assert classifier.classify([], labels=["energy", "comfort"], prompt="{text}") == []
    assert classifier.classify("", labels=["energy", "comfort"], prompt="{text}")["label"] in ("energy", "comfort")


@pytest.mark.parametrize("label", ["", " "])
def test_a_label_that_tokenizes_to_nothing(label: str, tmp_path: Path) -> None:
    model = load(make_t5(tmp_path), Task.CLASSIFY)
    with pytest.raises(Misused, match="no tokens") as problem:
        model.classify(WARM, labels=["energy", label], prompt="{text}")
    assert problem.value.found == repr(label)
    assert model.classify(WARM, labels=["energy", "comfort"], prompt="{text}")["label"]


@pytest.mark.parametrize("documents", ["one text", {"description": "x"}, ["fine", 7], [{"text": "elsewhere"}], [None]])
def test_bad_documents(documents: Any, tmp_path: Path) -> None:
    with pytest.raises(Misused):
        load(make_bert(tmp_path, Task.RERANK), Task.RERANK).rank(WARM, documents)


# ── from an event loop ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_async_variants_answer_as_the_others_and_refuse_as_they_do(good: Any, tmp_path: Path) -> None:
    ranker = load(make_bert(tmp_path / "ranker", Task.RERANK), Task.RERANK)
    classifier = load(make_bert(tmp_path / "head", Task.RERANK, labels=("high", "low")), Task.CLASSIFY)
    texts = [WARM, "a cat", "the dog"]

    async def ask() -> tuple[Any, ...]:
        with pytest.raises(Misused):
            await good.aencode([7])
        return await asyncio.gather(
            good.aencode(texts, batch_size=1), good.aencode_query(texts), good.aencode_document(texts),
            ranker.arank(WARM, texts, top_k=2), ranker.apredict([(WARM, "a cat")]), classifier.aclassify(texts),
        )  # fmt: skip

    vectors, queries, documents, ranked, scores, labels = asyncio.run(ask())
    np.testing.assert_allclose(vectors, good.encode(texts), atol=1e-6)
    np.testing.assert_allclose(queries, vectors, atol=1e-6)
    np.testing.assert_allclose(documents, vectors, atol=1e-6)
    assert [row["corpus_id"] for row in ranked] == [row["corpus_id"] for row in ranker.rank(WARM, texts, top_k=2)]
    np.testing.assert_allclose(scores, ranker.predict([(WARM, "a cat")]), atol=1e-6)
    assert labels == classifier.classify(texts)
