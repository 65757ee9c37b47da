"""A build beside a model: which one is wanted, where it lies, and what is in it, mapped and hashed.

In a pantry a build lies in the model's own folder (``hardtack/<build>/``), elsewhere in the store's folder of builds.
It is a graph for OpenVINO or the weights in tile order for the native engine, and holds all numbers, so that the
snapshot's weights are neither opened nor hashed: a base-size reranker's are a gigabyte, which nobody reads. Their size
is compared all the same; a slim pantry for the native engine alone has none.
"""

from __future__ import annotations

import logging
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from hardtack.errors import GateMissed, ModelNotFound
from hardtack.runtime.checking import Files
from hardtack.runtime.weights import Graph, Tensors, Tiles, Weights, mapping_of
from hardtack.settings import Verify
from hardtack.spec.lock import LockedBuild, LockedFile, LockedModel
from hardtack.spec.words import Precision, WeightsKind

log = logging.getLogger("hardtack")

FOLDER = "hardtack"
"""The folder of a model in a pantry that holds what is not the model's own: builds and golden answers."""
GRAPH, NUMBERS, RECIPE = "model.xml", "model.bin", "build.toml"
TILES = "weights.tiles"
"""What a build for the native engine has instead of a graph and its numbers."""
_READY_MADE = frozenset({Precision.INT8})
"""Precisions that are executed from a build only; the others are drawn from the snapshot."""


@dataclass(frozen=True)
class Build:
    """A locked build and the folder that it lies in.

    Attributes:
        locked: what the lock says.
        root: the folder of builds; the build's own folder in it has its name.
        mend: the command that brings it.
    """

    locked: LockedBuild
    root: Path
    mend: str

    def files(self, verify: Verify) -> Files:
        """Its files, to be held to the lock."""
        return Files(self.root, within(self.locked), verify, self.mend)

    def open(self, files: Files) -> Weights:
        """What is in it: what decides as checked bytes, the numbers mapped and being hashed.

        Raises:
            Mismatch, DiskError: as :class:`~hardtack.runtime.checking.Files` does.
        """
        key = self.locked.name
        loss = read_loss(files.read(f"{key}/{RECIPE}"))
        name = TILES if is_tiles(self.locked) else NUMBERS
        numbers = np.memmap(self.root / key / name, dtype=np.uint8, mode="r")
        mapping = mapping_of(numbers)
        assert mapping is not None
        none = Tensors((), {})
        if is_tiles(self.locked):
            weights = Weights(none, tiles=Tiles(self.root / key / name, numbers, self.locked.recipe, self.mend))
        else:
            description = files.read(f"{key}/{GRAPH}")
            graph = Graph(description, numbers, self.locked.precision.value, self.locked.recipe, loss)
            weights = Weights(none, graph=graph)
        files.start({f"{key}/{name}": mapping})
        return weights


def read_loss(text: bytes) -> dict[str, float]:
    """The figures of a ``build.toml`` that say what the build loses; empty where none were measured yet."""
    return dict(tomllib.loads(text.decode()).get("loss", {}))


def within(build: LockedBuild) -> tuple[LockedFile, ...]:
    """Its files, with paths from the folder of builds instead of from the model's."""
    return tuple(replace(file, path=file.path.removeprefix(f"{FOLDER}/")) for file in build.files)


def is_tiles(build: LockedBuild) -> bool:
    """Whether a build is the weights in tile order, for the native engine; the others are graphs for OpenVINO."""
    return any(PurePosixPath(file.path).name == TILES for file in build.files)


def tiles_of(locked: LockedModel | None) -> LockedBuild | None:
    """The build in tile order that a lock has of a model, if any."""
    return next(filter(is_tiles, locked.builds), None) if locked is not None else None


def left_ashore(locked: LockedModel | None) -> bool:
    """Whether a model's weights are in tile order only: a slim pantry's, for the native engine."""
    if locked is None or tiles_of(locked) is None or locked.weights is not WeightsKind.SAFETENSORS:
        return False
    return not any(file.path.endswith(".safetensors") for file in locked.files)


def wanted_build(
    locked: LockedModel | None, precision: Precision, directory: Path, source: str, builds: Path | None
) -> Build | None:
    """The graph to run, or None where the snapshot itself is.

    Args:
        locked: what the lock says of the model.
        precision: what is asked for; ``auto`` takes the build that was accepted, if any.
        directory: where the model lies.
        source: where that is; a pantry carries its builds itself.
        builds: the store's folder of builds.

    Raises:
        GateMissed: int8 is asked for, and the lock has no accepted build in it.
        ModelNotFound: it is locked, but not there. (Under ``auto`` the snapshot is run instead, and that is said.)
    """
    if locked is None:
        return None
    found = [each for each in locked.builds if not is_tiles(each) and precision in (Precision.AUTO, each.precision)]
    if not found:
        # a graph that the repository ships in int8 needs no build
        if precision in _READY_MADE and locked.weights is WeightsKind.SAFETENSORS:
            raise GateMissed(
                f"{locked.key!r} is to run in {precision.value}, and no build of it was accepted", where=locked.key,
                expected=f"a build in {precision.value} in the lock", found="none", mend=f"hardtack build {locked.key}",
            )  # fmt: skip
        return None
    return _place(locked, found[0], directory, source, builds, insisted=precision is not Precision.AUTO)


def wanted_tiles(locked: LockedModel | None, directory: Path, source: str, builds: Path | None) -> Build | None:
    """The build that the native engine reads, or None where it packs the snapshot itself; that gives the same bytes.

    Where its place is not on this machine, that is said. Arguments are as for :func:`wanted_build`.
    """
    found = tiles_of(locked)
    if locked is None or found is None:
        return None
    return _place(locked, found, directory, source, builds, insisted=False)


def carried_build(locked: LockedModel, builds: Path | None) -> Build | None:
    """The build that is baked with a model, whatever it is for: the one that the lock names, or none.

    Raises:
        GateMissed: int8 is asked for, and the lock has no accepted build in it.
        ModelNotFound: it is locked, but not there: same lock, same bytes, under ``auto`` too.
    """
    if not locked.builds:
        return wanted_build(locked, locked.precision, Path(), "store", builds)
    return _place(locked, locked.builds[0], Path(), "store", builds, insisted=True)


def _place(
    locked: LockedModel, found: LockedBuild, directory: Path, source: str, builds: Path | None, *, insisted: bool
) -> Build | None:
    mend = f"hardtack build {locked.key}"
    if source == "pantry":
        return Build(found, directory / FOLDER, "hardtack bake")
    place = None if builds is None else builds / found.name
    if builds is not None and place is not None and place.is_dir():
        return Build(found, builds, mend)
    if not insisted:
        log.warning("%s: its build %s is not on this machine: running the snapshot; %s makes it", locked.key,
                    found.name, mend)  # fmt: skip
        return None
    raise ModelNotFound(
        f"the build of {locked.key!r} is locked, but not on this machine", where=locked.key,
        expected=str(place or found.name), found="no such directory", mend=mend,
    )  # fmt: skip
