"""Servers in processes of their own, and wrk: for the benchmarks of `hardtack serve`."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_SCRIPT = """\
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local bodies, n = {}, 0
for line in io.lines("%s") do bodies[#bodies + 1] = line end
request = function()
  n = n %% #bodies + 1
  return wrk.format(nil, nil, nil, bodies[n])
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("FIGURES %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.timeout + e.status))
end
"""


@dataclass(frozen=True)
class Load:
    """What wrk saw: requests a second that went well, p50 and p99 in milliseconds, and how many failed.

    ``cpu`` is the server's own time on the CPUs, in milliseconds a request, which other processes change little.
    """

    rate: float
    p50: float
    p99: float
    failed: int
    cpu: float = 0.0


class Server:
    """A server while this is a context.

    Args:
        command: with ``{port}`` where the port goes.
        ready: the path that answers 200 once it is ready.
        env: besides this process's environment.
    """

    def __init__(self, command: Sequence[str], ready: str, env: Mapping[str, str] | None = None) -> None:
        self.port = _free_port()
        self._command = [part.format(port=self.port) for part in command]
        self._ready = ready
        self._env = {**os.environ, **(env or {})}
        self.seconds = 0.0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        began = time.perf_counter()
        self.process = subprocess.Popen(
            self._command, env=self._env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not self._is_ready():
            if self.process.poll() is not None or time.perf_counter() - began > 300:
                self.process.kill()
                raise RuntimeError(f"{self._command[0]} did not start: {' '.join(self._command)}")
            time.sleep(0.005)
        self.seconds = time.perf_counter() - began
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        finally:
            self.process.kill()

    def megabytes(self) -> float:
        """Resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def cpu_seconds(self) -> float:
        """CPU time it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + self._ready, timeout=5) as response:
                return bool(response.status == 200)
        except (OSError, urllib.error.URLError):
            return False


def wrk(url: str, bodies: Sequence[object], connections: int, seconds: float, folder: Path) -> Load:
    """Closed loop: so many connections, each sending the next body as soon as it has its answer.

    Raises:
        RuntimeError: there is no wrk, or it failed.
    """
    program = shutil.which("wrk")
    if program is None:
        raise RuntimeError("there is no wrk: apt-get install wrk")
    lines = folder / "bodies.jsonl"
    lines.write_text("".join(json.dumps(body) + "\n" for body in bodies))
    script = folder / "load.lua"
    script.write_text(_SCRIPT % lines)
    command = [program, "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "60s", "-s", str(script), url]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"FIGURES (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
    if found is None:
        raise RuntimeError(f"wrk: {done.stdout}{done.stderr}")
    requests, micros, p50, p99, failed = map(int, found.groups())
    return Load((requests - failed) / micros * 1e6, p50 / 1000, p99 / 1000, failed)


def _free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])
