"""Have a model quantised in a process of its own, and take what it wrote.

A process of its own, because NNCF would report home (:mod:`.quantize_child` shuts that, and whoever hands in a guarded
``run`` has the kernel vouch for it), because its memory is then given back, and because names in a fresh process are
the same every time, so that two builds on one machine are the same to the byte.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from hardtack.build.recipe import WAYS, Recipe
from hardtack.build.texts import Texts
from hardtack.errors import DiskError, Misused, Refused, Unable
from hardtack.spec.lock import LOCK_NAME, Lock, LockedModel
from hardtack.spec.lock_text import write_lock

_KEPT = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV")


class Ran(Protocol):
    """What became of a process."""

    @property
    def returncode(self) -> int:
        """Its exit status."""
        ...

    @property
    def said(self) -> str:
        """What it printed, both streams."""
        ...

    @property
    def attempts(self) -> int:
        """How often it reached for a network, where somebody counted."""
        ...


Run = Callable[[Sequence[str], Mapping[str, str]], Ran]
"""Runs a command with an environment to its end, such as :func:`hardtack.offline.apart.run_apart`."""


def recipe_here(way: str, texts: Texts) -> Recipe:
    """The recipe that a way comes to with the packages of this installation.

    Raises:
        Misused: NNCF is not installed.
    """
    if importlib.util.find_spec("nncf") is None:
        raise Misused(
            "int8 builds are made with NNCF, which is not installed", where="the extra [int8]", expected="nncf",
            found="no such package", mend="pip install 'hardtack[int8]'",
        )  # fmt: skip
    versions = {name: importlib.metadata.version(name) for name in ("openvino", "nncf")}
    calibration = texts.digest if WAYS[way].calibrated else ""
    return Recipe(way, WAYS[way].version, versions["openvino"], versions["nncf"], calibration)


def quantize(model: LockedModel, source: Path, way: str, texts: Texts, out: Path, run: Run) -> None:
    """Quantise a model's graph.

    Args:
        model: what the lock says; the files are held to it.
        source: where they lie.
        way: a key of :data:`~hardtack.build.recipe.WAYS`.
        texts: to calibrate on.
        out: an existing folder; ``model.xml`` and ``model.bin`` are written into it.
        run: runs the process.

    Raises:
        Refused: the process reached for a network.
        Unable: it failed; what it said is in ``found``.
        DiskError: nothing could be written.
    """
    with tempfile.TemporaryDirectory(prefix="hardtack-build-") as home:
        job = Path(home) / "job"
        try:
            job.mkdir()
            write_lock(Lock("", (model,)), job / LOCK_NAME)
        except OSError as problem:
            raise DiskError(
                "there is no room for a build's working files", where=str(job), expected="a writable folder",
                found=problem.strerror or str(problem), mend=f"df -h {home}",
            ) from problem  # fmt: skip
        env = {name: os.environ[name] for name in _KEPT if name in os.environ}
        env |= {"HOME": home, "HF_HOME": home, "TMPDIR": home, "HF_HUB_OFFLINE": "1"}
        arguments = [str(job), str(source), model.key, way, str(texts.path.absolute()), str(out)]
        ran = run([sys.executable, "-m", "hardtack.build.quantize_child", *arguments], env)
    if ran.attempts:
        raise Refused(
            "quantising reached for a network", where=model.key, expected="no attempt", found=f"{ran.attempts}",
            mend="pip install --force-reinstall 'hardtack[int8]'",
        )  # fmt: skip
    if ran.returncode != 0:
        lines = ran.said.strip().splitlines()[-1:] or [f"exit status {ran.returncode}"]
        raise Unable(
            f"{model.key!r} could not be quantised", where=f"{model.key}, {way}", expected="an int8 graph",
            found=lines[0], mend=f"hardtack verify {model.key}",
        )  # fmt: skip
