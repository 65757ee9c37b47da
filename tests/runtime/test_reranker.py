from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hardtack.errors import Misused, UnsupportedModel
from hardtack.runtime.engines.interface import Feed
from hardtack.runtime.reranker import ARGUMENTS, PREDICT_ARGUMENTS, Reranker, identity, sigmoid, softmax
from hardtack.spec.words import Task
from tests.runtime.fakes import NumpyEngine, a_layout, an_identity, overlap, the_tokens

DOCUMENTS = ["blue", "red light is on", "green", "red on", "b c d e " * 10]


def a_reranker(
    width: int = 1, answer: Callable[[Feed], NDArray[np.float32]] = overlap, max_length: int | None = 16, **layout: Any
) -> Reranker:
    given = {"labels": tuple(f"LABEL_{n}" for n in range(width))} | layout
    described = a_layout(Task.RERANK, max_length=max_length, **given)
    return Reranker(an_identity(), described, NumpyEngine(width, answer), the_tokens(described))


def three_scores(feed: Feed) -> NDArray[np.float32]:
    rows = overlap(feed)
    return np.concatenate((rows, rows * 2, -rows), axis=1)


def test_the_best_comes_first_and_equals_keep_their_order() -> None:
    ranked = a_reranker().rank("red light on", DOCUMENTS)
    assert [row["corpus_id"] for row in ranked] == [1, 3, 0, 2, 4]
    assert ranked[0] == {"corpus_id": 1, "score": pytest.approx(1 / (1 + np.exp(-2)))}
    assert [type(value) for value in ranked[0].values()] == [int, float]


def test_top_k_and_documents() -> None:
    reranker = a_reranker()
    assert len(reranker.rank("red", DOCUMENTS, top_k=2)) == 2
    assert len(reranker.rank("red", DOCUMENTS, top_k=99)) == 5
    assert reranker.rank("red", DOCUMENTS, top_k=0) == []
    assert reranker.rank("red", DOCUMENTS, top_k=1, return_documents=True)[0]["text"] == "red light is on"
    assert reranker.rank("red", []) == []
    for bad in (-1, 1.5, True):
        with pytest.raises(Misused):
            reranker.rank("red", DOCUMENTS, top_k=bad)  # type: ignore[arg-type]


def test_documents_may_be_mappings() -> None:
    reranker = a_reranker()
    documents: list[str | dict[str, Any]] = [
        {"description": "blue", "id": 7},
        "red",
        {"description": "red light", "id": 8},
    ]
    ranked = reranker.rank("red light", documents, return_documents=True)
    assert [row["corpus_id"] for row in ranked] == [2, 1, 0]
    assert ranked[0]["text"] is documents[2]
    assert reranker.rank("red", [{"body": "red"}], text="body")[0]["corpus_id"] == 0


@pytest.mark.parametrize("document", [{"id": 7}, {"description": None}, {"description": ["red"]}, None, 5, ("a", "b")])
def test_a_document_without_text_is_an_error_and_not_its_repr(document: Any) -> None:
    with pytest.raises(Misused) as problem:
        a_reranker().rank("red", ["blue", document])
    assert problem.value.where == "document 1"


@pytest.mark.parametrize("documents", ["red", {"description": "red"}])
def test_one_document_is_no_sequence_of_them(documents: Any) -> None:
    with pytest.raises(Misused):
        a_reranker().rank("red", documents)


def test_a_query_is_text() -> None:
    for query in (None, ["red"], 5):
        with pytest.raises(Misused):
            a_reranker().rank(query, DOCUMENTS)  # type: ignore[arg-type]


def test_predict_shapes() -> None:
    reranker = a_reranker()
    pairs = [("red", "red"), ["red", "blue"]]
    assert reranker.predict(pairs).shape == (2,)
    assert reranker.predict([]).shape == (0,)
    one = reranker.predict(("red", "red"))
    assert one == reranker.predict(pairs)[0]
    assert np.ndim(one) == 0
    several = a_reranker(3, three_scores)
    assert several.predict(pairs).shape == (2, 3)
    assert several.predict([]).shape == (0, 3)
    assert several.predict(("red", "red")).shape == (3,)


