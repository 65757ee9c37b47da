"""Put a set of texts to a loaded model through its own front door: the same code prepares feeds and measures loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardtack.build.texts import Texts
from hardtack.runtime.classifier import Classifier
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.golden import FALLBACK_LABELS, FALLBACK_PROMPT
from hardtack.runtime.likelihood import LikelihoodClassifier
from hardtack.runtime.manager import Model
from hardtack.runtime.reranker import Reranker


@dataclass(frozen=True)
class Answers:
    """What a model said of a set of texts.

    Attributes:
        rows: float32; vectors ``(n, dim)``, logits ``(pairs, labels)``, or probabilities ``(n, labels)``, the groups
            side by side.
        groups: how the rows (of a reranker: a query's pairs) or columns (of a classifier: a group's labels) belong
            together, as lengths in order; empty for vectors.
    """

    rows: NDArray[np.float32]
    groups: tuple[int, ...] = ()


def ask(model: Model, texts: Texts, *, batch_size: int | None = None) -> Answers:
    """The model's answers to all the texts.

    An embedder with prompts takes them in turn, so that each is calibrated and measured.

    Args:
        model: any that is loaded.
        texts: the texts.
        batch_size: as for the model's own methods; 1 makes every text a feed of its own.
    """
    if isinstance(model, Embedder):
        prompts = list(model.prompts.values()) or [""]
        inputs = [prompts[number % len(prompts)] + text for number, text in enumerate(texts.mixed)]
        return Answers(np.asarray(model.encode(inputs, prompt="", batch_size=batch_size), dtype=np.float32))
    if isinstance(model, Reranker):
        logits = model.predict(texts.pairs, activation_fn="identity", batch_size=batch_size)
        rows = np.asarray(logits, dtype=np.float32).reshape(len(texts.pairs), -1)
        return Answers(rows, tuple(len(question.documents) for question in texts.ranked))
    return _classify(model, texts, batch_size)


def _classify(model: Classifier, texts: Texts, batch_size: int | None) -> Answers:
    if isinstance(model, LikelihoodClassifier) and not model.groups:
        said = model.classify(texts.texts, labels=FALLBACK_LABELS, prompt=FALLBACK_PROMPT, batch_size=batch_size)
    else:
        said = model.classify(texts.texts, batch_size=batch_size)
    rows = [[p for group in answer.scores.values() for p in group.values()] for answer in said]
    return Answers(np.asarray(rows, dtype=np.float32), tuple(len(group) for group in said[0].scores.values()))
