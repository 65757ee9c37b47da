"""``python -m hardtack.bake.cpu_only PREFIX``: an environment's OpenVINO, cut to what a CPU needs.

The package brings plugins for GPU and NPU, the GPU's kernels, and readers of formats that are converted long before
anything is shipped: half of its size. What is kept is the CPU plugin and the readers of IR and ONNX. After the cut a
new process imports it and runs a graph on the CPU; if it cannot, that is an error, and so the build of an image ends.

The environment is named, and must be the one that runs this, so that nobody cuts another by accident.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from hardtack.errors import Misused, UnsupportedModel

# matched against paths in the package, as openvino 2026.4 has them
_SPARE = re.compile(
    r"libs/libopenvino_(intel_gpu|intel_npu|auto|auto_batch|hetero|template|proxy)_plugin\.so"
    r"|libs/libopenvino_(tensorflow|tensorflow_lite|pytorch|paddle|jax|gguf)_frontend\.so[.\d]*"
    r"|libs/(cache\.json|pkgconfig|.*\.pc)"
    r"|include|cmake|tools"
)
_SHOW = """
from hardtack.runtime.engines.openvino_import import import_openvino
import numpy
ov = import_openvino()
from openvino import opset13 as op
given = op.parameter([2, 2], numpy.float32)
graph = ov.Model([op.result(op.matmul(given, given, False, False))], [given])
said = ov.Core().compile_model(graph, "CPU")(numpy.eye(2, dtype=numpy.float32))[0]
assert (said == numpy.eye(2)).all(), said
"""


def cut(package: Path) -> int:
    """Remove what no CPU needs from an installed openvino; the bytes that this freed."""
    freed = 0
    for path in sorted(package.rglob("*")):
        if _SPARE.fullmatch(path.relative_to(package).as_posix()) and path.exists():
            below = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
            freed += sum(file.stat().st_size for file in below)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return freed


def show() -> None:
    """Import it and run a graph on the CPU, in a process of its own.

    Raises:
        UnsupportedModel: it does not run.
    """
    done = subprocess.run([sys.executable, "-c", _SHOW], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UnsupportedModel(
            "OpenVINO does not run any more", where=sys.prefix, expected="a graph that runs on the CPU",
            found=(done.stderr.strip().splitlines() or ["no word"])[-1], mend="pip install --force-reinstall openvino",
        )  # fmt: skip


def main(arguments: list[str]) -> None:
    """Cut, show, and say how much it was.

    Raises:
        Misused: another environment is meant than the one that runs this.
    """
    spec = find_spec("openvino")
    if arguments != [sys.prefix] or spec is None or spec.origin is None:
        raise Misused(
            "this is not the environment that was named", where="hardtack.bake.cpu_only", expected=sys.prefix,
            found=" ".join(arguments) or "no environment", mend=f"python -m hardtack.bake.cpu_only {sys.prefix}",
        )  # fmt: skip
    freed = cut(Path(spec.origin).parent)
    show()
    print(f"openvino runs on the CPU; {freed / 1e6:.0f} MB are gone")  # noqa: T201  a program of its own


if __name__ == "__main__":
    main(sys.argv[1:])
