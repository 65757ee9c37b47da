"""`hardtack serve` beside infinity on MiniLM: requests a second, latency, start, memory. Needs wrk and HARDTACK_REAL.

The model is what `hardtack build` makes of it on this CPU under `precision = "auto"`, its default; where that is an
int8 build, the model as it was pulled is shown too. Where nncf is missing, that alone.

infinity has a virtual environment of its own, since it installs old versions of what we use: `make bench` makes it at
`.venv-infinity`, HARDTACK_INFINITY names another. Both servers run side by side and are asked in turn. Ours is told
to wait as long as it takes: infinity refuses nothing either.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks._servers import Load, Server, wrk
from benchmarks.measure import BRIEF, target
from benchmarks.runtime import REAL, _built, _made, _pantry, _texts

INFINITY = (
    Path(os.environ.get("HARDTACK_INFINITY") or Path(__file__).parents[1] / ".venv-infinity") / "bin/infinity_emb"
)
ROUNDS = 1 if BRIEF else int(os.environ.get("HARDTACK_ROUNDS", "3"))
SECONDS = 1 if BRIEF else float(os.environ.get("HARDTACK_SECONDS", "5"))
MANY = 16
"""Connections of 32 texts each that keep a server busy: 512 texts, which is some seconds of work."""
MORE = {1: 6.0, 8: 6.0, 64: 4.5}
"""Connections → how many times infinity's requests a second, at one short sentence each."""


def main() -> None:
    """Print the figures."""
    if not REAL.is_dir():
        print(f"SKIP: no real models at HARDTACK_REAL={REAL}")
        return
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        plain = _pantry(_made(folder / "plain"))
        servers = {"hardtack": stack.enter_context(_hardtack(plain))}
        pantry = plain
        if (built := _built(folder)) is not None:
            servers = {"hardtack": stack.enter_context(_hardtack(built)), "unbuilt": servers["hardtack"]}
            pantry = built
        if INFINITY.exists():
            servers["infinity"] = stack.enter_context(_infinity(plain / "emb"))
        else:
            print(f"SKIP: no infinity at {INFINITY}; hardtack alone")
        short = [f"Light number {number} turns on at 7 AM in the kitchen" for number in range(1000)]
        mixed = _texts(1000)
        for server in servers.values():  # new shapes cost once
            _ask(server, [[text] for text in short], 64, SECONDS, folder)
            _ask(server, _by(mixed, 32), 8, SECONDS, folder)
        for connections, more in MORE.items():
            loads = _side_by_side(servers, [[text] for text in short], connections, folder)
            _compare(f"1 short sentence, {connections} at once", loads, more, p99=0.25)
        loads = _side_by_side(servers, _by(mixed, 32), MANY, folder, 3 * SECONDS)
        _compare(f"32 mixed texts, {MANY} at once", loads, 3.5)
        _saturation(servers["hardtack"], pantry, mixed, folder)
        _idle(servers)
        _size(servers)
        if "infinity" in servers:
            _start(pantry, plain)


def _hardtack(pantry: Path) -> Server:
    command = [sys.executable, "-m", "hardtack", "serve", str(pantry), "--port", "{port}", "--quiet"]
    return Server([*command, "--max-wait", "600"], "/ready")


