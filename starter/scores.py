"""What the three starter models are worth: every figure of their cards, measured again.

    python starter/scores.py [embedder] [reranker] [classifier]

Judges with torch (sentence-transformers, transformers), so that the figures do not rest on hardtack itself. The real
data lies under ``HARDTACK_REAL`` (default ``../shared/real``); our own sentences lie in ``tests/starter``. Nothing
here was trained on.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "src/hardtack/starter/models"
OURS = ROOT / "tests/starter"
REAL = Path(os.environ.get("HARDTACK_REAL", ROOT.parent / "shared/real"))

CATEGORY = "Classify this smart home pattern into one category. Pattern: {text} Category:"
PRIORITY = "Rate the priority of this pattern. Pattern: {text} Category: {category} Priority:"
CATEGORIES = ("energy", "comfort", "security", "convenience")
PRIORITIES = ("high", "medium", "low")
INTENT = "What does the user want? Text: {text} Intent:"
INTENTS = {
    "AddToPlaylist": "add to playlist",
    "BookRestaurant": "book restaurant",
    "GetWeather": "get weather",
    "PlayMusic": "play music",
    "RateBook": "rate book",
    "SearchCreativeWork": "search creative work",
    "SearchScreeningEvent": "search screening event",
}


def lines(path: Path) -> list[dict[str, Any]]:
    """A JSON Lines file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation, ties given their mean rank."""

    def ranks(x: np.ndarray) -> np.ndarray:
        _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
        return (np.cumsum(counts) - (counts - 1) / 2)[inverse]

    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def ndcg(ranked: Sequence[str], gains: dict[str, int], k: int = 10) -> float:
    """NDCG@k with linear gains, as trec_eval has it."""
    got = sum(gains.get(d, 0) / math.log2(i + 2) for i, d in enumerate(ranked[:k]))
    best = sum(g / math.log2(i + 2) for i, g in enumerate(sorted(gains.values(), reverse=True)[:k]))
    return got / best if best else 0.0


class Cranfield:
    """1,400 abstracts on aerodynamics, 225 questions, graded judgements."""

    def __init__(self, directory: Path) -> None:
        self.documents = {
            d["_id"]: f"{d.get('title', '')} {d['text']}".strip() for d in lines(directory / "corpus.jsonl")
        }
        self.queries = {q["_id"]: q["text"] for q in lines(directory / "queries.jsonl")}
        self.gains: dict[str, dict[str, int]] = {}
        for row in (directory / "qrels/test.tsv").read_text().splitlines()[1:]:
            query, document, gain = row.split("\t")
            self.gains.setdefault(query, {})[document] = int(gain)

    def search(self, model: SentenceTransformer, k: int) -> dict[str, list[str]]:
        """The k nearest documents of every query."""
        names = list(self.documents)
        documents = model.encode(list(self.documents.values()), normalize_embeddings=True)
        queries = model.encode(list(self.queries.values()), normalize_embeddings=True)
        best = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :k]
        return {q: [names[j] for j in row] for q, row in zip(self.queries, best, strict=True)}

    def score(self, ranked: dict[str, list[str]]) -> float:
        """Mean NDCG@10 over the queries."""
        return float(np.mean([ndcg(ranked[q], self.gains[q]) for q in self.queries]))


def embedder(model: SentenceTransformer) -> dict[str, float]:
    """Spearman on the STS benchmark's open dev rows and NDCG@10 on Cranfield."""
    rows = lines(REAL / "eval/stsbenchmark-open/dev.jsonl")
    a, b = (model.encode([r[f"sentence{i}"] for r in rows], normalize_embeddings=True) for i in (1, 2))
    out = {"sts-dev": spearman((a * b).sum(1), np.array([r["score"] for r in rows]))}
    cranfield = Cranfield(REAL / "eval/cranfield")
    out["cranfield"] = cranfield.score(cranfield.search(model, 10))
    return out


