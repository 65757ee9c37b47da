"""The native library, and its double with the tile instructions emulated: compiled once for sources and CPU."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from hardtack.runtime import choosing
from hardtack.runtime.native import library
from hardtack.runtime.native.library import Library

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "native"


def script(name: str) -> ModuleType:
    """A Python file of ``native/``, which is no package."""
    spec = importlib.util.spec_from_file_location(name, SOURCES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def double_file() -> Path:
    """The double; skips where there is no compiler.

    ``HARDTACK_TEST_DOUBLE`` names another one: `make test-native` compiles it with sanitizers.
    """
    given = os.environ.get("HARDTACK_TEST_DOUBLE")
    return Path(given) if given else _compiled(double=True)


@cache
def real_file() -> Path:
    """The library as it is shipped, with the instructions; skips where there is no compiler."""
    return _compiled(double=False)


def _compiled(*, double: bool) -> Path:
    """A library of these sources for this CPU, compiled where nobody did before."""
    compiling = script("compiling")
    if compiling.compiler() is None:
        pytest.skip("no C++ compiler for Linux on x86-64")
    parts = [file.read_bytes() for file in sorted(SOURCES.iterdir()) if file.is_file()]
    parts.append(next(line for line in Path("/proc/cpuinfo").read_bytes().splitlines() if line.startswith(b"flags")))
    folder = ROOT / "build/native"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{hashlib.sha256(b''.join(parts)).hexdigest()[:16]}-{'double' if double else 'real'}.so"
    with (folder / "lock").open("w") as lock:  # another worker may be at it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            compiling.compile_library(file, double=double)
    return file


@cache
def double() -> Library:
    """The double, loaded."""
    return Library(double_file())


def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the native engine run here, in the double."""
    monkeypatch.setattr(library, "ability", lambda: library.Ability(double()))
    monkeypatch.setattr(choosing, "missing", lambda: None)
