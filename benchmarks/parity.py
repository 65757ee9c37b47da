"""Writes docs/parity.md: every architecture of the guides against torch in fp32, and retrieval on Cranfield.

At full size, so it takes a quarter of an hour and 8 GB. Needs the [torch] extra and HARDTACK_REAL.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from tests import cranfield, references
from tests.shapes import COSINE, SHAPES, Figures, Rows, Shape, made_up, measure, reference

from hardtack.errors import UnsupportedModel
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.load import Options, load_model
from hardtack.spec.words import Precision, Task

REAL = Path(os.environ.get("HARDTACK_REAL") or Path(__file__).parents[2] / "shared" / "real")
PAGE = Path(__file__).parents[1] / "docs" / "parity.md"
HEAD = """\
# Parity with torch

Written by `python -m benchmarks parity`; `tests/runtime/test_shapes.py` holds the same architectures, two layers of
each, to the same limits. Every model here is drawn by a family and run by OpenVINO, and held against
sentence-transformers or transformers in fp32 on the same texts.

*cosine*: the least of 48 vectors; for rerankers and classifiers, of all logits (log-probabilities) as one vector.
*swapped*: pairs that a ranking has the other way round, of those that torch tells apart by more than rounding (a
ten-thousandth of the range of its scores). *rank*: the least Spearman correlation of a ranking; random weights put all
texts so close together that it says little for them. Limits: cosine 0.9999 and nothing swapped in fp32, 0.999 in bf16.
One row misses the last one: an untied T5 with random weights. T5 is executed in fp32 unless bf16 is asked for.

| model's shape | task | weights | fp32 cosine | swapped | bf16 cosine | rank |
|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Measure, print and write the page."""
    if not REAL.is_dir():
        print(f"SKIP: no real models at HARDTACK_REAL={REAL}")
        return
    os.environ["HF_HUB_OFFLINE"] = "1"
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        minilm = Path(scratch) / "minilm"
        subprocess.run([str(REAL / "fetch-minilm"), str(minilm)], check=True, capture_output=True)
        for shape in SHAPES:
            rows.append(_row(shape, minilm, Path(scratch) / "model"))
            print(rows[-1], flush=True)
        retrieval = _cranfield(minilm)
    print(retrieval)
    PAGE.write_text(HEAD + "\n".join(rows) + "\n\n" + retrieval, encoding="utf-8")


def _row(shape: Shape, minilm: Path, scratch: Path) -> str:
    if shape.make is None:
        directory = minilm if shape.real == "minilm" else REAL / shape.real
        texts = cranfield.texts(REAL, 48)
    else:
        directory, texts = shape.lay_out(scratch, full=True), made_up(48, 100)
    try:
        theirs = reference(shape, directory, texts)
        exact = measure(shape, directory, texts, Precision.FP32, theirs)
        half = _half(shape, directory, texts, theirs)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    rounded = "– | –" if half is None else f"{half.cosine:.6f} | {half.rank:.4f}"
    return f"| {shape.name} | {shape.task.value} | {shape.said} | {exact.cosine:.6f} | {exact.swapped} | {rounded} |"


def _half(shape: Shape, directory: Path, texts: list[str], theirs: Rows) -> Figures | None:
    try:
        return measure(shape, directory, texts, Precision.BF16, theirs)
    except UnsupportedModel:
        return None  # this CPU does not multiply bf16, or the model has no products


def _cranfield(minilm: Path) -> str:
    queries, corpus = (list(cranfield.read(REAL, name).values()) for name in ("queries", "corpus"))
    theirs = [references.vectors(minilm, texts) for texts in (queries, corpus)]
    lines = [
        "## Retrieval", "",
        "all-MiniLM-L6-v2 on Cranfield (1,400 abstracts, 225 queries), nDCG@10. Limit: within 0.002.", "",
        "| engine | nDCG@10 |", "|---|---|",
        f"| sentence-transformers, fp32 | {cranfield.ndcg(theirs[0], theirs[1], REAL):.4f} |",
    ]  # fmt: skip
    for precision in COSINE:
        model = load_model(minilm, Task.EMBED, locked=None, source="path", options=Options(precision=precision))
        assert isinstance(model, Embedder)
        ours = [np.asarray(model.encode(texts)) for texts in (queries, corpus)]
        model.close()
        lines.append(f"| hardtack, {precision.value} | {cranfield.ndcg(ours[0], ours[1], REAL):.4f} |")
    return "\n".join(lines) + "\n"
