"""The whole runtime against sentence-transformers and transformers, on real models and real texts.

Needs the [torch] extra and the models under ``HARDTACK_REAL``; :func:`real` says where those are looked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hardtack.runtime.embedder import Embedder
from hardtack.runtime.likelihood import LikelihoodClassifier
from hardtack.runtime.load import Options, load_model
from hardtack.runtime.reranker import Reranker
from hardtack.spec.words import Precision, Task

pytestmark = [
    pytest.mark.real,
    # the libraries that are compared with have warnings of their own
    pytest.mark.filterwarnings("ignore"),
]
Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def real(real_dir: Path) -> Path:
    return real_dir


@pytest.fixture(scope="module")
def texts(real: Path) -> list[str]:
    """Cranfield's abstracts, 200 of all lengths, with the ends of the scale: nothing, a word, far too much."""
    with (real / "eval/cranfield/corpus.jsonl").open() as lines:
        found = sorted((json.loads(line)["text"] for line in lines), key=len)
    chosen = [found[number] for number in np.linspace(0, len(found) - 1, 200).astype(int)]
    return ["", "a", "Ünïcödé 日本語 🚀", *chosen, " ".join(found[-20:])]


@pytest.fixture(scope="module")
def queries(real: Path) -> list[str]:
    with (real / "eval/cranfield/queries.jsonl").open() as lines:
        return [json.loads(line)["text"] for line in lines][:8]


def load(directory: Path, task: Task, precision: Precision) -> Embedder | Reranker | LikelihoodClassifier:
    model = load_model(directory, task, locked=None, source="path", options=Options(precision=precision))
    assert isinstance(model, Embedder | Reranker | LikelihoodClassifier)
    return model


@pytest.fixture(scope="module")
def fp32(minilm: Path) -> Iterator[Embedder]:
    model = load(minilm, Task.EMBED, Precision.FP32)
    assert isinstance(model, Embedder)
    yield model
    model.close()


def least_cosine(a: Floats, b: Floats) -> float:
    return float(((a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))).min())


@pytest.mark.torch
def test_vectors_are_those_of_sentence_transformers(fp32: Embedder, minilm: Path, texts: list[str]) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(minilm), device="cpu", local_files_only=True)
    expected = theirs.encode(texts, show_progress_bar=False)
    ours = fp32.encode(texts)
    assert (ours.shape, ours.dtype) == (expected.shape, expected.dtype)
    assert least_cosine(ours, expected) >= 0.9999
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    np.testing.assert_allclose(
        fp32.encode(texts, prompt="query: ", truncate_dim=64, normalize_embeddings=True),
        theirs.encode(texts, prompt="query: ", truncate_dim=64, normalize_embeddings=True, show_progress_bar=False),
        atol=2e-5,
    )
    np.testing.assert_allclose(fp32.similarity(ours[:9], ours), theirs.similarity(expected[:9], expected), atol=1e-4)
    for precision in ("int8", "uint8", "binary", "ubinary"):
        made = fp32.encode(texts, precision=precision)
        want = theirs.encode(texts, precision=precision, show_progress_bar=False)
        assert (made.dtype, made.shape) == (want.dtype, want.shape)
        assert (made == want).mean() > 0.98  # a value at the edge of a step may fall to either side


def test_a_text_has_one_vector_alone_and_in_any_batch(fp32: Embedder, texts: list[str]) -> None:
    few = texts[::8]
    alone = np.stack([fp32.encode(text) for text in few])
    for batch_size in (1, 7, 32):
        np.testing.assert_allclose(fp32.encode(few, batch_size=batch_size), alone, atol=1e-5)
    np.testing.assert_allclose(fp32.encode(texts)[::8], alone, atol=1e-5)


def test_bf16_stays_near_itself_and_near_fp32(fp32: Embedder, minilm: Path, texts: list[str]) -> None:
    model = load(minilm, Task.EMBED, Precision.AUTO)
    assert isinstance(model, Embedder)
    few = texts[::8]
    alone = np.stack([model.encode(text) for text in few])
    assert least_cosine(alone, model.encode(texts)[::8]) >= 0.9999
    assert least_cosine(alone, fp32.encode(few)) >= 0.999


