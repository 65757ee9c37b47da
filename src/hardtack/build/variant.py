"""Builds in the store: each a folder under its key with what it is (``build.toml``), its graph, and what was measured.

``build.toml``, ``model.xml`` and ``model.bin`` are what a lock names and a pantry carries. ``measured.json`` lies beside
them in the store alone: a measured number differs from machine to machine, and a layer of an image must not.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hardtack.build.recipe import parse_recipe
from hardtack.errors import DiskError
from hardtack.runtime.builds import FOLDER, GRAPH, NUMBERS, RECIPE, key_of, within
from hardtack.spec.digest import hash_file, tree_digest
from hardtack.spec.lock import LockedBuild, LockedFile, LockedModel
from hardtack.spec.text_file import write_atomically
from hardtack.spec.verify import Checked, check_files
from hardtack.spec.words import Precision

MEASURED = "measured.json"


def make(builds: Path, key: str, text: str, quantize: Callable[[Path], None]) -> Path:
    """A build's folder, made anew; it appears whole or not at all.

    Args:
        builds: the store's folder of builds.
        key: the build's name.
        text: its ``build.toml``.
        quantize: writes ``model.xml`` and ``model.bin`` into the folder it is given.

    Raises:
        DiskError: it could not be written; what was there is untouched.
        HardtackError: whatever ``quantize`` raises.
    """
    place = builds / key
    rising = None
    try:
        builds.mkdir(parents=True, exist_ok=True)
        rising = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=builds))
        quantize(rising)
        (rising / RECIPE).write_text(text, encoding="utf-8")
        for name in (GRAPH, NUMBERS, RECIPE):
            _sync(rising / name)
        rising.chmod(0o755)
        shutil.rmtree(place, ignore_errors=True)
        rising.rename(place)
        _sync(builds)
    except OSError as problem:
        raise DiskError(
            "a build could not be kept", where=str(problem.filename or place), expected="a writable folder with space",
            found=problem.strerror or str(problem), mend=f"df -h {builds}",
        ) from problem  # fmt: skip
    finally:
        if rising is not None:
            shutil.rmtree(rising, ignore_errors=True)
    return place


def lock_build(place: Path, recipe: str, precision: Precision) -> LockedBuild:
    """What a lock says of the build in a folder, as it is now; its files are relative to the model's directory."""
    files = []
    for name in (GRAPH, NUMBERS, RECIPE):
        hashes = hash_file(place / name)
        files.append(LockedFile(f"{FOLDER}/{place.name}/{name}", hashes.size, hashes.sha256))
    return LockedBuild(recipe, precision, tree_digest((file.path, file.sha256) for file in files), tuple(files))


def is_whole(place: Path) -> bool:
    """Whether a folder holds a build: it appears whole or not at all, but somebody may have tidied up in it."""
    return all((place / name).is_file() for name in (GRAPH, NUMBERS, RECIPE))


def check_build(build: LockedBuild, builds: Path) -> Checked:
    """Compare a build in the store with the lock."""
    return check_files(builds, within(build))


def kept(old: LockedModel | None, new: LockedModel, calibration: str) -> tuple[LockedBuild, ...]:
    """The builds of a lock that go on being those of a model that was locked anew.

    Args:
        old: the model as it was locked, with its builds.
        new: as it is locked now.
        calibration: the digest of the texts that it is to be calibrated on now.
    """
    if old is None or (old.digest, old.task, old.overrides) != (new.digest, new.task, new.overrides):
        return ()
    return tuple(
        build for build in old.builds
        if new.precision in (Precision.AUTO, build.precision)
        and parse_recipe(build.recipe, old.key).calibration in ("", calibration)
    )  # fmt: skip


def write_measured(place: Path, measured: Mapping[str, Any]) -> None:
    """Keep what was measured beside a build, in the store alone.

    Raises:
        DiskError: it could not be written.
    """
    write_atomically(place / MEASURED, (json.dumps(measured, indent=1, sort_keys=True) + "\n").encode())


def read_measured(build: LockedBuild, builds: Path) -> dict[str, Any] | None:
    """What was measured of a build on this machine; None where nothing was, or where it cannot be understood."""
    try:
        found = json.loads((builds / key_of(build) / MEASURED).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def describe_builds(model: LockedModel, builds: Path) -> list[dict[str, Any]]:
    """A model's builds as plain values, for reports: what is locked, whether it is here, and what was measured."""
    return [
        {
            "build": key_of(build), "precision": build.precision.value, "recipe": build.recipe,
            "digest": build.digest, "size": sum(file.size for file in build.files),
            "here": (builds / key_of(build)).is_dir(), "measured": read_measured(build, builds),
        }
        for build in model.builds
    ]  # fmt: skip


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
