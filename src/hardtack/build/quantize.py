"""Have a model quantised in a process of its own, and take what it wrote.

A process of its own, because NNCF would report home (:mod:`.quantize_child` shuts that, and whoever hands in a guarded
``run`` has the kernel vouch for it), because its memory is then given back, and because names in a fresh process are
the same every time, so that two builds on one machine are the same to the byte.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

from hardtack.build.child import Run, run_child
from hardtack.build.recipe import WAYS, Recipe
from hardtack.build.texts import Texts
from hardtack.errors import Misused
from hardtack.spec.lock import LockedModel


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
    arguments = [str(source), model.key, way, str(texts.path.absolute()), str(out)]
    run_child("hardtack.build.quantize_child", model, arguments, run, "int8")
