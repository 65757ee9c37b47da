"""Our own engine beside OpenVINO and sentence-transformers, where the CPU has AMX. Needs torch, HARDTACK_REAL."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import alternate, seconds_of, target
from benchmarks.runtime import REAL, _table, _texts
from hardtack.runtime.native.library import ability

PEAK = (
    "import resource, sys; from pathlib import Path;"
    "from hardtack.runtime.load import Options, load_model; from hardtack.spec.words import EngineName, Task;"
    "m = load_model(Path(sys.argv[1]), Task.EMBED, locked=None, source='path',"
    " options=Options(engine=EngineName(sys.argv[2])));"
    "m.encode(Path(sys.argv[3]).read_text().splitlines());"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
)
COLD = (
    "import sys; from pathlib import Path;"
    "from hardtack.runtime.load import Options, load_model; from hardtack.spec.words import EngineName, Task;"
    "m = load_model(Path(sys.argv[1]), Task.EMBED, locked=None, source='path',"
    " options=Options(engine=EngineName(sys.argv[2])));"
    "print(m.encode('Light turns on at 7 AM')[0])"
)
COLD_THEIRS = (
    "import sys; from sentence_transformers import SentenceTransformer;"
    "print(SentenceTransformer(sys.argv[1]).encode('Light turns on at 7 AM')[0])"
)


def main() -> None:
    """Print the figures and the targets, or why there are none."""
    able = ability()
    if able.library is None:
        print(f"SKIP: no AMX here, or no library for it: {able.why_not}")
        return
    if not REAL.is_dir():
        print(f"SKIP: no real models at HARDTACK_REAL={REAL}")
        return
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "minilm"
        subprocess.run([str(REAL / "fetch-minilm"), str(model)], check=True, capture_output=True)
        _cold(model)
        _memory(model, Path(folder))
        _warm(model)


def _cold(model: Path) -> None:
    def start(code: str, *rest: str) -> Callable[[], float]:
        return lambda: seconds_of([sys.executable, "-c", code, str(model), *rest])

    took = alternate(
        {
            "native": start(COLD, "native"),
            "openvino": start(COLD, "openvino"),
            "sentence-transformers": start(COLD_THEIRS),
        },
        rounds=5,
    )
    _table("cold start, process → first vector, seconds", took)
    target("cold start beside sentence-transformers", took["sentence-transformers"] / took["native"], 25)


def _memory(model: Path, folder: Path) -> None:
    (folder / "texts").write_text("\n".join(text.replace("\n", " ") for text in _texts(1000)))
    peak = {}
    for engine in ("native", "openvino"):
        command = [sys.executable, "-c", PEAK, str(model), engine, str(folder / "texts")]
        peak[engine] = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    _table("peak memory for 1,000 mixed texts, MB", peak)
    target("peak memory beside openvino's", peak["native"] / peak["openvino"], 1 / 3, at_least=False)


def _warm(model: Path) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    from hardtack.runtime.load import Options, load_model
    from hardtack.spec.words import EngineName, Task

    texts = _texts(1000)
    torch.set_num_threads(os.cpu_count() or 1)

    def ours(engine: EngineName) -> Any:
        return load_model(model, Task.EMBED, locked=None, source="path", options=Options(engine=engine))

    models = {
        "native": ours(EngineName.NATIVE),
        "openvino": ours(EngineName.OPENVINO),
        "sentence-transformers": SentenceTransformer(str(model), device="cpu"),
        "sentence-transformers bf16": SentenceTransformer(
            str(model), device="cpu", model_kwargs={"dtype": torch.bfloat16}
        ),
    }

    def rate(each: Any) -> Callable[[], float]:
        def run() -> float:
            began = time.perf_counter()
            each.encode(texts)
            return len(texts) / (time.perf_counter() - began)

        return run

    def latency(each: Any) -> Callable[[], float]:
        def run() -> float:
            took = []
            for number in range(40):
                began = time.perf_counter()
                each.encode([f"Light number {number} turns on at 7 AM"])
                took.append(time.perf_counter() - began)
            return float(np.median(took)) * 1000

        return run

    for each in models.values():
        each.encode(texts[:64])  # warm
    rates = alternate({name: rate(each) for name, each in models.items()}, rounds=3)
    _table(f"throughput on {len(texts)} texts of mixed lengths, texts/s", rates)
    reference = np.asarray(models["sentence-transformers"].encode(texts))
    lowest = float((np.asarray(models["native"].encode(texts)) * reference).sum(1).min())  # of length one, both
    target("lowest cosine to sentence-transformers fp32", lowest, 0.999, unit="")
    best = max(rates["sentence-transformers"], rates["sentence-transformers bf16"])
    target("throughput beside sentence-transformers' default", rates["native"] / rates["sentence-transformers"], 12)
    target("throughput beside its best setting here", rates["native"] / best, 4)
    target("throughput beside our openvino engine", rates["native"] / rates["openvino"], 2.6)
    waits = alternate({name: latency(each) for name, each in models.items()}, rounds=5)
    _table("one short text, p50, ms", waits)
    short = waits["native"] / waits["sentence-transformers"]
    target("one short text beside sentence-transformers", short, 1 / 8, at_least=False)
