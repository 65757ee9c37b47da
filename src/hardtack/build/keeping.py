"""What a model locked anew keeps of its builds, and which texts it is calibrated on and measured with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hardtack.build.recipe import parse_recipe
from hardtack.build.texts import CALIBRATION, GATE, Texts, read_texts
from hardtack.runtime.builds import is_tiles
from hardtack.spec.lock import Lock, LockedBuild, LockedModel
from hardtack.spec.manifest import Manifest, WantedModel
from hardtack.spec.words import EngineName, Precision


def texts_of(want: WantedModel, folder: Path) -> tuple[Texts, Texts]:
    """The texts to calibrate on and those to measure with: the manifest's, or ours.

    Raises:
        ManifestError: a file that the manifest names cannot be used.
    """
    return (
        read_texts(folder / want.calibration if want.calibration else CALIBRATION),
        read_texts(folder / want.gate_texts if want.gate_texts else GATE, key="gate-texts"),
    )


def keep_builds(lock: Lock, old: Lock, manifest: Manifest, folder: Path) -> Lock:
    """A lock that was made anew, with those builds of the one before it that are still its models'.

    Args:
        lock: the new one.
        old: the one before it.
        manifest: what the new one is of.
        folder: what the manifest's files of texts are relative to.
    """
    for model in lock.models:
        before = old.get(model.key)
        if before is not None and before.builds:
            calibration, _ = texts_of(manifest.get(model.key), folder)
            lock = lock.with_model(replace(model, builds=kept(before, model, calibration.digest)))
    return lock


def kept(old: LockedModel, new: LockedModel, calibration: str) -> tuple[LockedBuild, ...]:
    """The builds of a lock that go on being those of a model that was locked anew.

    Args:
        old: the model as it was locked, with its builds.
        new: as it is locked now.
        calibration: the digest of the texts that it is to be calibrated on now.
    """
    if (old.digest, old.task, old.overrides) != (new.digest, new.task, new.overrides):
        return ()
    # tiles are the native engine's alone, graphs openvino's
    others = {True: (EngineName.OPENVINO, EngineName.TORCH), False: (EngineName.NATIVE,)}
    return tuple(
        build for build in old.builds
        if new.precision in (Precision.AUTO, build.precision) and new.engine not in others[is_tiles(build)]
        and parse_recipe(build.recipe, old.key).calibration in ("", calibration)
    )  # fmt: skip
