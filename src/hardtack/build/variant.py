"""Builds in the store: each a folder under its key with what it is and loses (``build.toml``), and its numbers.

``build.toml``, ``model.xml`` and ``model.bin``, or ``weights.tiles`` instead of these two, are what a lock names and a
pantry carries. A graph's loss is written into ``build.toml`` once, when the build is first measured, and is locked with
it. That of tiles is not: machines that cannot run them make the same bytes as those that can. ``speed.json`` and
``loss.json`` lie beside them in the store alone: measured numbers differ from machine to machine, and a layer of an
image must not.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hardtack.errors import DiskError
from hardtack.runtime.builds import FOLDER, GRAPH, NUMBERS, RECIPE, TILES, is_tiles, read_loss, within
from hardtack.spec.digest import hash_file, tree_digest
from hardtack.spec.lock import LockedBuild, LockedFile, LockedModel
from hardtack.spec.text_file import write_atomically
from hardtack.spec.toml_write import toml_value
from hardtack.spec.verify import Checked, check_files
from hardtack.spec.words import Precision

SPEED, LOSS = "speed.json", "loss.json"
_LOSS_DIGITS = 5


def make(builds: Path, key: str, text: str, fill: Callable[[Path], None]) -> Path:
    """A build's folder, made anew; it appears whole or not at all.

    Args:
        builds: the store's folder of builds.
        key: the build's name.
        text: its ``build.toml``.
        fill: writes ``model.xml`` and ``model.bin``, or ``weights.tiles``, into the folder it is given.

    Raises:
        DiskError: it could not be written; what was there is untouched.
        HardtackError: whatever ``fill`` raises.
    """
    place = builds / key
    rising = None
    try:
        builds.mkdir(parents=True, exist_ok=True)
        rising = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=builds))
        fill(rising)
        (rising / RECIPE).write_text(text, encoding="utf-8")
        for name in _names(rising):
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
    for name in _names(place):
        hashes = hash_file(place / name)
        files.append(LockedFile(f"{FOLDER}/{place.name}/{name}", hashes.size, hashes.sha256))
    return LockedBuild(recipe, precision, tree_digest((file.path, file.sha256) for file in files), tuple(files))


def is_whole(place: Path) -> bool:
    """Whether a folder holds a build: it appears whole or not at all, but somebody may have tidied up in it."""
    return all((place / name).is_file() for name in _names(place))


def check_build(build: LockedBuild, builds: Path) -> Checked:
    """Compare a build in the store with the lock."""
    return check_files(builds, within(build))


def record_loss(place: Path, figures: Mapping[str, float]) -> None:
    """Write what a build loses into its ``build.toml``, unless it is there: what a lock may name stays as it is.

    Args:
        place: the build's folder.
        figures: by name, against the fp32 reference on the texts that ``gate-texts`` says.

    Raises:
        DiskError: it could not be written.
    """
    text = (place / RECIPE).read_text(encoding="utf-8")
    if read_loss(text.encode()):
        return
    rows = "".join(f"{name} = {toml_value(round(value, _LOSS_DIGITS))}\n" for name, value in figures.items())
    write_atomically(place / RECIPE, f"{text}\n[loss]  # against fp32\n{rows}".encode())


def record_loss_beside(place: Path, figures: Mapping[str, float]) -> None:
    """Keep what tiles lose, as it was measured here, beside the build, in the store alone.

    Raises:
        DiskError: it could not be written.
    """
    rounded = {name: round(value, _LOSS_DIGITS) for name, value in figures.items()}
    write_atomically(place / LOSS, (json.dumps(rounded, indent=1) + "\n").encode())


def record_speed(place: Path, seconds: Mapping[str, float]) -> None:
    """Keep the seconds of the race beside a build, in the store alone.

    Raises:
        DiskError: it could not be written.
    """
    write_atomically(place / SPEED, (json.dumps(dict(seconds), indent=1, sort_keys=True) + "\n").encode())


def describe_builds(model: LockedModel, builds: Path) -> list[dict[str, Any]]:
    """A model's builds as plain values, for reports: what is locked, whether it is here, what it loses, its speed."""
    rows = []
    for build in model.builds:
        place = builds / build.name
        here = is_whole(place)
        rows.append({
            "build": place.name, "precision": build.precision.value, "recipe": build.recipe, "digest": build.digest,
            "size": sum(file.size for file in build.files), "here": here,
            "loss": _loss_of(build, place) if here else {}, "seconds": _read_figures(place / SPEED),
        })  # fmt: skip
    return rows


def _names(place: Path) -> tuple[str, ...]:
    """The files of the build in a folder that are locked."""
    return (TILES, RECIPE) if (place / TILES).is_file() else (GRAPH, NUMBERS, RECIPE)


def _loss_of(build: LockedBuild, place: Path) -> dict[str, float]:
    return _read_figures(place / LOSS) if is_tiles(build) else read_loss((place / RECIPE).read_bytes())


def _read_figures(file: Path) -> dict[str, float]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}  # it is not locked: somebody may have tidied up
    return found if isinstance(found, dict) else {}


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
