"""The mirror under a crowd: 32 clients at once beside one `curl`, bytes a second in sum. Needs curl; 1 GB of disk.

The clients are `curl`, too, so that the server is what is measured; on few cores they are the larger part of the load.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import BRIEF, alternate, target

SIZE = 50_000_000 if BRIEF else 1_000_000_000
CROWD = 32
EACH = SIZE // 4  # bytes that each of the crowd takes, so that a round is 8 GB
REPO, FILE = "bench/big", "model.safetensors"


def main() -> None:
    """Print the figures."""
    if shutil.which("curl") is None:
        print("SKIP: no curl")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "big" / FILE)
        with running_mirror(folder) as (process, url):
            address = f"{url}/{REPO}/resolve/main/{FILE}"
            rates = alternate(
                {"one curl": lambda: _rate(address, 1, SIZE), f"{CROWD} at once, in sum": lambda: _rate(address)},
                rounds=5,
            )
            peak = _peak_megabytes(process.pid)
    for what, rate in rates.items():
        print(f"  {what:<28} {rate:10.2f} GB/s")
    one, crowd = rates.values()
    target(f"{CROWD} clients in sum beside one", crowd / one, 0.7)
    target("the mirror's own memory, peak", peak, 150, unit="MB", at_least=False)


def fill(path: Path) -> None:
    """Bytes that no file system stores as holes; hashed and so in the page cache once the mirror is up."""
    path.parent.mkdir()
    block = os.urandom(10_000_000)
    with path.open("wb") as file:
        for _ in range(SIZE // len(block)):
            file.write(block)


@contextmanager
def running_mirror(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A mirror in a process of its own, as it is run; and its address."""
    command = [sys.executable, "-m", "hardtack", "mirror", "--model", f"{REPO}={folder / 'big'}", "--port", "0", "-q"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            found = next(match for line in process.stderr if (match := re.search(r"HF_ENDPOINT=(\S+)", line)))
            yield process, found[1]
        finally:
            process.terminate()


def _rate(address: str, clients: int = CROWD, size: int = EACH) -> float:
    """GB a second in sum, of so many clients that take the first ``size`` bytes each."""
    command = ["curl", "-sfS", "-o", "/dev/null", "-r", f"0-{size - 1}", address]
    began = time.perf_counter()
    crowd = [subprocess.Popen(command) for _ in range(clients)]
    failed = [client for client in crowd if client.wait()]
    if failed:
        raise RuntimeError("a client was not served")
    return clients * size / (time.perf_counter() - began) / 1e9


def _peak_megabytes(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmHWM:\s+([0-9]+) kB", status)
    assert found is not None
    return int(found[1]) * 1024 / 1e6
