"""The models that hardtack is for, by their shapes: real ones where they are at hand, random weights elsewhere.

``measure`` holds one against torch in fp32. ``python -m benchmarks parity`` writes the table of all of them into
docs/parity.md, at full size; the tests hold two layers of each to the same limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardtack.runtime.embedder import Embedder
from hardtack.runtime.likelihood import LikelihoodClassifier
from hardtack.runtime.load import Options, load_model
from hardtack.runtime.reranker import Reranker
from hardtack.spec.words import Pooling, Precision, Task
from tests import references
from tests.models import WORDS, make_bert, make_distilbert, make_llama, make_mpnet, make_roberta, make_t5
from tests.runtime.running import cosines, encode

Rows = NDArray[np.float32]
COSINE = {Precision.FP32: 0.9999, Precision.BF16: 0.999}
"""The least cosine to torch's fp32 that each precision is held to."""

LABELS = ("energy", "comfort", "security", "convenience")


@dataclass(frozen=True)
class Shape:
    """One model's shape.

    Attributes:
        name: whose shape it is.
        task: what it is loaded for.
        make: writes it with random weights; None: it is real, and lies at ``real``.
        settings: of its config, beside those of ``make``; left aside where only its kind is looked at.
        kind: arguments of ``make`` that say what kind of model it is, at any size.
        real: where it lies under ``HARDTACK_REAL``.
        prompt: what an embedder puts before each text.
        said: what to say of it in a table.
    """

    name: str
    task: Task
    make: Callable[..., Path] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    kind: Mapping[str, Any] = field(default_factory=dict)
    real: str = ""
    prompt: str | None = None
    said: str = "random weights"

    def lay_out(self, directory: Path, *, full: bool) -> Path:
        """Write it: at full size, or the least of its kind."""
        assert self.make is not None
        return self.make(directory, self.task, **self.kind, **(self.settings if full else {}))


@dataclass(frozen=True)
class Figures:
    """How near the answers are to torch's in fp32.

    Attributes:
        cosine: the least, of vectors; of all scores as one vector for rerankers and classifiers.
        swapped: places that differ in the rankings, of what torch tells apart by more than rounding.
        rank: the least rank correlation of a ranking.
        off: the greatest difference of a number.
    """

    cosine: float
    swapped: int
    rank: float
    off: float


def _sizes(layers: int, size: int, heads: int, inner: int, words: int, places: int = 512) -> dict[str, Any]:
    return {"num_hidden_layers": layers, "hidden_size": size, "num_attention_heads": heads,
            "intermediate_size": inner, "vocab_size": words, "max_position_embeddings": places}  # fmt: skip


_SMALL = _sizes(12, 384, 12, 1536, 30_522)
_BASE = _sizes(12, 768, 12, 3072, 30_527, 514)
_XLMR = _sizes(12, 768, 12, 3072, 250_002, 514)
_T5_V1_1 = {"d_model": 512, "d_kv": 64, "d_ff": 1024, "num_heads": 6, "num_layers": 8, "num_decoder_layers": 8,
            "vocab_size": 32_128}  # fmt: skip
_T5_V1 = {**_T5_V1_1, "d_ff": 2048, "num_heads": 8, "num_layers": 6, "num_decoder_layers": 6}
_SARASHINA = {**_sizes(4, 1792, 14, 6272, 8_000), "num_key_value_heads": 7}
_NV = {**_sizes(4, 2048, 32, 8192, 8_000), "num_key_value_heads": 8}
_RAW: Mapping[str, Any] = {"normalize": False}

SHAPES = (
    Shape("all-MiniLM-L6-v2", Task.EMBED, real="minilm", said="its own weights"),
    Shape("all-MiniLM-L12-v2", Task.EMBED, make_bert, _SMALL),
    Shape("paraphrase-multilingual-MiniLM-L12-v2", Task.EMBED, make_bert, {**_SMALL, "vocab_size": 250_037}, _RAW),
    Shape("all-mpnet-base-v2", Task.EMBED, make_mpnet, _BASE),
    Shape("multi-qa-mpnet-base-dot-v1", Task.EMBED, make_mpnet, _BASE, {**_RAW, "pooling": Pooling.CLS}),
    Shape("e5-small-v2", Task.EMBED, make_bert, _SMALL, prompt="query : "),
    Shape("bge-small-en-v1.5", Task.EMBED, make_bert, _SMALL, {"pooling": Pooling.CLS}),
    Shape("gte-small", Task.EMBED, make_bert, _SMALL),
    Shape("distiluse (a Dense module)", Task.EMBED, make_distilbert, _BASE, {**_RAW, "dense": (512,)}),
    Shape("sarashina-embedding-v1-1b", Task.EMBED, make_llama, _SARASHINA, said="random weights, 4 of its 24 layers"),
    Shape("a static embedding", Task.EMBED, real="models/derived--m2v-MiniLM-L6-128", said="derived from MiniLM"),
    Shape("a MiniLM cross-encoder", Task.RERANK, real="models/trained--ce-MiniLM-L6-stsb", said="trained on STS-B"),
    Shape("bge-reranker-base", Task.RERANK, make_roberta, _XLMR, {"model_type": "xlm-roberta"}),
    Shape("nli-MiniLM (three logits)", Task.RERANK, make_roberta, _SMALL, {"labels": ("no", "yes", "neither")}),
    Shape("Llama-3.2-NV-RerankQA-1B-v2", Task.RERANK, make_llama, _NV, {"model_type": "llama_bidirec",
          "pad_left": True}, said="random weights, 4 of its 16 layers"),
    Shape("distilbert-base-…-sst-2", Task.CLASSIFY, make_distilbert, _BASE, {"labels": ("bad", "good")}),
    Shape("flan-t5-small (untied)", Task.CLASSIFY, make_t5, _T5_V1_1),
    Shape("t5-small (tied)", Task.CLASSIFY, make_t5, _T5_V1, {"untied": False, "feed_forward_proj": "relu"}),
    Shape("a small T5", Task.CLASSIFY, real="models/trained--t5-clinc-domains", said="trained on CLINC150"),
)  # fmt: skip