def _infinity(model: Path) -> Server:
    command = [str(INFINITY), "v2", "--model-id", str(model), "--served-model-name", "emb", "--port", "{port}"]
    command += ["--engine", "torch", "--device", "cpu", "--host", "127.0.0.1"]
    quiet = {"INFINITY_ANONYMOUS_USAGE_STATS": "0", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    return Server(command, "/health", quiet)


def _by(texts: Sequence[str], count: int) -> list[list[str]]:
    return [list(texts[start : start + count]) for start in range(0, len(texts) - count + 1, count)]


def _ask(server: Server, inputs: Sequence[Sequence[str]], connections: int, seconds: float, folder: Path) -> Load:
    ours = server.process.args[0] == sys.executable  # type: ignore[index]
    bodies = [{"model": "emb", "input": each} for each in inputs]
    url = server.url + ("/v1/embeddings" if ours else "/embeddings")
    before = server.cpu_seconds()
    load = wrk(url, bodies, connections, seconds, folder)
    used = server.cpu_seconds() - before
    _settle(server)
    return replace(load, cpu=used / max(1.0, load.rate * seconds) * 1000)


def _settle(server: Server) -> None:
    """Wait until a server does nothing: infinity goes on with what nobody waits for, into the next one's turn."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        before = server.cpu_seconds()
        time.sleep(0.5)
        if server.cpu_seconds() - before < 0.05:
            return
    print(f"  {server.url} is still at work a minute after its last client left")


def _side_by_side(
    servers: Mapping[str, Server],
    inputs: Sequence[Sequence[str]],
    connections: int,
    folder: Path,
    seconds: float = SECONDS,
) -> dict[str, Load]:
    """A B A B …; of each the median of every figure."""
    seen: dict[str, list[Load]] = {name: [] for name in servers}
    for _ in range(ROUNDS):
        for name, server in servers.items():
            seen[name].append(_ask(server, inputs, connections, seconds, folder))
    return {
        name: Load(
            statistics.median(load.rate for load in loads),
            statistics.median(load.p50 for load in loads),
            statistics.median(load.p99 for load in loads),
            sum(load.failed for load in loads),
            statistics.median(load.cpu for load in loads),
        )
        for name, loads in seen.items()
    }


def _compare(title: str, loads: Mapping[str, Load], more: float, p99: float | None = None) -> None:
    print(f"{title} (load {os.getloadavg()[0]:.1f}):")
    for name, load in loads.items():
        waits = f"p50 {load.p50:8.1f} ms  p99 {load.p99:8.1f} ms  failed {load.failed}"
        print(f"  {name:<10} {load.rate:9.1f} requests/s  {waits}  CPU {load.cpu:7.2f} ms a request")
    if "infinity" in loads:
        ours, theirs = loads["hardtack"], loads["infinity"]
        if not theirs.rate:
            print("  infinity answered nothing in time: this machine is too busy to say anything")
            return
        if "unbuilt" in loads:
            unbuilt = loads["unbuilt"]
            print(f"  unbuilt beside infinity: {unbuilt.rate / theirs.rate:.2f} ×, p99 {unbuilt.p99 / theirs.p99:.2f}")
        target(f"{title}: requests a second beside infinity", ours.rate / theirs.rate, more)
        if p99 is not None:
            target(f"{title}: p99 beside infinity", ours.p99 / theirs.p99, p99, at_least=False)


def _saturation(server: Server, pantry: Path, texts: Sequence[str], folder: Path) -> None:
    """Texts a second by HTTP and, in turn, by `Embedder.encode` alone: in its own process, while the server idles."""
    code = (
        "import json, sys, time\nfrom hardtack import load_embedder\ntexts = json.load(sys.stdin)\n"
        "model = load_embedder('emb'); model.encode(texts)\nbegan = time.perf_counter(); model.encode(texts * 3)\n"
        "print(3 * len(texts) / (time.perf_counter() - began))"
    )
    env = {**os.environ, "HARDTACK_PANTRY": str(pantry)}
    rates: dict[str, list[float]] = {"HTTP": [], "alone": []}
    for _ in range(ROUNDS):
        rates["HTTP"].append(32 * _ask(server, _by(texts, 32), MANY, 3 * SECONDS, folder).rate)
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(list(texts)),
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        rates["alone"].append(float(done.stdout))
    served, alone = (statistics.median(seen) for seen in rates.values())
    print(f"saturated: {served:.0f} texts/s by HTTP, {alone:.0f} by Embedder.encode alone")
    target("texts a second beside Embedder.encode alone", served / alone, 0.85)


def _idle(servers: Mapping[str, Server]) -> None:
    before = {name: server.cpu_seconds() for name, server in servers.items()}
    time.sleep(2 * SECONDS)
    used = {name: server.cpu_seconds() - before[name] for name, server in servers.items()}
    print(f"CPU in {2 * SECONDS:g} s without a request: " + ", ".join(f"{name} {s:.2f} s" for name, s in used.items()))


def _size(servers: Mapping[str, Server]) -> None:
    sizes = {name: server.megabytes() for name, server in servers.items()}
    print("memory: " + ", ".join(f"{name} {size:.0f} MB" for name, size in sizes.items()))
    if "infinity" in sizes:
        target("memory beside infinity", sizes["hardtack"] / sizes["infinity"], 0.5, at_least=False)


def _start(pantry: Path, plain: Path) -> None:
    seen: dict[str, list[float]] = {"hardtack": [], "infinity": []}
    for _ in range(ROUNDS):
        for name, server in (("hardtack", _hardtack(pantry)), ("infinity", _infinity(plain / "emb"))):
            with server:
                seen[name].append(server.seconds)
            time.sleep(0.2)
    ours, theirs = (statistics.median(seen[name]) for name in ("hardtack", "infinity"))
    print(f"start to ready: hardtack {ours:.2f} s, infinity {theirs:.2f} s")
    target("start to ready beside infinity", ours / theirs, 1 / 8, at_least=False)
