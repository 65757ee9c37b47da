from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from typing import Any

import pytest

from hardtack.serve.memory import few_arenas, few_primitives

_ARENAS = """
import ctypes, sys, threading
from hardtack.serve.memory import few_arenas
if sys.argv[1] == "few":
    assert few_arenas(4)
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(12)
def take():
    libc.malloc(100)
    together.wait()
threads = [threading.Thread(target=take) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.malloc_stats()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="this C library has no arenas")
def test_threads_share_arenas() -> None:
    def arenas(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", _ARENAS, how], capture_output=True, text=True, check=True)
        return done.stderr.count("Arena ")

    assert arenas("few") <= 2 < arenas("many")


def test_a_c_library_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: Any) -> object:
        return object()

    monkeypatch.setattr(ctypes, "CDLL", none)
    assert not few_arenas(4)


@pytest.mark.parametrize(("before", "after"), [(None, "256"), ("9", "9")])
def test_primitives_are_few_unless_somebody_said_how_many(
    before: str | None, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.setenv(name, "")  # so that it is put back
    monkeypatch.delenv(name)
    if before is not None:
        monkeypatch.setenv(name, before)
    few_primitives()
    assert os.environ[name] == after
