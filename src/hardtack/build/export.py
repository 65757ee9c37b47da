"""Have a model that no family draws exported by torch, once, so that it runs without torch from then on.

In a process of its own (:mod:`.export_child`), which also holds the exported graph to torch's answers: what does not
keep to :data:`PARITY` is no build. optimum-intel would do the like; it pins old versions of transformers.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path

from hardtack.build.child import Run, run_child
from hardtack.build.recipe import Recipe, build_key, build_text
from hardtack.build.texts import Texts
from hardtack.build.variant import check_build, is_whole, lock_build, make, record_loss
from hardtack.errors import Mismatch, Misused, NotDrawn
from hardtack.runtime.builds import RECIPE, read_loss
from hardtack.runtime.choosing import INSTALL
from hardtack.runtime.read_layout import read_layout
from hardtack.spec.lock import LockedBuild, LockedModel
from hardtack.spec.words import Precision, Task, WeightsKind

EXPORT = "export"
_VERSION = 1

PARITY: Mapping[Task, Mapping[str, float]] = {
    Task.EMBED: {"cosine-min": 0.9999, "rank": 0.999},
    Task.RERANK: {"rank-min": 0.999, "drift": 1e-3},
    Task.CLASSIFY: {"agreement": 1.0, "drift": 1e-3},
}
"""What an exported graph is held to against torch in fp32, by figures of :data:`hardtack.spec.gates.GATES`."""


def is_drawn(model: LockedModel, source: Path) -> bool:
    """Whether a family, or a graph that the repository ships, serves the model."""
    if model.weights is WeightsKind.PICKLE:
        return False
    try:
        read_layout(source, model.task, overrides=model.overrides, weights=model.weights)
    except NotDrawn:
        return False
    return True


def export_recipe() -> Recipe:
    """The recipe with the packages of this installation.

    Raises:
        Misused: torch is not installed.
    """
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None:
        raise Misused(
            "a model that no family draws is exported by torch, which is not installed", where="the extra [torch]",
            expected="torch and transformers", found="not both of them", mend=INSTALL,
        )  # fmt: skip
    versions = {name: importlib.metadata.version(name) for name in ("openvino", "torch", "transformers")}
    # the architecture is transformers' code as much as torch's
    return Recipe(EXPORT, _VERSION, versions["openvino"], "", torch=f"{versions['torch']}/{versions['transformers']}")


def exported(
    model: LockedModel, source: Path, texts: Texts, builds: Path, run: Run, *, again: bool = False
) -> tuple[LockedBuild, dict[str, float]]:
    """The exported build of a model, from the store or made now, and how far it lies from torch.

    Args:
        model: from the lock; the build that it has is kept where it is whole.
        source: where its files lie.
        texts: to hold the graph to torch's answers on.
        builds: the store's folder of builds.
        run: runs a process.
        again: make it anew, whatever there is.

    Raises:
        Misused: torch is not installed.
        Mismatch: the lock's build was made here again, and is not the same.
        Unable, Refused, DiskError: as :func:`export`.
    """
    locked = None if again else next(iter(model.builds), None)
    if locked is not None and check_build(locked, builds).good:
        return locked, read_loss((builds / locked.name / RECIPE).read_bytes())
    recipe = export_recipe()
    layout = read_layout(source, model.task, overrides=model.overrides, weights=model.weights, foreign=True)
    text = build_text(model, layout, Precision.FP32, recipe, texts.digest)
    key = build_key(text, Precision.FP32)
    if again or not is_whole(builds / key):
        figures: dict[str, float] = {}
        make(builds, key, text, lambda out: figures.update(export(model, source, texts, out, run)))
        record_loss(builds / key, figures)
    build = lock_build(builds / key, str(recipe), Precision.FP32)
    if locked is not None and build != locked:
        raise Mismatch(
            f"the build of {model.key!r}, made again, is not the one that is locked", where=key,
            expected=f"{locked.digest}, {locked.recipe}", found=f"{build.digest}, {build.recipe}",
            mend=f"hardtack build --again {model.key}",
        )  # fmt: skip
    return build, read_loss((builds / key / RECIPE).read_bytes())


def export(model: LockedModel, source: Path, texts: Texts, out: Path, run: Run) -> dict[str, float]:
    """Export a model's graph.

    Args:
        model: what the lock says; the files are held to it.
        source: where they lie.
        texts: to hold the graph to torch's answers on.
        out: an existing folder; ``model.xml`` and ``model.bin`` are written into it.
        run: runs the process.

    Returns:
        How far the graph's answers lie from torch's.

    Raises:
        Refused: the process reached for a network.
        Unable: torch cannot trace the model, or the graph does not keep to :data:`PARITY`.
        DiskError: nothing could be written.
    """
    arguments = [str(source), model.key, str(texts.path.absolute()), str(out)]
    said = run_child("hardtack.build.export_child", model, arguments, run, "a graph that answers as torch does")
    return {name: float(value) for name, value in json.loads(said).items()}