def reranker(model: CrossEncoder, first: SentenceTransformer) -> dict[str, float]:
    """Right first among five on our cases, and NDCG@10 on the embedder's 20 best of Cranfield, before and after."""
    cases = lines(OURS / "rerank.jsonl")
    hits = [int(np.argmax(model.predict([(c["query"], d) for d in c["documents"]]))) == c["right"] for c in cases]
    cranfield = Cranfield(REAL / "eval/cranfield")
    before = cranfield.search(first, 20)
    after = {}
    for query, found in before.items():
        scores = model.predict([(cranfield.queries[query], cranfield.documents[d]) for d in found])
        after[query] = [found[i] for i in np.argsort(-scores, kind="stable")]
    return {
        "right-first": float(np.mean(hits)),
        "cranfield-before": cranfield.score(before),
        "cranfield-after": cranfield.score(after),
    }


class Labeller:
    """Zero-shot classification with a T5: the label whose tokens, and the end token, are the likeliest."""

    def __init__(self, directory: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(directory)
        self.model = AutoModelForSeq2SeqLM.from_pretrained(directory).float().eval()

    @torch.inference_mode()
    def scores(self, prompts: Sequence[str], labels: Sequence[str]) -> np.ndarray:
        """Sum of log-probabilities of each label given each prompt: (prompts, labels)."""
        out = np.empty((len(prompts), len(labels)), np.float32)
        targets = self.tokenizer(list(labels), padding=True, return_tensors="pt")
        wanted = targets.input_ids.masked_fill(targets.attention_mask == 0, -100)
        for i, prompt in enumerate(prompts):
            source = self.tokenizer([prompt], return_tensors="pt")
            n = len(labels)
            logits = self.model(
                input_ids=source.input_ids.expand(n, -1),
                attention_mask=source.attention_mask.expand(n, -1),
                labels=wanted,
            ).logits
            said = logits.log_softmax(-1).gather(-1, targets.input_ids[..., None])[..., 0]
            out[i] = (said * targets.attention_mask).sum(1).numpy()
        return out

    def classify(self, prompts: Sequence[str], labels: Sequence[str]) -> list[str]:
        """The likeliest label of each prompt."""
        return [labels[k] for k in self.scores(prompts, labels).argmax(1)]


def classifier(model: Labeller) -> dict[str, float]:
    """Accuracy on our home sentences (category, then priority given that answer) and on SNIPS's seven intents."""
    rows = lines(OURS / "home.jsonl")
    category = model.classify([CATEGORY.format(text=r["text"]) for r in rows], CATEGORIES)
    priority = model.classify(
        [PRIORITY.format(text=r["text"], category=c) for r, c in zip(rows, category, strict=True)], PRIORITIES
    )
    recall = [
        np.mean([p == name for p, r in zip(priority, rows, strict=True) if r["priority"] == name])
        for name in PRIORITIES
    ]
    snips = lines(REAL / "eval/snips/validate.jsonl")
    intent = model.classify([INTENT.format(text=r["text"]) for r in snips], tuple(INTENTS.values()))
    return {
        "category": float(np.mean([c == r["category"] for c, r in zip(category, rows, strict=True)])),
        "priority": float(np.mean([p == r["priority"] for p, r in zip(priority, rows, strict=True)])),
        "priority-balanced": float(np.mean(recall)),
        "snips": float(np.mean([i == INTENTS[r["label"]] for i, r in zip(intent, snips, strict=True)])),
    }


def main(which: Sequence[str]) -> None:
    """Print the figures as lines ``model figure value``."""
    torch.set_num_threads(1)
    first = SentenceTransformer(str(MODELS / "embedder"), device="cpu")
    jobs = {
        "embedder": lambda: embedder(first),
        "reranker": lambda: reranker(
            CrossEncoder(str(MODELS / "reranker"), device="cpu", model_kwargs={"dtype": torch.float32}), first
        ),
        "classifier": lambda: classifier(Labeller(MODELS / "classifier")),
    }
    for name in which or jobs:
        began = time.monotonic()
        for figure, value in jobs[name]().items():
            print(f"{name} {figure} {value:.3f}")
        print(f"{name} took {time.monotonic() - began:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