@pytest.mark.parametrize("bad", ["red", ["red"], [("a",)], [("a", "b", "c")], [("a", None)], ["a", "b", "c"], [5]])
def test_what_is_not_a_pair_is_refused(bad: Any) -> None:
    with pytest.raises(Misused):
        a_reranker().predict(bad)


def test_activations() -> None:
    pairs = [("red light on", "red light on"), ("red", "blue")]
    logits = np.array([2.0, -1.0], dtype=np.float32)
    same = np.testing.assert_allclose
    same(a_reranker().predict(pairs), sigmoid(logits), rtol=1e-6)
    same(a_reranker(activation="identity").predict(pairs), logits)
    same(a_reranker().predict(pairs, activation_fn="identity"), logits)
    same(a_reranker().predict(pairs, activation_fn=np.tanh), np.tanh(logits), rtol=1e-6)
    rows = np.stack((logits, logits * 2, -logits), axis=1)
    same(a_reranker(3, three_scores).predict(pairs), rows)
    same(a_reranker(3, three_scores, activation="sigmoid").predict(pairs), sigmoid(rows), rtol=1e-6)
    same(a_reranker(3, three_scores).predict(pairs, apply_softmax=True), softmax(rows), rtol=1e-6)
    same(a_reranker().predict(pairs, apply_softmax=True), sigmoid(logits), rtol=1e-6)


def test_torchs_own_activations_are_known_by_name() -> None:
    sigmoids = type("Sigmoid", (), {"__module__": "torch.nn.modules.activation"})()
    identities = type("Identity", (), {"__module__": "torch.nn.modules.linear"})()
    pair = ("red light on", "red light on")
    assert a_reranker().predict(pair, activation_fn=identities) == 2
    assert a_reranker(activation="identity").predict(pair, activation_fn=sigmoids) == pytest.approx(0.880797)


def test_activations_that_are_none() -> None:
    for bad in ("relu", 5):
        with pytest.raises(Misused):
            a_reranker().predict(("a", "b"), activation_fn=bad)
    with pytest.raises(UnsupportedModel):
        a_reranker(activation="gelu").predict(("a", "b"))


def test_ends_of_the_scale() -> None:
    far = np.array([-1e4, -90, 0, 90, 1e4], dtype=np.float32)
    assert sigmoid(far).tolist() == pytest.approx([0, 0, 0.5, 1, 1])
    assert softmax(far[None])[0].tolist() == [0, 0, 0, 0, 1]
    assert identity(far) is far


def test_several_scores_cannot_rank() -> None:
    with pytest.raises(Misused) as problem:
        a_reranker(3, three_scores).rank("red", DOCUMENTS)
    assert "LABEL_2" in problem.value.found


@pytest.mark.parametrize(
    "bad", [{"prompt": "x"}, {"device": "cuda"}, {"pool": {}}, {"num_workers": 2}, {"batch_size": 0}]
)
def test_what_is_refused(bad: Mapping[str, Any]) -> None:
    with pytest.raises(Misused):
        a_reranker().rank("red", DOCUMENTS, **bad)
    with pytest.raises(Misused):
        a_reranker().predict([("a", "b")], **bad)


def test_progress_and_ignored_arguments() -> None:
    told: list[tuple[int, int]] = []
    a_reranker().rank(
        "red", DOCUMENTS, show_progress_bar=True, batch_size=2, progress=lambda done, of: told.append((done, of))
    )
    assert told[-1] == (5, 5)


@pytest.mark.torch
def test_the_tables_of_arguments_are_those_of_the_installed_library() -> None:
    from sentence_transformers import CrossEncoder

    for theirs, table, ours, own in (
        (CrossEncoder.rank, ARGUMENTS, Reranker.rank, {"self", "progress", "others", "text"}),
        (CrossEncoder.predict, PREDICT_ARGUMENTS, Reranker.predict, {"self", "progress", "others"}),
    ):
        names = {name for name in inspect.signature(theirs).parameters if name not in ("self", "kwargs")}
        assert names == set(table)
        supported = {name for name, standing in table.items() if standing == "supported"}
        assert supported == set(inspect.signature(ours).parameters) - own
