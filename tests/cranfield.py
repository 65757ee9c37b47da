"""Cranfield under ``HARDTACK_REAL``: 1,400 abstracts, 225 queries, and which answer which."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Ratings = Mapping[str, Mapping[str, int]]


def read(real: Path, name: str) -> dict[str, str]:
    """``corpus`` or ``queries``: texts by their id."""
    with (real / "eval/cranfield" / f"{name}.jsonl").open() as lines:
        rows = [json.loads(line) for line in lines]
    return {row["_id"]: f"{row.get('title', '')} {row['text']}".strip() for row in rows}


def ratings(real: Path) -> Ratings:
    """Query → document → how well it answers."""
    rated: dict[str, dict[str, int]] = {}
    for line in (real / "eval/cranfield/qrels/test.tsv").read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        rated.setdefault(query, {})[document] = int(grade)
    return rated


def texts(real: Path, count: int) -> list[str]:
    """Abstracts of all lengths."""
    found = sorted((text for text in read(real, "corpus").values() if text), key=len)
    return [found[number] for number in np.linspace(0, len(found) - 1, count).astype(int)]


def ndcg(queries: NDArray[np.float32], corpus: NDArray[np.float32], real: Path, depth: int = 10) -> float:
    """nDCG@10 of unit vectors in the order of :func:`read` (Järvelin & Kekäläinen 2002, linear gain)."""
    documents, rated = list(read(real, "corpus")), ratings(real)
    scores = queries @ corpus.T
    found = []
    for query, row in zip(read(real, "queries"), scores, strict=True):
        grades = rated.get(query, {})
        best = sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:depth]
        if not best:
            continue
        top = np.argsort(-row, kind="stable")[:depth]
        gained = sum(max(grades.get(documents[n], 0), 0) / math.log2(place + 2) for place, n in enumerate(top))
        found.append(gained / sum(grade / math.log2(place + 2) for place, grade in enumerate(best)))
    return sum(found) / len(found)
