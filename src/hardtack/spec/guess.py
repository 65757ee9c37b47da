"""What a repository is for, as far as its own words say; where they do not say, nobody guesses further."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from hardtack.spec.words import Task

_RERANK = frozenset({"text-ranking", "reranker", "cross-encoder"})
_CLASSIFY = frozenset({"text2text-generation", "text-classification", "zero-shot-classification"})
_EMBED = frozenset({"sentence-similarity", "feature-extraction", "sentence-transformers", "model2vec"})


def guess_task(name: str, tags: Collection[str], config: Mapping[str, Any] | None = None) -> Task | None:
    """The task of a repository, or None where it does not say.

    Args:
        name: its id; rerankers rarely say what they are but in their name.
        tags: the Hub's words for it, which include pipeline and library.
        config: its ``config.json``, where it is at hand.
    """
    low = name.lower()
    if _RERANK & set(tags) or "rerank" in low or "cross-encoder" in low:
        return Task.RERANK
    if _EMBED & set(tags):
        return Task.EMBED
    if _CLASSIFY & set(tags):
        return Task.CLASSIFY
    said = config or {}
    names, labels = said.get("architectures"), said.get("id2label")
    architecture = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""
    if architecture.endswith("ForConditionalGeneration"):
        return Task.CLASSIFY
    if architecture.endswith("ForSequenceClassification"):
        return Task.CLASSIFY if isinstance(labels, Mapping) and len(labels) > 1 else Task.RERANK
    return Task.EMBED if architecture.endswith("Model") else None
