"""Golden answers: sixteen fixed texts and what a model said of them in fp32, to be asked again on another machine.

``bake`` records them; ``prove`` compares, and so does every load where ``HARDTACK_VERIFY=full`` is set. They tell
that a model is still itself on this CPU, in this precision; how good the model is they do not tell.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardtack.errors import Mismatch
from hardtack.runtime.classifier import Classifier
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.likelihood import LikelihoodClassifier
from hardtack.runtime.reranker import Reranker
from hardtack.spec.gates import limits_of
from hardtack.spec.lock import LockedModel
from hardtack.spec.words import Task

GOLDEN_NAME = "hardtack/golden.json"
_DIGITS = 6  # of an answer as written down; fp32 on two CPUs agrees to about that

TEXTS = (
    "Turn on the hallway light when motion is seen after sunset.",
    "The quick brown fox jumps over the lazy dog.",
    "What is the capital of France?",
    "Paris is the capital and largest city of France.",
    "Boundary layers on a flat plate in supersonic flow.",
    "no",
    "Please refund the payment that was charged twice to my card last week.",
    "Ein kurzer Satz auf Deutsch, mit Umlauten: äöüß.",
    "Energy use rose by 12.5 % in the third quarter, mostly from heating.",
    "lock the front door at 23:00",
    "A recipe for bread: flour, water, salt and yeast; knead, wait, bake for forty minutes at 220 degrees.",
    "日本語の短い文です。",
    "https://example.org/path?query=1#fragment",
    (
        "The thermostat was set to nineteen degrees at night and twenty-one in the morning, but the bedroom stayed "
        "cold because the valve of its radiator had been closed since spring and nobody had thought of opening it."
    ),
    "I am not happy with this product. I am happy with that one.",
    "def add(a, b): return a + b",
)
QUERIES = (
    "how do I keep the house warm at night",
    "capital city of France",
    "my card was charged two times",
    "ingredients of bread",
)
_DOCUMENTS = (13, 3, 6, 10)  # of TEXTS: each the answer to the query at its place
FALLBACK_LABELS = ("question", "statement", "command")
FALLBACK_PROMPT = "What kind of sentence is this? {text}"
"""What a zero-shot classifier is asked where its lock has no labels."""

Loaded = Embedder | Reranker | Classifier


@dataclass(frozen=True)
class Drift:
    """How far answers lie from the golden ones.

    Attributes:
        measure: what was compared: ``cosine`` (lowest of all texts) or ``difference`` (largest of all scores).
        value: what it came to.
        limit: what it must reach, or stay under.
        good: whether it does.
    """

    measure: str
    value: float
    limit: float
    good: bool


def ask(model: Loaded) -> NDArray[np.float32]:
    """The model's answers to the golden texts.

    Returns:
        float32: (16, dim) vectors, (4, 4) scores of each query with each document, or (16, labels) probabilities, all
        groups side by side.
    """
    if isinstance(model, Embedder):
        return np.asarray(model.encode(list(TEXTS)), dtype=np.float32)
    if isinstance(model, Reranker):
        pairs = [(query, TEXTS[document]) for query in QUERIES for document in _DOCUMENTS]
        scores = np.asarray(model.predict(pairs), dtype=np.float32)
        return scores.reshape(len(QUERIES), -1)
    if isinstance(model, LikelihoodClassifier) and not model.groups:
        answers = model.classify(list(TEXTS), labels=FALLBACK_LABELS, prompt=FALLBACK_PROMPT)
    else:
        answers = model.classify(list(TEXTS))
    rows = [[p for group in answer.scores.values() for p in group.values()] for answer in answers]
    return np.asarray(rows, dtype=np.float32)


def render(task: Task, answers: NDArray[np.float32]) -> bytes:
    """Golden answers as the bytes of ``golden.json``."""
    rounded = [[round(float(value), _DIGITS) for value in row] for row in answers]
    document: dict[str, Any] = {"version": 1, "task": task.value, "texts": list(TEXTS), "answers": rounded}
    if task is Task.RERANK:
        document["queries"] = list(QUERIES)
        document["texts"] = [TEXTS[number] for number in _DOCUMENTS]
    return (json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def parse(data: bytes, where: str) -> NDArray[np.float32]:
    """The answers in the bytes of a ``golden.json``.

    Raises:
        Mismatch: they are not what :func:`render` writes.
    """
    try:
        document = json.loads(data)
        if document["version"] != 1:
            raise ValueError(f"version {document['version']}")
        answers: Sequence[Sequence[float]] = document["answers"]
        return np.asarray(answers, dtype=np.float32)
    except (ValueError, KeyError, TypeError) as problem:
        raise Mismatch(
            "the golden answers cannot be understood", where=where, expected="what `hardtack bake` writes",
            found=str(problem), mend="hardtack bake",
        ) from None  # fmt: skip


def compare(
    task: Task,
    answers: NDArray[np.float32],
    golden: NDArray[np.float32],
    precision: str,
    gate: Mapping[str, float] | None = None,
) -> Drift:
    """How far answers lie from the golden ones, held against what the executed precision allows.

    Args:
        task: decides the measure.
        answers: as :func:`ask` returns them.
        golden: of the same shape.
        precision: what the model is executed in.
        gate: the lock's gate for this model; it decides what a build (int8) may lose.

    Raises:
        Mismatch: their shapes differ, so they are not of the same model.
    """
    if answers.shape != golden.shape:
        raise Mismatch(
            "the golden answers are of another model", where=GOLDEN_NAME, expected=f"shape {golden.shape}",
            found=f"shape {answers.shape}", mend="hardtack bake",
        )  # fmt: skip
    cosine, difference = _limits(task, precision, gate or {})
    if task is Task.EMBED:
        norms = np.linalg.norm(answers, axis=1) * np.linalg.norm(golden, axis=1)
        cosines = np.sum(answers * golden, axis=1) / np.maximum(norms, 1e-12)
        # a text without a known token has the zero vector on both sides: that is agreement, too
        cosines = np.where((norms < 1e-12) & (np.abs(answers - golden).max(axis=1) < 1e-6), 1.0, cosines)
        lowest = float(cosines.min())
        return Drift("cosine", lowest, cosine, lowest >= cosine)
    # raw logits may be large: what counts is the difference relative to their spread
    spread = max(1.0, float(golden.max() - golden.min()))
    largest = float(np.abs(answers - golden).max()) / spread
    return Drift("difference", largest, difference, largest <= difference)


def _limits(task: Task, precision: str, gate: Mapping[str, float]) -> tuple[float, float]:
    """The lowest cosine and the largest difference that are allowed."""
    if precision != "int8":
        # fp32 differs by the order of additions only; bf16 has 8 bits of mantissa
        return (0.9999, 1e-3) if precision == "fp32" else (0.999, 3e-2)
    limits = limits_of(task, gate)
    # the gate is of the first percentile: the worst of sixteen texts, some of them odd, may lie twice as far away
    cosine = limits.get("cosine-min", 1 - 2 * (1 - limits.get("cosine-p1", 0.99)))
    return cosine, limits.get("drift", 0.1)


def check(model: Loaded, directory: Path, locked: LockedModel) -> None:
    """Ask a model that was just loaded, and hold it to the golden answers in its folder; nothing where there are none.

    Args:
        model: the model.
        directory: its folder, whose files were checked.
        locked: what the lock says of it.

    Raises:
        Mismatch: it drifted past what its precision, or its gate, allows.
    """
    if not any(file.path == GOLDEN_NAME for file in locked.added):
        return
    path = directory / GOLDEN_NAME
    drift = compare(locked.task, ask(model), parse(path.read_bytes(), str(path)), model.engine.precision, locked.gate)
    if not drift.good:
        raise Mismatch(
            f"{locked.key!r} does not answer on this CPU as it did where it was baked", where=str(path),
            expected=f"{drift.measure} {'at least' if drift.measure == 'cosine' else 'at most'} {drift.limit:g}",
            found=f"{drift.measure} {drift.value:.6f}, in {model.engine.precision} on {model.engine.name}",
            mend=f"hardtack build {locked.key}" if model.engine.precision == "int8" else "hardtack bake",
        )  # fmt: skip
