"""Twice as much as `hardtack serve` can do, for a minute, or HARDTACK_SOAK seconds (900 by hand): does it hold?

No error but 429, memory flat after the first minute, accepted requests within the queue's bound, and, at the end, what
was accepted is answered though it is told to stop. Open loop: requests are sent when they are due, answered or not.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks._servers import Server, wrk
from benchmarks.measure import BRIEF, target
from benchmarks.runtime import REAL, _pantry, _texts

SECONDS = 10 if BRIEF else float(os.environ.get("HARDTACK_SOAK", "60"))
WAIT = 5.0
SMALL = 0.2
"""Share of the requests that have one text; the others have 32."""


@dataclass
class Seen:
    """What became of the requests."""

    statuses: Counter[object] = field(default_factory=Counter)
    small: list[float] = field(default_factory=list)
    bulk: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)


def main() -> None:
    """Print what was seen."""
    if not REAL.is_dir():
        print(f"SKIP: no real models at HARDTACK_REAL={REAL}")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pantry = _pantry(folder)
        texts = _texts(1000)
        command = [sys.executable, "-m", "hardtack", "serve", str(pantry), "--port", "{port}", "--quiet"]
        server = Server([*command, "--max-wait", str(WAIT)], "/ready")
        with server:
            bulk = [texts[start : start + 32] for start in range(0, 960, 32)]
            load = wrk(server.url + "/v1/embeddings", [{"input": each} for each in bulk], 16, 8, folder)
            print(
                f"saturated: {load.rate:.1f} requests/s of 32 texts; sent are {2 * load.rate:.1f}, and small ones too"
            )
            seen = asyncio.run(_soak(server, texts, 2 * load.rate))
        _report(seen)


async def _soak(server: Server, texts: Sequence[str], rate: float) -> Seen:
    seen, tasks = Seen(), set()
    began = time.monotonic()
    sent = 0
    while (now := time.monotonic()) < began + SECONDS:
        due = int((now - began) * rate / (1 - SMALL))
        for number in range(sent, due):
            small = number % 5 == 0
            start = number * 7 % 960
            body = {"input": texts[start : start + (1 if small else 32)]}
            task = asyncio.ensure_future(_one(server.port, json.dumps(body).encode(), small, seen))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        sent = due
        if not seen.memory or now - began - seen.memory[-1][0] > 5:
            seen.memory.append((now - began, server.megabytes()))
            print(f"  {now - began:5.0f} s  {seen.memory[-1][1]:7.1f} MB  {dict(seen.statuses)}", flush=True)
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.1)  # what was sent last has arrived by then
    before = dict(seen.statuses)
    server.process.send_signal(signal.SIGTERM)
    await asyncio.gather(*tasks)
    code = await asyncio.to_thread(server.process.wait, 60)
    after = {status: count - before.get(status, 0) for status, count in seen.statuses.items()}
    print(f"told to stop under load: of what was under way {after}; exit status {code}")
    lost = sum(count for status, count in after.items() if status not in (200, 429))
    target("of what was under way, not answered", lost, 0, unit="", at_least=False)
    return seen


async def _one(port: int, body: bytes, small: bool, seen: Seen) -> None:
    began = time.monotonic()
    head = "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.read()
        writer.close()
        status = int(answer.split(b" ", 2)[1])
        complete = len(answer.partition(b"\r\n\r\n")[2]) == int(_header(answer, b"content-length"))
        seen.statuses[status if complete else "cut short"] += 1
        if status == 200:
            (seen.small if small else seen.bulk).append(time.monotonic() - began)
    except (OSError, IndexError, ValueError) as problem:
        seen.statuses[type(problem).__name__] += 1


def _header(answer: bytes, name: bytes) -> bytes:
    lines = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
    return next(line.split(b":", 1)[1] for line in lines if line.lower().startswith(name + b":"))


def _report(seen: Seen) -> None:
    print(f"answers: {dict(seen.statuses)}")
    odd = sum(count for status, count in seen.statuses.items() if status not in (200, 429))
    target("answers other than 200 and 429", odd, 0, unit="", at_least=False)
    for name, took in (("small", sorted(seen.small)), ("bulk", sorted(seen.bulk))):
        if took:
            p50, p99 = took[len(took) // 2], took[int(len(took) * 0.99)]
            print(f"{name}: p50 {p50:.2f} s, p99 {p99:.2f} s of {len(took)} accepted")
    took = sorted(seen.small + seen.bulk)
    target("p99 of what was accepted, seconds", took[int(len(took) * 0.99)], WAIT + 1, unit="s", at_least=False)
    steady = [size for at, size in seen.memory if at >= min(60, SECONDS / 2)] or [size for _, size in seen.memory]
    target("memory at the end beside after the first minute", steady[-1] / steady[0], 1.05, at_least=False)
