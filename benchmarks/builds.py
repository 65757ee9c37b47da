"""Int8 builds beside sentence-transformers: a base-size reranker, MiniLM, and three models together.

The reranker and the T5 have random weights (:mod:`benchmarks.shapes`), so that their gates are open and their loss says
nothing; what int8 costs a trained one is what ``hardtack build`` measures of it. Needs torch, nncf, HARDTACK_REAL.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.measure import alternate, seconds_to_answer, target
from benchmarks.runtime import REAL, _table, _texts
from benchmarks.shapes import write_reranker, write_t5
from benchmarks.three import serve_three

MANIFEST = """\
[models.emb]
task = "embed"
repo = "./minilm"
precision = "int8"
[models.rerank]
task = "rerank"
repo = "./reranker"
precision = "int8"
gate = { rank = -1, top1 = 0, ties = 1, drift = 1 }
[models.classify]
task = "classify"
repo = "./t5"
precision = "int8"
gate = { agreement = 0, drift = 1 }
[models.classify.labels.category]
values = ["energy", "comfort", "security", "convenience"]
prompt = "Classify this pattern into one category. Pattern: {text} Category:"
"""
COLD_OURS = (
    "from hardtack import load_reranker; print(load_reranker().predict([('a query', 'a document')]), flush=True)"
)
COLD_THEIRS = (
    "import sys; from sentence_transformers import CrossEncoder;"
    "print(CrossEncoder(sys.argv[1], device='cpu').predict([('a query', 'a document')]), flush=True)"
)
MIXED = """
import json, re, resource, sys
from hardtack import get_model_manager
models, texts, count = get_model_manager(), json.load(open(sys.argv[1])), int(sys.argv[2])
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20
seen = []
for number in range(count):
    text = texts[number % len(texts)]
    if number % 10 == 0:
        models.rerank.rank(text[:100], texts[number % 50 : number % 50 + 4])
    elif number % 10 == 5:
        models.classify.classify(text)
    else:
        models.embed.encode(text)
    if (number + 1) % (count // 10) == 0:
        seen.append(round(resident()))
# not ru_maxrss: that begins with what the process had that started this one
peak = int(re.search(r"VmHWM:\\s+([0-9]+) kB", open("/proc/self/status").read())[1]) / 1024
print(json.dumps({"resident": seen, "peak": peak}))
"""
REQUESTS = int(os.environ.get("HARDTACK_BENCH_REQUESTS", "10000"))


def main() -> None:
    """Print the figures."""
    if not REAL.is_dir():
        print(f"SKIP: no real models at HARDTACK_REAL={REAL}")
        return
    with tempfile.TemporaryDirectory() as folder:
        pantry = _pantry(Path(folder))
        _cold(pantry)
        _pairs(pantry)
        _minilm(pantry)
        _together(pantry, Path(folder))
        serve_three(pantry, "int8 builds")


def _pantry(folder: Path) -> Path:
    from hardtack.build.workshop import Tried
    from hardtack.places import Store
    from hardtack.project import Project
    from hardtack.supply.hub import Hub

    subprocess.run([str(REAL / "fetch-minilm"), str(folder / "minilm")], check=True, capture_output=True)
    write_reranker(folder / "reranker")
    write_t5(folder / "t5")
    (folder / "hardtack.toml").write_text(MANIFEST)
    project = Project(
        folder / "hardtack.toml",
        folder / "hardtack.lock",
        Store(folder / "hub", folder / "own"),
        Hub("http://127.0.0.1:9"),
    )

    def note(tried: Tried) -> None:
        said = "  ".join(map(str, tried.figures)) if tried.key == "emb" else "(random weights)"
        print(f"{tried.key}: {tried.variant}, {tried.size / 1e6:.0f} MB, {tried.why}; {said}", flush=True)

    project.lock()
    began = time.perf_counter()
    project.build(note=note)
    print(f"built in {time.perf_counter() - began:.0f} s")
    project.bake(folder / "pantry")
    return folder / "pantry"


def _env(pantry: Path) -> dict[str, str]:
    return {**os.environ, "HARDTACK_PANTRY": str(pantry), "HF_HUB_OFFLINE": "1"}


def _cold(pantry: Path) -> None:
    ours, theirs = [sys.executable, "-c", COLD_OURS], [sys.executable, "-c", COLD_THEIRS, str(pantry / "rerank")]
    cold = alternate(
        {
            "hardtack int8": lambda: seconds_to_answer(ours, _env(pantry)),
            "CrossEncoder": lambda: seconds_to_answer(theirs, _env(pantry)),
        },
        rounds=5,
    )
    _table("base-size reranker: cold start, process → first score, seconds", cold)
    target("cold start of a base-size reranker", cold["CrossEncoder"] / cold["hardtack int8"], 7)


def _pairs(pantry: Path) -> None:
    import torch
    from sentence_transformers import CrossEncoder

    from hardtack.spec.words import Precision

    torch.set_num_threads(os.cpu_count() or 1)
    long = [" ".join(text.split()[:55]) for text in _texts(400) if len(text.split()) >= 55][:64]
    pairs = [("flow of air over a thin wing at high speed", text) for text in long]
    models = {
        "hardtack int8": _ours(pantry, "rerank", Precision.INT8),
        "hardtack without int8": _ours(pantry, "rerank", Precision.BF16),
        "CrossEncoder": CrossEncoder(str(pantry / "rerank"), device="cpu"),
        "CrossEncoder bf16": CrossEncoder(str(pantry / "rerank"), device="cpu", model_kwargs={"dtype": torch.bfloat16}),
    }

    def rate(model: object) -> Callable[[], float]:
        def run() -> float:
            began = time.perf_counter()
            model.predict(pairs)  # type: ignore[attr-defined]
            return len(pairs) / (time.perf_counter() - began)

        return run

    for model in models.values():
        model.predict(pairs[:8])
    rates = alternate({name: rate(model) for name, model in models.items()}, rounds=3)
    _table(f"base-size reranker: {len(pairs)} pairs of about {_tokens(pantry, pairs)} tokens, pairs/s", rates)
    target("pairs/s beside CrossEncoder in fp32", rates["hardtack int8"] / rates["CrossEncoder"], 6)
    target("pairs/s beside CrossEncoder in bf16", rates["hardtack int8"] / rates["CrossEncoder bf16"], 1.5)


def _minilm(pantry: Path) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    from hardtack.spec.words import Precision

    texts = _texts(1000)
    plain = SentenceTransformer(str(pantry / "emb"), device="cpu")
    half = SentenceTransformer(str(pantry / "emb"), device="cpu", model_kwargs={"dtype": torch.bfloat16})
    models = {
        "hardtack int8": _ours(pantry, "emb", Precision.INT8), "hardtack bf16": _ours(pantry, "emb", Precision.BF16),
        "hardtack fp32": _ours(pantry, "emb", Precision.FP32), "sentence-transformers": plain,
        "sentence-transformers bf16": half,
    }  # fmt: skip

    def rate(model: object) -> Callable[[], float]:
        def run() -> float:
            began = time.perf_counter()
            model.encode(texts)  # type: ignore[attr-defined]
            return len(texts) / (time.perf_counter() - began)

        return run

    reference = np.asarray(plain.encode(texts))
    for model in models.values():
        model.encode(texts[:64])  # type: ignore[attr-defined]
    rates = alternate({name: rate(model) for name, model in models.items()}, rounds=3)
    _table(f"MiniLM on {len(texts)} texts of mixed lengths, texts/s", rates)
    for name in ("hardtack int8", "hardtack bf16"):
        vectors = np.asarray(models[name].encode(texts))  # type: ignore[attr-defined]
        print(f"         cosine of {name} to sentence-transformers: min {(vectors * reference).sum(1).min():.4f}")
    best = max(rates["sentence-transformers"], rates["sentence-transformers bf16"])
    target(
        "MiniLM in int8 beside sentence-transformers' default",
        rates["hardtack int8"] / rates["sentence-transformers"],
        1.5,
    )
    target("MiniLM in int8 beside its best setting", rates["hardtack int8"] / best, 1.7)


def _together(pantry: Path, folder: Path) -> None:
    import json

    (folder / "texts.json").write_text(json.dumps([text[:400] for text in _texts(200)]))
    command = [sys.executable, "-c", MIXED, str(folder / "texts.json"), str(REQUESTS)]
    began = time.perf_counter()
    done = subprocess.run(command, env=_env(pantry), capture_output=True, text=True, check=True)
    took, said = time.perf_counter() - began, json.loads(done.stdout)
    print(f"three models, {REQUESTS} mixed requests in {took:.0f} s; MiB resident at every tenth: {said['resident']}")
    target("peak of three models together", said["peak"] * 2**20 / 1e9, 1.3, unit="GB", at_least=False)
    half = said["resident"][len(said["resident"]) // 2]
    target("growth over the second half of the requests", said["resident"][-1] / half, 1.02, at_least=False)


def _ours(pantry: Path, key: str, precision: object) -> object:
    from hardtack.runtime.load import Options, load_model
    from hardtack.spec.lock_text import read_lock

    model = read_lock(pantry / "hardtack.lock").find(key)
    options = Options(precision=precision)  # type: ignore[arg-type]
    return load_model(pantry / key, model.task, locked=model, source="pantry", options=options)


def _tokens(pantry: Path, pairs: list[tuple[str, str]]) -> int:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(pantry / "rerank/tokenizer.json"))
    return int(np.mean([len(each.ids) for each in tokenizer.encode_batch(pairs)]))


if __name__ == "__main__":
    main()
