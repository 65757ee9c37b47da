"""The figures of the cards, measured again with torch; the floors lie a little below them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.real]

ROOT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("HARDTACK_REAL", ROOT.parent / "shared/real"))


@pytest.fixture(scope="module")
def figures() -> dict[str, float]:
    pytest.importorskip("sentence_transformers")
    if not (REAL / "eval/cranfield").is_dir():
        pytest.skip(f"no real data in {REAL}")
    done = subprocess.run(
        [sys.executable, str(ROOT / "starter/scores.py")],
        env={**os.environ, "HARDTACK_REAL": str(REAL), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = (line.split() for line in done.stdout.splitlines())
    return {f"{model} {figure}": float(value) for model, figure, value in rows}


@pytest.mark.parametrize(
    ("figure", "floor"),
    [
        ("embedder sts-dev", 0.76),
        ("embedder cranfield", 0.245),
        ("reranker right-first", 0.80),
        ("classifier category", 0.86),
        ("classifier priority", 0.72),
        ("classifier snips", 0.37),
    ],
)
def test_the_figure_holds(figures: dict[str, float], figure: str, floor: float) -> None:
    assert figures[figure] >= floor


def test_the_reranker_betters_what_the_embedder_found(figures: dict[str, float]) -> None:
    assert figures["reranker cranfield-after"] >= figures["reranker cranfield-before"] + 0.015
