from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hardtack.runtime.embedder import Embedder
from hardtack.runtime.load import load_model
from hardtack.runtime.reranker import Reranker
from hardtack.spec.words import Task
from tests.serve.serving import Serving

TEXTS = ["light turns on", "heating off", "pattern"]


@pytest.fixture(scope="module")
def embedder(pantry: Path) -> Embedder:
    model = load_model(pantry / "emb", Task.EMBED, locked=None, source="path")
    assert isinstance(model, Embedder)
    return model


@pytest.fixture(scope="module")
def reranker(pantry: Path) -> Reranker:
    model = load_model(pantry / "rerank", Task.RERANK, locked=None, source="path")
    assert isinstance(model, Reranker)
    return model


def test_openai_floats(served: Serving, embedder: Embedder) -> None:
    said = served.post("/v1/embeddings", {"model": "tiny/bert", "input": TEXTS}).json
    assert [each["index"] for each in said["data"]] == [0, 1, 2]
    assert said["model"] == "tiny/bert"
    assert said["usage"]["prompt_tokens"] == sum(len(each) for each in embedder.tokens.texts(TEXTS))
    np.testing.assert_allclose([each["embedding"] for each in said["data"]], embedder.encode(TEXTS), atol=1e-5)


def test_openai_base64_is_the_very_bytes(served: Serving, embedder: Embedder) -> None:
    said = served.post("/v1/embeddings", {"model": "emb", "input": TEXTS, "encoding_format": "base64"}).json
    rows = [np.frombuffer(base64.b64decode(each["embedding"]), "<f4") for each in said["data"]]
    np.testing.assert_array_equal(rows, embedder.encode(TEXTS))


def test_openai_takes_one_string(served: Serving, embedder: Embedder) -> None:
    said = served.post("/v1/embeddings", {"model": "emb", "input": TEXTS[0]}).json
    np.testing.assert_allclose(said["data"][0]["embedding"], embedder.encode(TEXTS[0]), atol=1e-5)


@pytest.mark.parametrize("ids", [[5, 6], [[5, 6], [7]]])
def test_openai_refuses_token_ids_and_says_what_to_do(served: Serving, ids: object) -> None:
    said = served.post("/v1/embeddings", {"model": "emb", "input": ids})
    assert said.status == 400
    assert "check_embedding_ctx_length=False" in said.json["error"]["message"]
    assert said.json["error"]["param"] == "input"


def test_openai_dimensions_where_the_model_allows_none(served: Serving, embedder: Embedder) -> None:
    whole = served.post("/v1/embeddings", {"model": "emb", "input": "x", "dimensions": embedder.dim})
    assert whole.status == 200
    cut = served.post("/v1/embeddings", {"model": "emb", "input": "x", "dimensions": 4})
    assert (cut.status, cut.json["error"]["param"]) == (400, "dimensions")


def test_openai_models(served: Serving) -> None:
    said = served.get("/v1/models").json
    assert {each["id"]: each["task"] for each in said["data"]} == {
        "classify": "classify",
        "emb": "embed",
        "rerank": "rerank",
        "static": "embed",
    }
    assert all(each["loaded"] for each in said["data"])


def test_openai_says_no_in_its_own_form(served: Serving) -> None:
    unknown = served.post("/v1/embeddings", {"model": "text-embedding-3-small", "input": "x"})
    assert (unknown.status, unknown.json["error"]["code"]) == (404, "model_not_found")
    wrong = served.post("/v1/embeddings", {"model": "rerank", "input": "x"})
    assert (wrong.status, wrong.json["error"]["type"]) == (400, "invalid_request_error")
    several = served.post("/v1/embeddings", {"input": "x"})
    assert several.status == 404
    assert "emb, static" in several.json["error"]["message"]


def test_a_path_may_name_the_model(served: Serving) -> None:
    said = served.post("/models/static/v1/embeddings", {"input": "light"})
    assert len(said.json["data"][0]["embedding"]) == 8


def test_tei_embed(served: Serving, embedder: Embedder) -> None:
    np.testing.assert_allclose(
        served.post("/models/emb/embed", {"inputs": TEXTS}).json, embedder.encode(TEXTS), atol=1e-5
    )
    np.testing.assert_allclose(
        served.post("/embed?model=emb", {"inputs": TEXTS[0]}).json, embedder.encode(TEXTS[:1]), atol=1e-5
    )
    assert (
        served.post("/models/emb", {"inputs": TEXTS[0]}).json
        == served.post("/", {"inputs": TEXTS[0], "model": "emb"}).json
    )


