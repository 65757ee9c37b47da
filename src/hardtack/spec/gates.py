"""What a gate can hold a build to, per task: the keys of a manifest's ``gate``, which way each is good, defaults.

The figures themselves are reckoned in :mod:`hardtack.build.gate`; a loader holds golden answers to the same words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hardtack.spec.words import Task


@dataclass(frozen=True)
class Bound:
    """One key of a gate.

    Attributes:
        what: what the figure says, for reports and docs.
        default: the limit where the manifest names none; None: measured and shown, but not held to anything.
        most: whether the limit is the most that is allowed (a loss) and not the least that is demanded.
    """

    what: str
    default: float | None = None
    most: bool = False

    def good(self, value: float, limit: float) -> bool:
        """Whether a figure keeps to a limit."""
        return value <= limit if self.most else value >= limit


GATES: Mapping[Task, Mapping[str, Bound]] = MappingProxyType(
    {
        Task.EMBED: {
            "cosine-min": Bound("lowest cosine of a vector with its fp32 reference"),
            "cosine-p1": Bound("first percentile of these cosines", 0.99),
            "cosine-mean": Bound("mean of these cosines"),
            "rank": Bound("Spearman correlation of all pairwise similarities with those in fp32", 0.98),
        },
        Task.RERANK: {
            "rank": Bound("Spearman correlation of a query's scores with those in fp32, mean over the queries", 0.98),
            "rank-min": Bound("the same of the worst query"),
            "top1": Bound("share of queries whose best document stays the best", 0.95),
            "ties": Bound("share of pairs of documents that tie and did not in fp32", 0.01, most=True),
            "drift": Bound("largest change of a logit, relative to their spread in fp32", most=True),
        },
        Task.CLASSIFY: {
            "agreement": Bound("share of answers that stay the same", 0.98),
            "drift": Bound("99th percentile of the largest change of a text's probabilities", 0.1, most=True),
            "drift-mean": Bound("mean of the largest change of a text's probabilities", most=True),
        },
    }
)
"""Task → key → what it bounds. Figures lie between 0 and 1, cosines and correlations between -1 and 1."""


def limits_of(task: Task, gate: Mapping[str, float]) -> dict[str, float]:
    """The limits that hold: the defaults, and what a manifest says instead or besides."""
    defaults = {key: bound.default for key, bound in GATES[task].items()}
    return {key: limit for key, limit in (defaults | dict(gate)).items() if limit is not None}
