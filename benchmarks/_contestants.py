"""Embedders beside each other, each in a process and, where pins clash, in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
PEERS = Path(os.environ.get("HARDTACK_PEERS") or ROOT / ".venv-peers") / "bin/python"
"""fastembed and optimum-intel want a huggingface_hub and a transformers of long ago."""

_OFFLINE = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PYTHONWARNINGS": "ignore"}


class Contestant:
    """A worker while this is a context; see :mod:`benchmarks._worker` for what it can be asked.

    Raises:
        RuntimeError: it ended.
    """

    def __init__(self, kind: str, folder: Path, texts: Path, python: Path | str = sys.executable) -> None:
        self._command = [str(python), str(ROOT / "benchmarks/_worker.py"), kind, str(folder), str(texts)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, env={**os.environ, **_OFFLINE}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        while self._line() != "ready":
            pass  # what libraries have to say to standard output while they load
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def asker(self, what: str) -> Callable[[], float]:
        """A function that asks for a figure: ``rate`` in texts/s, ``latency`` in ms, ``peak`` in MB."""
        return lambda: float(self._ask(what))

    def vectors(self, scratch: Path) -> NDArray[np.float32]:
        """Vectors of all texts, of unit length: ``(N, dim)``."""
        self._ask(f"save {scratch / 'vectors.npy'}")
        rows: NDArray[np.float32] = np.load(scratch / "vectors.npy")
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def _ask(self, what: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self._command[2:4])} ended with {self._process.wait()}")
        return line.strip()


def export(minilm: Path, out: Path) -> bool:
    """Bring MiniLM into the peers' forms; False, said aloud, where their environment is not there."""
    if not PEERS.exists():
        print(f"SKIP: fastembed and the OpenVINO backend: no environment at {PEERS}; `make bench` makes it")
        return False
    command = [str(PEERS), str(ROOT / "benchmarks/_export.py"), str(minilm), str(out)]
    done = subprocess.run(command, env={**os.environ, **_OFFLINE}, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"the export for the peers failed: {done.stderr[-800:]}")
    return True


@contextmanager
def contestants(
    minilm: Path, built: Path | None, peers: Path | None, texts: Path
) -> Iterator[Mapping[str, Contestant]]:
    """All of them, loaded and warm.

    Args:
        minilm: the model.
        built: a pantry with a build of it, where there is one.
        peers: what :func:`export` wrote, where there are peers.
        texts: what they are asked.
    """
    made = {
        "hardtack fp32": Contestant("hardtack_fp32", minilm, texts),
        "hardtack auto": Contestant("hardtack_auto", minilm, texts),
        "sentence-transformers": Contestant("sentence_transformers", minilm, texts),
        "sentence-transformers bf16": Contestant("sentence_transformers_bf16", minilm, texts),
    }
    if built is not None:
        made["hardtack built"] = Contestant("hardtack_built", built, texts)
    if peers is not None:
        made["its openvino backend"] = Contestant(
            "sentence_transformers_openvino", peers / "openvino", texts, python=PEERS
        )
        made["fastembed"] = Contestant("fastembed", peers / "fastembed", texts, python=PEERS)
    with ExitStack() as stack:
        yield {name: stack.enter_context(each) for name, each in made.items()}
