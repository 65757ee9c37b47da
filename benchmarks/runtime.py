"""The real MiniLM beside sentence-transformers: cold start, throughput, one short text. Needs torch, HARDTACK_REAL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.measure import BRIEF, alternate, seconds_of, seconds_to_answer, target

REAL = Path(os.environ.get("HARDTACK_REAL") or Path(__file__).parents[2] / "shared" / "real")
COLD_OURS = (
    "from hardtack import load_embedder;print(load_embedder('emb').encode('Light turns on at 7 AM')[0], flush=True)"
)
COLD_THEIRS = (
    "import sys; from sentence_transformers import SentenceTransformer;"
    "print(SentenceTransformer(sys.argv[1]).encode('Light turns on at 7 AM')[0], flush=True)"
)


def main() -> None:
    """Print the figures."""
    if not REAL.is_dir():
        print(f"SKIP: no real models at HARDTACK_REAL={REAL}")
        return
    with tempfile.TemporaryDirectory() as folder:
        pantry = _pantry(Path(folder))
        env = {**os.environ, "HARDTACK_PANTRY": str(pantry), "HF_HUB_OFFLINE": "1"}
        cold = alternate(
            {
                "hardtack": lambda: seconds_to_answer([sys.executable, "-c", COLD_OURS], env),
                "sentence-transformers": lambda: seconds_to_answer(
                    [sys.executable, "-c", COLD_THEIRS, str(pantry / "emb")], env
                ),
            },
            rounds=5,
        )
        _table("cold start, process → first vector, seconds", cold)
        target("cold start beside sentence-transformers", cold["sentence-transformers"] / cold["hardtack"], 13)
        _import()
        _warm(pantry)


def _pantry(folder: Path) -> Path:
    from hardtack.mirror import Content, MirrorServer, Served
    from hardtack.places import Store
    from hardtack.project import Project
    from hardtack.supply.hub import Hub

    model = folder / "minilm"
    subprocess.run([str(REAL / "fetch-minilm"), str(model)], check=True, capture_output=True)
    (folder / "hardtack.toml").write_text(
        '[models.emb]\ntask = "embed"\nrepo = "sentence-transformers/all-MiniLM-L6-v2"\n'
    )
    with MirrorServer(Content.gather([Served("sentence-transformers/all-MiniLM-L6-v2", model)])) as mirror:
        project = Project(
            folder / "hardtack.toml", folder / "hardtack.lock", Store(folder / "hub", folder / "own"), Hub(mirror.url)
        )
        project.lock()
        project.pull()
    project.bake(folder / "pantry")
    return folder / "pantry"


def _import() -> None:
    took = alternate(
        {
            "hardtack": lambda: seconds_of([sys.executable, "-c", "from hardtack import load_embedder"]),
            "numpy": lambda: seconds_of([sys.executable, "-c", "import numpy"]),
            "nothing": lambda: seconds_of([sys.executable, "-c", ""]),
        },
        rounds=9,
    )
    _table("import, seconds", took)
    target(
        "`from hardtack import load_embedder` beside `import numpy`",
        took["hardtack"] / took["numpy"],
        1.3,
        at_least=False,
    )


def _warm(pantry: Path) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    from hardtack.runtime.embedder import Embedder
    from hardtack.runtime.load import Options, load_model
    from hardtack.spec.words import Precision, Task

    texts = _texts(50 if BRIEF else 1000)
    torch.set_num_threads(os.cpu_count() or 1)
    plain = SentenceTransformer(str(pantry / "emb"), device="cpu")
    half = SentenceTransformer(str(pantry / "emb"), device="cpu", model_kwargs={"dtype": torch.bfloat16})

    def ours(precision: Precision) -> Embedder:
        options = Options(precision=precision)
        model = load_model(pantry / "emb", Task.EMBED, locked=None, source="path", options=options)
        assert isinstance(model, Embedder)
        return model

    models = {
        "hardtack fp32": ours(Precision.FP32), "hardtack auto": ours(Precision.AUTO),
        "sentence-transformers": plain, "sentence-transformers bf16": half,
    }  # fmt: skip
    reference = np.asarray(plain.encode(texts, batch_size=32))

    def rate(model: object) -> Callable[[], float]:
        def run() -> float:
            began = time.perf_counter()
            model.encode(texts)  # type: ignore[attr-defined]
            return len(texts) / (time.perf_counter() - began)

        return run

    def latency(model: object) -> Callable[[], float]:
        def run() -> float:
            took = []
            for number in range(40):
                began = time.perf_counter()
                model.encode([f"Light number {number} turns on at 7 AM"])  # type: ignore[attr-defined]
                took.append(time.perf_counter() - began)
            return float(np.median(took)) * 1000

        return run

    for model in models.values():
        model.encode(texts[:64])  # warm
    rates = alternate({name: rate(model) for name, model in models.items()}, rounds=3)
    _table(f"throughput on {len(texts)} texts of mixed lengths, texts/s", rates)
    lowest = _lowest(np.asarray(models["hardtack auto"].encode(texts)), reference)
    executed = models["hardtack auto"].engine.precision
    print(f"         lowest cosine of `{executed}` to sentence-transformers fp32: {lowest:.5f}")
    best = max(rates["sentence-transformers"], rates["sentence-transformers bf16"])
    target(
        "throughput beside sentence-transformers' default", rates["hardtack auto"] / rates["sentence-transformers"], 1.5
    )
    target("throughput beside its best setting here", rates["hardtack auto"] / best, 1.7)
    waits = alternate({name: latency(model) for name, model in models.items()}, rounds=5)
    _table("one short text, p50, ms", waits)
    target(
        "one short text beside sentence-transformers",
        waits["hardtack auto"] / waits["sentence-transformers"],
        0.25,
        at_least=False,
    )


def _lowest(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(((ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)).min())


def _texts(count: int) -> list[str]:
    """Sentences and paragraphs of Cranfield, of mixed lengths."""
    with (REAL / "eval/cranfield/corpus.jsonl").open() as lines:
        documents = [json.loads(line)["text"] for line in lines]
    pieces = [piece.strip() for document in documents for piece in document.split(" . ") if len(piece) > 20]
    rows = pieces[: count * 4 // 5] + [text for text in documents if text][: count - count * 4 // 5]
    return [rows[number] for number in np.random.default_rng(0).permutation(len(rows))]


def _table(title: str, rows: dict[str, float]) -> None:
    print(f"{title}:")
    for name, figure in rows.items():
        print(f"  {name:<28} {figure:10.3f}")
