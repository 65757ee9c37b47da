"""docs/parity.md names every architecture, and no figure in it misses its limit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hardtack.spec.words import Precision
from tests.shapes import COSINE, SHAPES, Shape

PAGE = Path(__file__).parents[1] / "docs" / "parity.md"


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_every_shape_keeps_its_limits(shape: object) -> None:
    name = getattr(shape, "name", "")
    rows = [
        line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {name} |")
    ]
    assert len(rows) == 1
    _, _, _, exact, swapped, half, _ = rows[0]
    assert float(exact) >= COSINE[Precision.FP32]
    assert swapped == "0"
    assert half == "–" or float(half) >= COSINE[Precision.BF16]


def test_retrieval_is_that_of_sentence_transformers() -> None:
    found = dict(re.findall(r"\| (\S+), (?:fp32|bf16) \| (0\.\d+) \|", PAGE.read_text(encoding="utf-8")))
    figures = [float(each) for each in re.findall(r"(?:fp32|bf16) \| (0\.\d+) \|", PAGE.read_text(encoding="utf-8"))]
    assert {"sentence-transformers", "hardtack"} <= set(found)
    assert len(figures) == 3
    assert max(figures) - min(figures) <= 0.002
