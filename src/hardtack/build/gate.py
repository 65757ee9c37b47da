"""How far a variant's answers lie from the fp32 reference, and whether a gate lets that pass.

The texts are ones it was not calibrated on. What the figures are called, and which way each is good, is
:mod:`hardtack.spec.gates`. Judging raises nothing: a missed gate is a value here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardtack.build.ask import Answers
from hardtack.runtime.golden import Drift
from hardtack.spec.gates import GATES, limits_of
from hardtack.spec.words import Task

_NO_LENGTH = 1e-12


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        name: a key of :data:`~hardtack.spec.gates.GATES`, or ``golden``.
        value: what was measured.
        limit: what it is held to; None where it is only shown.
        most: whether the limit is the most allowed, not the least demanded.
        good: whether it keeps to the limit.
    """

    name: str
    value: float
    limit: float | None
    most: bool
    good: bool

    def __str__(self) -> str:
        held = "" if self.limit is None else f" ({'≤' if self.most else '≥'} {self.limit:g})"
        return f"{self.name} {self.value:.4f}{held}"


@dataclass(frozen=True)
class Verdict:
    """All the figures of one variant."""

    figures: tuple[Figure, ...]

    @property
    def good(self) -> bool:
        """Whether every figure keeps to its limit."""
        return all(figure.good for figure in self.figures)

    @property
    def missed(self) -> tuple[Figure, ...]:
        """The figures that do not."""
        return tuple(figure for figure in self.figures if not figure.good)


def judge(
    task: Task, answers: Answers, reference: Answers, gate: Mapping[str, float], golden: Drift | None = None
) -> Verdict:
    """Measure answers against the reference and hold the figures to a gate.

    Args:
        task: decides the figures.
        answers: the variant's.
        reference: those in fp32, to the same texts.
        gate: the manifest's limits; the defaults hold for what it does not name.
        golden: the comparison of the golden answers, which the same build has to pass wherever it is loaded.
    """
    figures = list(hold(task, measure(task, answers, reference), limits_of(task, gate)))
    if golden is not None:
        figures.append(Figure("golden", golden.value, golden.limit, golden.measure != "cosine", golden.good))
    return Verdict(tuple(figures))


def hold(task: Task, values: Mapping[str, float], limits: Mapping[str, float]) -> tuple[Figure, ...]:
    """Measured values of a task, each held to its limit if it has one."""
    figures = []
    for name, value in values.items():
        bound, limit = GATES[task][name], limits.get(name)
        figures.append(Figure(name, value, limit, bound.most, limit is None or bound.good(value, limit)))
    return tuple(figures)


def measure(task: Task, answers: Answers, reference: Answers) -> dict[str, float]:
    """The figures of a task by name; every key of :data:`~hardtack.spec.gates.GATES` for it."""
    if task is Task.EMBED:
        return _vectors(answers.rows, reference.rows)
    if task is Task.RERANK:
        return _scores(answers, reference)
    return _labels(answers, reference)


def spearman(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Spearman's rank correlation; equal values share the mean of their ranks.

    1 where both are constant, 0 where only one is: an order that is gone correlates with nothing.
    """
    ranks = [_ranks(values) for values in (first, second)]
    centred = [rank - rank.mean() for rank in ranks]
    lengths = [float(np.sqrt((rank * rank).sum())) for rank in centred]
    if min(lengths) < _NO_LENGTH:
        return float(max(lengths) < _NO_LENGTH)
    return float((centred[0] * centred[1]).sum() / (lengths[0] * lengths[1]))


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    ranks: NDArray[np.float64] = ((ends - counts + ends - 1) / 2)[place]
    return ranks


def _vectors(rows: NDArray[np.float32], reference: NDArray[np.float32]) -> dict[str, float]:
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(reference, axis=1)
    # a text without a known token has the vector of zeros on both sides: that is agreement, too
    same = (lengths < _NO_LENGTH) & (np.abs(rows - reference).max(axis=1) < 1e-6)
    cosines = np.where(same, 1.0, (rows * reference).sum(axis=1) / np.maximum(lengths, _NO_LENGTH))
    above = np.triu_indices(len(rows), 1)
    return {
        "cosine-min": float(cosines.min()),
        "cosine-p1": float(np.percentile(cosines, 1)),
        "cosine-mean": float(cosines.mean()),
        "rank": spearman(_similarities(rows)[above], _similarities(reference)[above]),
    }


def _similarities(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _NO_LENGTH)
    product: NDArray[np.float32] = unit @ unit.T
    return product


def _scores(answers: Answers, reference: Answers) -> dict[str, float]:
    edges = np.cumsum(reference.groups)[:-1]
    ranks, best, ties, pairs = [], [], 0, 0
    for rows, truth in zip(np.split(answers.rows, edges), np.split(reference.rows, edges), strict=True):
        for scores, exact in zip(rows.T, truth.T, strict=True):  # a label of a model with several is a score of its own
            ranks.append(spearman(scores, exact))
            best.append(scores.argmax() == exact.argmax())
            above = np.triu_indices(len(scores), 1)
            differ = (exact[:, None] != exact)[above]
            ties += int((differ & (scores[:, None] == scores)[above]).sum())
            pairs += int(differ.sum())
    spread = max(1.0, float(np.ptp(reference.rows)))
    return {
        "rank": float(np.mean(ranks)),
        "rank-min": float(np.min(ranks)),
        "top1": float(np.mean(best)),
        "ties": ties / max(1, pairs),
        "drift": float(np.abs(answers.rows - reference.rows).max()) / spread,
    }


def _labels(answers: Answers, reference: Answers) -> dict[str, float]:
    edges = np.cumsum(reference.groups)[:-1]
    both = zip(np.split(answers.rows, edges, axis=1), np.split(reference.rows, edges, axis=1), strict=True)
    agreement = np.mean([(rows.argmax(axis=1) == truth.argmax(axis=1)).mean() for rows, truth in both])
    moved = np.abs(answers.rows - reference.rows).max(axis=1)
    return {
        "agreement": float(agreement),
        "drift": float(np.percentile(moved, 99)),
        "drift-mean": float(moved.mean()),
    }
