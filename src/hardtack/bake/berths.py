"""Where models lie in an image, and where the lock lies with them.

A pantry stands for ``/models`` of an image, which is where loaders look by themselves. Where a ``path`` of the manifest
leads elsewhere (``/app/models/ocr``), the pantry stands for ``/``: its lock is ``/hardtack.lock``, and
``HARDTACK_PANTRY=/`` says so. Paths only; nothing is written here.
"""

from __future__ import annotations

from dataclasses import replace

from hardtack.errors import Misused
from hardtack.spec.hub_cache import snapshot_folder
from hardtack.spec.lock import Lock, LockedModel
from hardtack.spec.names import UnsafeName, distinct_paths

HOME = "/models"
ROOT = "/"


def berthed(lock: Lock, *, whole_image: bool) -> tuple[Lock, str]:
    """The lock with every model where it lies below its pantry, and where that pantry lies in an image.

    Args:
        lock: the project's.
        whole_image: whether the image's root is at hand, so that models of no path can lie in ``/models`` beside those
            of one; else they lie in the pantry itself, whatever that stands for.

    Returns:
        The lock, and ``/models`` or ``/``.

    Raises:
        Misused: two models would lie in one folder.
    """
    paths = [model.path for model in lock.models if model.task.pulls]
    if all(not path.startswith("/") or path.startswith(f"{HOME}/") for path in paths):
        models = tuple(replace(model, path=_short(model)) for model in lock.models)
        return _distinct(replace(lock, models=models), "hardtack lock"), HOME
    if not whole_image:
        return lock, ROOT
    models = tuple(
        model if model.path.startswith("/") or not model.task.pulls
        else replace(model, path=f"{HOME}/{model.folder}") for model in lock.models
    )  # fmt: skip
    return _distinct(replace(lock, models=models), "hardtack lock"), ROOT


def _short(model: LockedModel) -> str:
    path = model.path.removeprefix(f"{HOME}/")
    return "" if path == model.key else path


def as_cache(lock: Lock) -> Lock:
    """The lock with every model of the Hub where the standard cache has it; local ones stay where they were.

    Raises:
        Misused: two models are of one repository at one commit, so that one folder would have to be both.
    """
    models = tuple(
        replace(model, path=snapshot_folder(model)) if model.commit and model.task.pulls else model
        for model in lock.models
    )
    return _distinct(replace(lock, models=models), "hardtack bake --layout pantry")


def _distinct(lock: Lock, mend: str) -> Lock:
    try:
        distinct_paths(model.folder for model in lock.models if model.task.pulls)
    except UnsafeName as why:
        raise Misused(
            "two models cannot lie side by side here", where=lock.name, expected="a folder for each", found=str(why),
            mend=mend,
        ) from None  # fmt: skip
    return lock
