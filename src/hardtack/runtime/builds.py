"""A build beside a model: which one is wanted, where it lies, and its graph, mapped and hashed.

In a pantry a build lies in the model's own folder (``hardtack/<build>/``), elsewhere in the store's folder of builds.
Its graph holds its numbers, so that the snapshot's weights are neither opened nor hashed: a base-size reranker's are a
gigabyte, which nobody reads. Their size is compared all the same.
"""

from __future__ import annotations

import logging
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from hardtack.errors import GateMissed, ModelNotFound
from hardtack.runtime.checking import Files
from hardtack.runtime.weights import Graph, Tensors, Weights, mapping_of
from hardtack.settings import Verify
from hardtack.spec.lock import LockedBuild, LockedFile, LockedModel
from hardtack.spec.words import Precision, WeightsKind

log = logging.getLogger("hardtack")

FOLDER = "hardtack"
"""The folder of a model in a pantry that holds what is not the model's own: builds and golden answers."""
GRAPH, NUMBERS, RECIPE = "model.xml", "model.bin", "build.toml"
_READY_MADE = frozenset({Precision.INT8})
"""Precisions that are executed from a build only; the others are drawn from the snapshot."""


@dataclass(frozen=True)
class Build:
    """A locked build and the folder that it lies in.

    Attributes:
        locked: what the lock says.
        root: the folder of builds; the build's own folder in it has the name that :func:`key_of` gives.
        mend: the command that brings it.
    """

    locked: LockedBuild
    root: Path
    mend: str

    def files(self, verify: Verify) -> Files:
        """Its files, to be held to the lock."""
        return Files(self.root, within(self.locked), verify, self.mend)

    def open(self, files: Files) -> Weights:
        """Its graph: the description as checked bytes, the numbers mapped and being hashed.

        Raises:
            Mismatch, DiskError: as :class:`~hardtack.runtime.checking.Files` does.
        """
        key = key_of(self.locked)
        description = files.read(f"{key}/{GRAPH}")
        loss = read_loss(files.read(f"{key}/{RECIPE}"))
        numbers = np.memmap(self.root / key / NUMBERS, dtype=np.uint8, mode="r")
        mapping = mapping_of(numbers)
        assert mapping is not None
        files.start({f"{key}/{NUMBERS}": mapping})
        graph = Graph(description, numbers, self.locked.precision.value, self.locked.recipe, loss)
        return Weights(body=Tensors((), {}), graph=graph)


def read_loss(text: bytes) -> dict[str, float]:
    """The figures of a ``build.toml`` that say what the build loses; empty where none were measured yet."""
    return dict(tomllib.loads(text.decode()).get("loss", {}))


def key_of(build: LockedBuild) -> str:
    """The name of a build's folder: ``int8-…``, from its files' paths, ``hardtack/<key>/model.xml``."""
    return PurePosixPath(build.files[0].path).parts[1]


def within(build: LockedBuild) -> tuple[LockedFile, ...]:
    """Its files, with paths from the folder of builds instead of from the model's."""
    return tuple(replace(file, path=file.path.removeprefix(f"{FOLDER}/")) for file in build.files)


def wanted_build(
    locked: LockedModel | None, precision: Precision, directory: Path, source: str, builds: Path | None
) -> Build | None:
    """The build to run, or None where the snapshot itself is.

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
    found = [build for build in locked.builds if precision in (Precision.AUTO, build.precision)]
    mend = f"hardtack build {locked.key}"
    if not found:
        # a graph that the repository ships in int8 needs no build
        if precision in _READY_MADE and locked.weights is WeightsKind.SAFETENSORS:
            raise GateMissed(
                f"{locked.key!r} is to run in {precision.value}, and no build of it was accepted", where=locked.key,
                expected=f"a build in {precision.value} in the lock", found="none", mend=mend,
            )  # fmt: skip
        return None
    if source == "pantry":
        return Build(found[0], directory / FOLDER, "hardtack bake")
    place = None if builds is None else builds / key_of(found[0])
    if builds is not None and place is not None and place.is_dir():
        return Build(found[0], builds, mend)
    if precision is Precision.AUTO:
        log.warning("%s: its build %s is not on this machine: running the snapshot; %s makes it", locked.key,
                    key_of(found[0]), mend)  # fmt: skip
        return None
    raise ModelNotFound(
        f"the build of {locked.key!r} is locked, but not on this machine", where=locked.key,
        expected=str(place or key_of(found[0])), found="no such directory", mend=mend,
    )  # fmt: skip
