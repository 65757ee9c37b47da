"""Clients of other projects, as they are, against a service: same answers as load_embedder() and its kin.

Marker ``clients``; they have a virtual environment of their own (``make test-clients``).
"""

from __future__ import annotations

import base64
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardtack.runtime.classifier import Classifier
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.load import load_model
from hardtack.runtime.reranker import Reranker
from hardtack.spec.lock_text import read_lock
from hardtack.spec.words import Task
from tests.serve.serving import Serving

pytestmark = [pytest.mark.clients, pytest.mark.filterwarnings("ignore")]
TEXTS = ["light turns on at morning", "heating off", "pattern"]


@pytest.fixture(scope="module")
def embedder(pantry: Path) -> Embedder:
    model = load_model(pantry / "emb", Task.EMBED, locked=None, source="path")
    assert isinstance(model, Embedder)
    return model


@pytest.fixture(scope="module")
def ranks(pantry: Path) -> list[dict[str, Any]]:
    model = load_model(pantry / "rerank", Task.RERANK, locked=None, source="path")
    assert isinstance(model, Reranker)
    return model.rank("light", TEXTS)


def importing(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason="make test-clients")


def test_openai(served: Serving, embedder: Embedder) -> None:
    openai = importing("openai")
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none") as client:
        floats = client.embeddings.create(model="emb", input=TEXTS, encoding_format="float")
        np.testing.assert_allclose([each.embedding for each in floats.data], embedder.encode(TEXTS), atol=1e-3)
        # the client asks for base64 where it is not told, and decodes it by itself
        own = client.embeddings.create(model="emb", input=TEXTS)
        np.testing.assert_array_equal(
            np.array([each.embedding for each in own.data], np.float32), embedder.encode(TEXTS)
        )
        raw = client.embeddings.with_raw_response.create(model="emb", input=TEXTS[0], encoding_format="base64")
        assert (
            base64.b64decode(raw.http_response.json()["data"][0]["embedding"]) == embedder.encode(TEXTS[:1]).tobytes()
        )
        assert {model.id for model in client.models.list()} == {"classify", "emb", "rerank", "static"}
        with pytest.raises(openai.NotFoundError, match="text-embedding-3-small"):
            client.embeddings.create(model="text-embedding-3-small", input="x")
        with pytest.raises(openai.BadRequestError, match="token ids"):
            client.embeddings.create(model="emb", input=[5, 6])


def test_cohere(served: Serving, ranks: list[dict[str, Any]]) -> None:
    cohere = importing("cohere")
    for kind in (cohere.Client, cohere.ClientV2):
        client = kind("none", base_url=served.url)
        results = client.rerank(model="rerank", query="light", documents=TEXTS, top_n=2).results
        assert [each.index for each in results] == [each["corpus_id"] for each in ranks[:2]]
        np.testing.assert_allclose(
            [each.relevance_score for each in results], [r["score"] for r in ranks[:2]], atol=1e-3
        )


def test_huggingface_hub(served: Serving, embedder: Embedder, pantry: Path) -> None:
    hub = importing("huggingface_hub")
    client = hub.InferenceClient(model=f"{served.url}/models/emb")
    np.testing.assert_allclose(client.feature_extraction(TEXTS), embedder.encode(TEXTS), atol=1e-3)
    np.testing.assert_allclose(
        client.feature_extraction(TEXTS[0], normalize=True)[0], embedder.encode(TEXTS[0]), atol=1e-3
    )
    expected = embedder.similarity(embedder.encode(TEXTS[0]), embedder.encode(TEXTS[1:]))[0]
    np.testing.assert_allclose(client.sentence_similarity(TEXTS[0], TEXTS[1:]), expected, atol=1e-3)


def test_langchain_openai(served: Serving, embedder: Embedder) -> None:
    made = importing("langchain_openai").OpenAIEmbeddings(
        base_url=f"{served.url}/v1", api_key="none", model="emb", check_embedding_ctx_length=False
    )
    np.testing.assert_allclose(made.embed_documents(TEXTS), embedder.encode(TEXTS), atol=1e-3)
    np.testing.assert_allclose(made.embed_query(TEXTS[0]), embedder.encode(TEXTS[0]), atol=1e-3)


def test_llama_index_openai_like(served: Serving, embedder: Embedder) -> None:
    made = importing("llama_index.embeddings.openai_like").OpenAILikeEmbedding(
        model_name="emb", api_base=f"{served.url}/v1", api_key="none"
    )
    np.testing.assert_allclose(made.get_text_embedding_batch(TEXTS), embedder.encode(TEXTS), atol=1e-3)


def test_llama_index_tei(served: Serving, embedder: Embedder) -> None:
    made = importing("llama_index.embeddings.text_embeddings_inference").TextEmbeddingsInference(
        model_name="emb", base_url=f"{served.url}/models/emb"
    )
    np.testing.assert_allclose(made.get_text_embedding_batch(TEXTS), embedder.encode(TEXTS), atol=1e-3)


def test_llama_index_tei_rerank(served: Serving, ranks: list[dict[str, Any]]) -> None:
    schema = importing("llama_index.core.schema")
    made = importing("llama_index.postprocessor.tei_rerank").TextEmbeddingInference(base_url=served.url, top_n=3)
    nodes = [schema.NodeWithScore(node=schema.TextNode(text=text)) for text in TEXTS]
    sorted_nodes = made.postprocess_nodes(nodes, query_str="light")
    assert [each.node.text for each in sorted_nodes] == [TEXTS[each["corpus_id"]] for each in ranks]


def test_classify_by_plain_json(served: Serving, pantry: Path) -> None:
    """No other project has a client for zero-shot labels; what the docs show is a plain request."""
    locked = read_lock(pantry / "hardtack.lock").find("classify")
    model = load_model(pantry / "classify", Task.CLASSIFY, locked=locked, source="pantry")
    assert isinstance(model, Classifier)
    said = served.post("/v1/classify", {"input": TEXTS}).json["data"]
    for each, expected in zip(said, model.classify(TEXTS), strict=True):
        assert each["labels"] == dict(expected)
        assert each["scores"]["category"] == pytest.approx(expected.scores["category"], abs=1e-3)
