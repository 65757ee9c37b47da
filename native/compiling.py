"""Compiles the library: for the wheel, for the tests' double, and with sanitizers. Standard library only.

It is the one place that knows the compiler's flags. The sources want GCC, 11 or later, for its vector types. Whether
there is a compiler at all is for the caller to see: a wheel without the library is a good wheel.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
NAME = "libhardtack_native.so"

COMMON = ("-std=c++20", "-O2", "-g0", "-fPIC", "-fvisibility=hidden", "-pthread", "-Wall", "-Wextra", "-Wno-psabi")
AMX = ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mavx2")
"""Every CPU with AMX has these. The tile instructions are written as assembly, and need no flag."""
ANY = ("ability.cpp",)
"""What is asked before it is known that the CPU has them."""
FULL = ("abi.cpp", "agree.cpp", "crew.cpp", "encoder.cpp", "pack.cpp")
TESTING = ("kernels.cpp",)
"""Only in the double: every kernel by itself."""


class CannotCompile(Exception):
    """There is no compiler, or it does not take these sources; the text says what it said."""


def compiler() -> str | None:
    """A C++ compiler for this machine, or None; ``CXX`` goes before any other."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return None
    found = (shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "c++") if name)
    return next((path for path in found if path), None)


def compile_library(target: Path, *, double: bool = False, flags: Sequence[str] = ()) -> None:
    """Compile and link ``target``, which appears whole or not at all.

    Args:
        target: the shared library; its folder is made.
        double: with the tile instructions emulated, for this very CPU, and with every kernel callable by itself.
        flags: more flags, such as ``-fsanitize=address``.

    Raises:
        CannotCompile: there is no compiler, or it failed.
    """
    cxx = compiler()
    if cxx is None:
        raise CannotCompile("no C++ compiler for Linux on x86-64 (g++ or c++)")
    special = ("-march=native", "-DHARDTACK_DOUBLE") if double else AMX
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        work = Path(folder)
        jobs = []
        for name in (*ANY, *FULL, *(TESTING if double else ())):
            own = ("-DHARDTACK_DOUBLE",) * double if name in ANY else special
            made = str(work / f"{name}.o")
            jobs.append(_start([cxx, *COMMON, *own, *flags, "-c", str(HERE / name), "-o", made]))
        for job in jobs:
            _finish(job)
        objects = [str(path) for path in sorted(work.glob("*.o"))]
        # its own copy of the C++ library, so that it runs wherever the C library does; shown to nobody
        static = () if flags else ("-static-libstdc++", "-static-libgcc", "-Wl,--gc-sections", "-s")
        shown = f"-Wl,--version-script={HERE / 'exports.map'}"
        _finish(_start([cxx, "-shared", "-pthread", shown, *static, *flags, *objects, "-o", str(work / NAME)]))
        (work / NAME).replace(target)


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finish(job: subprocess.Popen[str]) -> None:
    said, _ = job.communicate()
    if job.returncode != 0:
        raise CannotCompile(said.strip()[-2000:] or f"the compiler ended with {job.returncode}")