def made_up(count: int, longest: int) -> list[str]:
    """Texts of 2 words to many that every tokenizer of :mod:`tests.models` knows."""
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, int(size))) for size in np.geomspace(2, longest, count)]


def measure(
    shape: Shape, directory: Path, texts: Sequence[str], precision: Precision, theirs: Rows | None = None
) -> Figures:
    """Hold a model's answers against torch's, which :func:`reference` gives."""
    ours = _answers(shape, directory, texts, precision)
    theirs = reference(shape, directory, texts) if theirs is None else theirs
    assert ours.shape == theirs.shape
    off = float(np.abs(ours - theirs).max())
    if shape.task is Task.EMBED:
        unit, wanted = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (ours, theirs))
        rankings = (unit[:6] @ unit[6:].T, wanted[:6] @ wanted[6:].T)
        return Figures(float(cosines(ours, theirs).min()), *_compare(*rankings), off)
    rankings = (ours.T, theirs.T) if shape.task is Task.RERANK else (ours, theirs)
    return Figures(float(cosines(ours.reshape(1, -1), theirs.reshape(1, -1))[0]), *_compare(*rankings), off)


def _answers(shape: Shape, directory: Path, texts: Sequence[str], precision: Precision) -> Rows:
    model = load_model(directory, shape.task, locked=None, source="path", options=Options(precision=precision))
    try:
        assert (model.engine.name, model.engine.precision) == ("openvino", precision.value)
        if isinstance(model, Embedder):
            return np.asarray(model.encode(list(texts), prompt=shape.prompt))
        if isinstance(model, Reranker):
            return np.asarray(model.predict(_pairs(texts), activation_fn="identity")).reshape(len(texts), -1)
        if isinstance(model, LikelihoodClassifier):
            return np.asarray(model.log_likelihoods(texts, LABELS))
        scores = [list(answer.scores["label"].values()) for answer in model.classify(texts)]
        return np.log(np.array(scores, np.float32))
    finally:
        model.close()


def reference(shape: Shape, directory: Path, texts: Sequence[str]) -> Rows:
    """Torch's answers in fp32."""
    if shape.task is Task.EMBED:
        return references.vectors(directory, texts, prompt=shape.prompt)
    if shape.kind.get("model_type") == "llama_bidirec":
        filled = [f"question:{query} \n \n passage:{passage}" for query, passage in _pairs(texts)]
        return references.bidirectional(directory, [each.ids for each in encode(directory, filled)])[:, None]
    if shape.task is Task.RERANK:
        return references.logits(directory, _pairs(texts))
    if shape.make is make_t5 or "t5" in shape.real:
        return references.likelihoods(directory, texts, LABELS)
    return references.chances(directory, texts)


def _pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
    return [(texts[number % 3][:200], text) for number, text in enumerate(texts)]


def _compare(ours: Rows, theirs: Rows) -> tuple[int, float]:
    """How many pairs of each row are the other way round, and the least rank correlation of a row."""
    swapped, least = 0, 1.0
    for mine, wanted in zip(ours, theirs, strict=True):
        apart = wanted[:, None] - wanted[None, :]
        # what lies nearer than float32 computes a model of many layers is no ranking
        told = apart > 1e-4 * np.ptp(wanted) + 2e-6
        swapped += int((told & (mine[:, None] <= mine[None, :])).sum())
        ranks = np.array([np.argsort(np.argsort(row)) for row in (mine, wanted)], np.float64)
        least = min(least, float(np.corrcoef(ranks[0], ranks[1])[0, 1]))
    return swapped, least