def test_tei_embed_all_has_a_vector_for_each_token(served: Serving, embedder: Embedder) -> None:
    said = served.post("/models/emb/embed_all", {"inputs": TEXTS}).json
    wanted = embedder.encode_each_token(embedder.tokenize(TEXTS))
    assert [len(each) for each in said] == [len(each) for each in wanted]
    for ours, theirs in zip(said, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    one = served.post("/embed_all?model=emb", {"inputs": TEXTS[0]}).json
    np.testing.assert_allclose(one, [wanted[0]], atol=1e-5)


def test_tei_embed_all_beside_embed(served: Serving, embedder: Embedder) -> None:
    with ThreadPoolExecutor(8) as threads:
        asked = [
            threads.submit(served.post, f"/models/emb/{path}", {"inputs": TEXTS}) for path in ("embed", "embed_all") * 8
        ]
    for pooled in asked[::2]:
        np.testing.assert_allclose(pooled.result().json, embedder.encode(TEXTS), atol=1e-5)
    assert all(len(each.result().json) == len(TEXTS) for each in asked[1::2])


def test_tei_embed_all_has_an_end(served: Serving, embedder: Embedder) -> None:
    long = "light " * 500
    said = served.post("/models/emb/embed_all", {"inputs": [long] * 64})
    assert said.status == 200
    assert {len(each) for each in said.json} == {embedder.max_seq_length}
    uncut = served.post("/models/emb/embed_all", {"inputs": long, "truncate": False})
    assert (uncut.status, uncut.json["error_type"]) == (413, "Validation")
    many = served.post("/models/static/embed_all", {"inputs": ["light " * 1000] * 9})
    assert (many.status, many.json["error_type"]) == (413, "Validation")
    assert "8192" in many.json["error"]


def test_tei_embed_all_refuses_other_tasks_and_prompts(served: Serving) -> None:
    assert served.post("/models/rerank/embed_all", {"inputs": "light"}).status == 424
    assert served.post("/models/emb/embed_all", {"inputs": "light", "prompt_name": "query"}).status == 422


def test_tei_refuses_what_is_too_long_where_it_may_not_cut(served: Serving) -> None:
    long = "light " * 500
    assert served.post("/models/emb/embed", {"inputs": long}).status == 200
    said = served.post("/models/emb/embed", {"inputs": long, "truncate": False})
    assert (said.status, said.json["error_type"]) == (413, "Validation")


def test_tei_normalize_false_of_a_model_that_normalizes(served: Serving) -> None:
    said = served.post("/models/emb/embed", {"inputs": "x", "normalize": False})
    assert said.status == 422


def test_tei_rerank(served: Serving, reranker: Reranker) -> None:
    said = served.post("/rerank", {"query": "light", "texts": TEXTS, "return_text": True}).json
    ranks = reranker.rank("light", TEXTS, return_documents=True)
    assert [each["index"] for each in said] == [each["corpus_id"] for each in ranks]
    np.testing.assert_allclose([each["score"] for each in said], [each["score"] for each in ranks], atol=1e-5)
    assert [each["text"] for each in said] == [each["text"] for each in ranks]


def test_tei_rerank_raw_scores(served: Serving, reranker: Reranker) -> None:
    said = served.post("/rerank", {"query": "light", "texts": TEXTS, "raw_scores": True}).json
    raw = reranker.predict([("light", text) for text in TEXTS], activation_fn="identity")
    np.testing.assert_allclose(sorted(each["score"] for each in said), sorted(raw), atol=1e-5)


def test_tei_predict_of_pairs(served: Serving, reranker: Reranker) -> None:
    one = served.post("/predict", {"inputs": ["light", TEXTS[0]], "model": "rerank"}).json
    both = served.post("/predict", {"inputs": [["light", text] for text in TEXTS], "model": "rerank"}).json
    scores = reranker.predict([("light", text) for text in TEXTS])
    assert one[0]["score"] == pytest.approx(float(scores[0]), abs=1e-5)
    np.testing.assert_allclose([each[0]["score"] for each in both], scores, atol=1e-5)


def test_tei_predict_of_a_model_with_several_groups(served: Serving) -> None:
    said = served.post("/predict", {"inputs": "light on"})
    assert said.status == 424
    assert "/v1/classify" in said.json["error"]


def test_tei_similarity(served: Serving, embedder: Embedder) -> None:
    body = {"inputs": {"source_sentence": TEXTS[0], "sentences": TEXTS[1:]}, "model": "emb"}
    expected = embedder.similarity(embedder.encode(TEXTS[0]), embedder.encode(TEXTS[1:]))[0]
    np.testing.assert_allclose(served.post("/similarity", body).json, expected, atol=1e-5)


def test_tei_similarity_takes_parameters(served: Serving) -> None:
    pair = {"source_sentence": "light " * 100, "sentences": ["light"]}
    assert served.post("/models/emb/similarity", {"inputs": pair, "parameters": {"truncate": True}}).status == 200
    for parameters, status in (({"truncate": False}, 413), ({"prompt_name": "query"}, 422), ({"truncate": 7}, 422)):
        assert served.post("/models/emb/similarity", {"inputs": pair, "parameters": parameters}).status == status


@pytest.mark.parametrize("model", ["emb", "rerank"])
def test_tei_tokenize_knows_no_prompt_that_the_model_does_not(served: Serving, model: str) -> None:
    said = served.post(f"/models/{model}/tokenize", {"inputs": "light", "prompt_name": "query"})
    assert (said.status, said.json["error_type"]) == (422, "Validation")


def test_tei_tokenize_and_decode(served: Serving) -> None:
    pieces = served.post("/tokenize", {"inputs": TEXTS[0], "model": "emb"}).json[0]
    assert [piece["special"] for piece in pieces] == [True, *[False] * 3, True]
    assert TEXTS[0][pieces[1]["start"] : pieces[1]["stop"]] == "light"
    ids = [piece["id"] for piece in pieces]
    assert served.post("/decode", {"ids": ids, "model": "emb"}).json == [TEXTS[0]]
    bare = served.post("/tokenize", {"inputs": TEXTS[0], "add_special_tokens": False, "model": "emb"}).json[0]
    assert bare == pieces[1:-1]


def test_tei_tokenize_cuts_nothing(served: Serving) -> None:
    pieces = served.post("/tokenize", {"inputs": "light " * 300, "model": "emb"}).json[0]
    assert len(pieces) == 302
    assert [piece["special"] for piece in pieces].count(True) == 2
    assert pieces[-2]["stop"] == 6 * 300 - 1


def test_one_address_for_all(served: Serving, embedder: Embedder, reranker: Reranker) -> None:
    comparison = {"inputs": {"source_sentence": TEXTS[0], "sentences": TEXTS[1:]}}
    assert served.post("/models/emb/", comparison).json == served.post("/models/emb/similarity", comparison).json
    ranking = {"query": "light", "texts": TEXTS}
    assert served.post("/", ranking).json == served.post("/rerank", ranking).json
    labels = {"inputs": "light", "model": "classify"}
    assert served.post("/", labels).status == served.post("/predict", labels).status == 424
    for body in ({}, {"inputs": 7, "model": "emb"}, {"inputs": {}, "model": "emb"}):
        assert served.post("/", body).status == 422


def test_tei_info(served: Serving) -> None:
    said = served.get("/info?model=emb").json
    assert said["model_id"] == "tiny/bert"
    assert said["model_type"] == {"embedding": {"pooling": "mean"}}
    assert {each["key"]: each["loaded"] for each in said["models"]}["rerank"] is True


@pytest.mark.parametrize("version", ["1", "2"])
def test_cohere_rerank(served: Serving, reranker: Reranker, version: str) -> None:
    documents = [TEXTS[0], {"text": TEXTS[1], "id": 7}, TEXTS[2]]
    body = {"query": "light", "documents": documents, "top_n": 2, "return_documents": True}
    said = served.post(f"/v{version}/rerank", body).json
    ranks = reranker.rank("light", TEXTS, top_k=2)
    assert [each["index"] for each in said["results"]] == [each["corpus_id"] for each in ranks]
    for result in said["results"]:
        expected = documents[result["index"]]
        assert result["document"] == ({"text": expected} if isinstance(expected, str) else expected)
    assert said["meta"]["api_version"]["version"] == version
    assert said["usage"]["total_tokens"] > 0


def test_cohere_says_no_in_its_own_form(served: Serving) -> None:
    said = served.post("/v1/rerank", {"query": "light", "documents": [{"body": "x"}]})
    assert said.status == 422
    assert "rank_fields" in said.json["message"]
    named = served.post("/v1/rerank", {"query": "light", "documents": [{"body": "x"}], "rank_fields": ["body"]})
    assert named.status == 200


def test_classify_by_the_locks_labels(served: Serving) -> None:
    said = served.post("/v1/classify", {"input": TEXTS}).json
    assert [each["index"] for each in said["data"]] == [0, 1, 2]
    for each in said["data"]:
        assert set(each["labels"]) == {"category", "priority"}
        assert each["prediction"] == each["labels"]["category"]
        assert sum(each["scores"]["priority"].values()) == pytest.approx(1)


def test_classify_by_the_requests_labels(served: Serving) -> None:
    body = {"input": TEXTS[0], "labels": ["high", "low"], "prompt": "priority : {text}"}
    said = served.post("/v1/classify", body).json["data"][0]
    assert {each["label"] for each in said["predictions"]} == {"high", "low"}
    groups = {"input": TEXTS[0], "labels": {"category": ["energy", "comfort"]}}
    assert set(served.post("/v1/classify", groups).json["data"][0]["labels"]) == {"category"}


@pytest.mark.parametrize(
    "body",
    [
        {"labels": ["high", "low"]},
        {"labels": ["high", "low"], "prompt": "no blank"},
        {"labels": ["high", "high"], "prompt": "{text}"},
        {"labels": []},
        {"labels": {}},
        {"labels": {"a": ["x", "y"], "b": ["x", "y"]}, "prompt": "{text}"},
        {"prompt": "{text} {nothing}"},
    ],
)
def test_classify_refuses_labels_that_cannot_be(served: Serving, body: dict[str, object]) -> None:
    said = served.post("/v1/classify", {"input": "light", **body})
    assert said.status == 400
    assert said.json["error"]["type"] == "invalid_request_error"