@pytest.mark.torch
def test_scores_and_ranks_are_those_of_the_cross_encoder(real: Path, texts: list[str], queries: list[str]) -> None:
    from sentence_transformers import CrossEncoder

    directory = real / "models/trained--ce-MiniLM-L6-stsb"
    theirs = CrossEncoder(str(directory), device="cpu", local_files_only=True, model_kwargs={"dtype": "float32"})
    ours = load(directory, Task.RERANK, Precision.FP32)
    assert isinstance(ours, Reranker)
    pairs = [(queries[number % len(queries)], text) for number, text in enumerate(texts)]
    pairs += [(text, query) for query, text in pairs[-3:]]  # the long part first
    expected = theirs.predict(pairs, show_progress_bar=False)
    made = ours.predict(pairs)
    assert (made.shape, made.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(made, expected, atol=2e-5)
    logits = theirs.predict(pairs, activation_fn=_identity(), show_progress_bar=False)
    np.testing.assert_allclose(ours.predict(pairs, activation_fn=_identity()), logits, atol=2e-4)
    alone = np.array([ours.predict(pair) for pair in pairs[::8]])
    np.testing.assert_allclose(alone, made[::8], atol=1e-5)
    for query in queries[:2]:
        want = theirs.rank(query, texts[:60], return_documents=True, show_progress_bar=False)
        have = ours.rank(query, texts[:60], return_documents=True)
        assert [row.keys() for row in have] == [row.keys() for row in want]
        # ranks may differ only between scores that are the same but for rounding
        for row, other in zip(have, want, strict=True):
            assert row["score"] == pytest.approx(other["score"], abs=2e-5)
            assert row["text"] == texts[row["corpus_id"]]


def _identity() -> object:
    import torch

    return torch.nn.Identity()


@pytest.mark.torch
def test_scores_of_labels_are_those_of_transformers(real: Path) -> None:
    import torch
    from transformers import AutoTokenizer, T5ForConditionalGeneration

    directory = real / "models/trained--t5-clinc-domains"
    training = json.loads((directory / "training.json").read_text())
    prompt = training["prompt"].replace("{}", "{text}")
    texts = ["transfer a hundred dollars", "what is the weather", "book a flight to rome", "x", "how are you " * 40]
    ours = load(directory, Task.CLASSIFY, Precision.FP32)
    assert isinstance(ours, LikelihoodClassifier)
    prompts = [prompt.replace("{text}", text) for text in texts]
    made = ours.log_likelihoods(prompts, training["labels"])

    model = T5ForConditionalGeneration.from_pretrained(directory, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    expected = np.empty_like(made)
    with torch.inference_mode():
        for row, each in enumerate(prompts):
            for column, label in enumerate(training["labels"]):
                target = tokenizer(label, return_tensors="pt").input_ids
                loss = model(**tokenizer(each, return_tensors="pt"), labels=target).loss
                expected[row, column] = -float(loss) * target.shape[1]
    np.testing.assert_allclose(made, expected, atol=2e-3)
    for text, row in zip(texts, expected, strict=True):
        answer = ours.classify(text, labels=training["labels"], prompt=prompt)
        assert answer == {"label": training["labels"][int(row.argmax())]}
        assert sum(answer.scores["label"].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.torch
def test_a_static_embedder(real: Path, texts: list[str]) -> None:
    from sentence_transformers import SentenceTransformer

    directory = real / "models/derived--m2v-MiniLM-L6-128"
    ours = load(directory, Task.EMBED, Precision.FP32)
    assert isinstance(ours, Embedder)
    some = [text for text in texts if text]
    assert not ours.encode("").any()
    # its weights are float16, in which sentence-transformers would reckon too; here everything is float32
    theirs = SentenceTransformer(str(directory), device="cpu", local_files_only=True).float()
    np.testing.assert_allclose(ours.encode(some), theirs.encode(some, show_progress_bar=False), atol=1e-5)
