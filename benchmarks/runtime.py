"""The real MiniLM beside its peers: cold start, import, throughput, one short text. Needs torch and HARDTACK_REAL.

Beside fastembed and sentence-transformers' OpenVINO backend too, where ``make bench`` made an environment for them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks._contestants import PEERS, contestants, export
from benchmarks.measure import BRIEF, alternate, seconds_of, seconds_to_answer, target
from hardtack.runtime.instructions import read_instructions
from hardtack.spec.lock_text import read_lock

REAL = Path(os.environ.get("HARDTACK_REAL") or Path(__file__).parents[2] / "shared" / "real")
COLD_OURS = (
    "from hardtack import load_embedder;print(load_embedder('emb').encode('Light turns on at 7 AM')[0], flush=True)"
)
COLD_TORCH = (
    "import sys; from sentence_transformers import SentenceTransformer;"
    "print(SentenceTransformer(sys.argv[1]).encode('Light turns on at 7 AM')[0], flush=True)"
)
COLD_FASTEMBED = (
    "import sys; sys.path.append(sys.argv[2]); from _worker import fastembed;"
    "print(fastembed(sys.argv[1])(['Light turns on at 7 AM'])[0][0], flush=True)"
)


def main() -> None:
    """Print the figures."""
    if not REAL.is_dir():
        print(f"SKIP: no real models at HARDTACK_REAL={REAL}")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pantry, built = _pantry(_made(folder / "plain")), _built(folder)
        peers = folder / "peers" if not BRIEF and export(pantry / "emb", folder / "peers") else None
        _cold(pantry, peers)
        _import()
        _warm(pantry / "emb", built, peers, folder)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _built(folder: Path) -> Path | None:
    """A pantry with what `hardtack build` makes of MiniLM here; None, said aloud, where it makes nothing."""
    if find_spec("nncf") is None:
        print("SKIP: no nncf; the model as it was pulled, alone")
        return None
    built = _pantry(_made(folder / "built"), build=True)
    (model,) = read_lock(built / "hardtack.lock").models
    return built if model.builds else None


def _pantry(folder: Path, *, build: bool = False) -> Path:
    """MiniLM, locked, pulled and baked into a folder; ``build``: as `hardtack build` finds best on this CPU."""
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
    if build:
        (chosen,) = project.build()
        print(f"hardtack build: {chosen.precision}, {chosen.why}")
        for tried in chosen.tried:
            print(f"  {tried.variant}: {'  '.join(map(str, tried.figures))}")
    project.bake(folder / "pantry")
    return folder / "pantry"


def _cold(pantry: Path, peers: Path | None) -> None:
    env = {**os.environ, "HARDTACK_PANTRY": str(pantry), "HF_HUB_OFFLINE": "1"}
    commands = {
        "hardtack": [sys.executable, "-c", COLD_OURS],
        "sentence-transformers": [sys.executable, "-c", COLD_TORCH, str(pantry / "emb")],
    }
    if peers is not None:
        here = str(Path(__file__).parent)
        commands["fastembed"] = [str(PEERS), "-c", COLD_FASTEMBED, str(peers / "fastembed"), here]
    cold = alternate(
        {name: lambda command=command: seconds_to_answer(command, env) for name, command in commands.items()}, rounds=7
    )
    _table("cold start, process → first vector, seconds", cold)
    target("cold start beside sentence-transformers", cold["sentence-transformers"] / cold["hardtack"], 13)
    if "fastembed" in cold:
        target("cold start beside fastembed", cold["fastembed"] / cold["hardtack"], 1.8)


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


def _warm(minilm: Path, built: Path | None, peers: Path | None, folder: Path) -> None:
    texts = _texts(50 if BRIEF else 1000)
    (folder / "texts.json").write_text(json.dumps(texts))
    with contestants(minilm, built, peers, folder / "texts.json") as models:
        vectors = {name: model.vectors(folder) for name, model in models.items()}
        rates = alternate({name: model.asker("rate") for name, model in models.items()}, rounds=3)
        waits = alternate({name: model.asker("latency") for name, model in models.items()}, rounds=5)
        peaks = {name: model.asker("peak")() for name, model in models.items()}
    print(f"{len(texts)} texts of mixed lengths; one short text; memory; cosine to sentence-transformers in fp32:")
    exact = vectors["sentence-transformers"]
    for name in models:
        least = (vectors[name] * exact).sum(1).min()
        print(
            f"  {name:<28} {rates[name]:8.1f} texts/s   p50 {waits[name]:6.2f} ms   peak {peaks[name]:6.0f} MB   "
            f"least cosine {least:.5f}"
        )
    ours, default = rates["hardtack auto"], rates["sentence-transformers"]
    best = max(rate for name, rate in rates.items() if name.startswith(("sentence", "its")))
    amx = read_instructions().tiles
    target("throughput beside sentence-transformers' default", ours / default, 5 if amx else 1.5)
    target("throughput beside its best setting here" + ("" if amx else " (a target for AMX)"), ours / best, 1.7)
    if "fastembed" in rates:
        target("throughput beside fastembed" + ("" if amx else " (a target for AMX)"), ours / rates["fastembed"], 5)
    mine = "hardtack built" if built is not None else "hardtack auto"
    print(f"one short text: {mine}; not built {waits['hardtack auto'] / waits['sentence-transformers']:.2f} ×")
    target("one short text beside sentence-transformers", waits[mine] / waits["sentence-transformers"], 0.25,
           at_least=False)  # fmt: skip


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
