"""Three models served by one process: MiniLM, a base-size reranker and a small T5, as they were pulled: its memory.

All in fp32 files, without builds; with them, :mod:`benchmarks.builds` asks the same. The reranker and the T5 have
random weights (:mod:`benchmarks.shapes`). Writes 1.5 GB to a temporary folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from benchmarks._servers import Server
from benchmarks.measure import BRIEF, target
from benchmarks.runtime import REAL, _texts
from benchmarks.shapes import write_reranker, write_t5

MANIFEST = """\
[models.emb]
task = "embed"
repo = "./minilm"
[models.rerank]
task = "rerank"
repo = "./reranker"
[models.classify]
task = "classify"
repo = "./t5"
[models.classify.labels.category]
values = ["energy", "comfort", "security", "convenience"]
prompt = "Classify this pattern into one category. Pattern: {text} Category:"
"""
REQUESTS = 6 if BRIEF else 60


def main() -> None:
    """Print the figures."""
    if not REAL.is_dir():
        print(f"SKIP: no real models at HARDTACK_REAL={REAL}")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([str(REAL / "fetch-minilm"), str(folder / "minilm")], check=True, capture_output=True)
        write_reranker(folder / "reranker")
        write_t5(folder / "t5")
        (folder / "hardtack.toml").write_text(MANIFEST)
        hardtack = [sys.executable, "-m", "hardtack"]
        for verb in (["lock"], ["bake", "pantry"]):
            subprocess.run([*hardtack, *verb], cwd=folder, check=True, capture_output=True)
        serve_three(folder / "pantry", "without builds")


def serve_three(pantry: Path, how: str) -> None:
    """Serve a pantry's embedder, reranker and classifier from one process, ask each, and print what that takes."""
    command = [sys.executable, "-m", "hardtack", "serve", str(pantry), "--port", "{port}", "--quiet", "--sealed"]
    with Server(command, "/ready") as server:
        print(f"three models ready after {server.seconds:.1f} s, every byte hashed; {server.megabytes():.0f} MB")
        _ask(server)
        peak = _peak(server)
    parts = ", ".join(f"{name} {peak[name]:.0f} MiB" for name in ("VmHWM", "VmRSS", "RssAnon", "RssFile"))
    print(f"after {REQUESTS} requests of each kind: {parts}; what is of files can be let go of")
    target(f"memory of three models served by one process, {how}, at most", peak["VmHWM"] / 1024, 2, unit="GiB",
           at_least=False)  # fmt: skip


def _ask(server: Server) -> None:
    texts = _texts(500)
    for number in range(REQUESTS):
        some = texts[number : number + 8]
        _post(server, "/v1/embeddings", {"input": some})
        _post(server, "/v1/rerank", {"query": texts[-number], "documents": some, "top_n": 3})
        _post(server, "/v1/classify", {"input": some})


def _post(server: Server, path: str, body: object) -> None:
    asked = urllib.request.Request(server.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=120) as answer:
        json.load(answer)


def _peak(server: Server) -> dict[str, float]:
    """The kernel's own figures of a process's memory, in MiB."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("Vm", "Rss"))}


if __name__ == "__main__":
    main()
