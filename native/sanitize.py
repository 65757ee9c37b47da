"""Runs the native engine's tests with its double compiled under sanitizers: ``make test-native``.

Python itself is not compiled so; the sanitizer's runtime is loaded before it. Under the thread sanitizer only the tests
with threads are run, and Python's own locks are invisible to it, so that it reports on the library alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from compiling import CannotCompile, compile_library, compiler

ROOT = Path(__file__).parents[1]
KERNELS = "tests/runtime/native"
ENGINE = "tests/runtime/engines/test_native.py"
ALONE = ("-k", "company or spared or callers or delivery or closed or no_tokens or rows_that or longer")
"""Those of the engine that do not compare it with OpenVINO, which these runtimes abort."""
WITHOUT_OPENVINO = ("-k", "not (openvino or under_auto)")
"""Likewise of the others: its tests say in their names where it has a part."""

RUNS: tuple[tuple[str, str, tuple[tuple[str, ...], ...]], ...] = (
    ("address,undefined", "libasan.so", ((KERNELS, *WITHOUT_OPENVINO), (ENGINE, *ALONE))),
    ("thread", "libtsan.so", ((ENGINE, *ALONE),)),
)
"""Sanitizers, the runtime that goes before Python, and what of the tests is run."""


def main() -> int:
    """Compile and run each; 0 where nothing was found."""
    cxx = compiler()
    if cxx is None:
        print("no C++ compiler for Linux on x86-64", file=sys.stderr)
        return 1
    results = [run(cxx, *each) for each in RUNS]
    return max(results)


def run(cxx: str, sanitizers: str, runtime: str, tests: tuple[tuple[str, ...], ...]) -> int:
    """One build and its tests."""
    print(f"## {sanitizers}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        double = Path(folder) / "double.so"
        flags = (f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g1", "-Werror")
        try:
            compile_library(double, double=True, flags=flags)
        except CannotCompile as problem:
            print(problem, file=sys.stderr)
            return 1
        found = subprocess.run([cxx, f"-print-file-name={runtime}"], capture_output=True, text=True, check=True)
        libraries = [found.stdout.strip()]
        if "address" in sanitizers:  # it looks for C++'s exceptions when it starts, before the library brings them
            found = subprocess.run([cxx, "-print-file-name=libstdc++.so"], capture_output=True, text=True, check=True)
            libraries.append(found.stdout.strip())
        env = {
            **os.environ,
            "HARDTACK_TEST_DOUBLE": str(double),
            "LD_PRELOAD": ":".join(libraries),
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",  # leaks of Python are not ours
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "TSAN_OPTIONS": "halt_on_error=1:report_bugs=1:ignore_noninstrumented_modules=1",
            "PYTHONPATH": str(ROOT / "src"),
        }
        pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not real and not torch"]
        codes = [subprocess.run([*pytest, *each], env=env, cwd=ROOT).returncode for each in tests]
        return 0 if not any(codes) else 1  # one that was aborted has a code below 0


if __name__ == "__main__":
    raise SystemExit(main())
