"""Runs the subjects: every module of this package that has a ``main``."""

from __future__ import annotations

import compileall
import importlib
import os
import pkgutil
import platform
import sys
from pathlib import Path

import benchmarks
import hardtack
from benchmarks._plot import draw
from benchmarks.measure import BRIEF, SEEN

OUT = Path(__file__).parents[1] / "bench-out"


def main() -> int:
    """Run the subjects named on the command line, or all of them."""
    subjects = [
        name
        for _, name, _ in pkgutil.iter_modules(benchmarks.__path__)
        if not name.startswith(("_", "measure", "shapes"))
    ]
    chosen = sys.argv[1:] or subjects
    if unknown := set(chosen) - set(subjects):
        print(f"no such subject: {', '.join(sorted(unknown))}; there are {', '.join(subjects)}", file=sys.stderr)
        return 2
    if BRIEF:
        print("brief: this shows that the benchmarks run; the figures say nothing")
    # as pip does where it installs: a checkout that writes no bytecode (PYTHONDONTWRITEBYTECODE) would be compiled at
    # every start, beside peers that were compiled when they were installed
    compileall.compile_dir(str(Path(hardtack.__file__).parent), quiet=1)
    print(f"{platform.python_implementation()} {platform.python_version()}, {_cpu()}, {os.cpu_count()} CPUs")
    for subject in chosen:
        print(f"\n## {subject} (load {os.getloadavg()[0]:.1f})\n", flush=True)
        importlib.import_module(f"benchmarks.{subject}").main()
    if SEEN:
        picture = OUT / f"{'-'.join(chosen) if len(chosen) < len(subjects) else 'all'}.svg"
        OUT.mkdir(exist_ok=True)
        picture.write_text(draw(SEEN, f"{_cpu()}, {os.cpu_count()} CPUs{', brief' if BRIEF else ''}"))
        print(
            f"\n{sum(each.reached for each in SEEN)} of {len(SEEN)} targets reached; {picture.relative_to(OUT.parent)}"
        )
    return 0


def _cpu() -> str:
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    lines = [line for line in text.splitlines() if ":" in line]
    fields = dict(reversed([tuple(part.strip() for part in line.split(":", 1)) for line in lines]))
    flags = set(str(fields.get("flags", "")).split())
    shown = [
        flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8") if flag in flags
    ]
    return f"{fields.get('model name', platform.machine())} ({' '.join(shown) or 'no flags known'})"


if __name__ == "__main__":
    raise SystemExit(main())
