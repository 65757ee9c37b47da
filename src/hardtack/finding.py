"""Which model a name means, and where it lies: DESIGN §5.2, for :mod:`hardtack.loaders`.

A string is a path iff it starts with ``/``, ``.`` or ``~``; anything else is a key, a repository or a repository's last
part. Nothing is loaded here, and nothing fetched but through the ``fetch`` that is handed in, where the policy is
online.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hardtack.errors import LockError, Mismatch, ModelNotFound, StaleLock, UnknownModel, Unverified
from hardtack.places import candidates, find_lock, is_pantry, policy_of
from hardtack.settings import Pin, Policy, Settings
from hardtack.spec.lock import LOCK_NAME, Lock, LockedModel
from hardtack.spec.lock_text import parse_lock, read_lock
from hardtack.spec.names import is_repo
from hardtack.spec.pantry_digest import pantry_digest
from hardtack.spec.words import Task

log = logging.getLogger("hardtack")

Fetch = Callable[[LockedModel, Path], Path]
"""Brings a model of a lock (the second argument is its file) from the Hub into the store; returns its folder there."""

PinnedLock = Callable[[Pin, Task, Settings], Path]
"""The file of a lock for a model that only the environment names; see :func:`hardtack.pinning.pinned_lock`."""


@dataclass(frozen=True)
class Found:
    """A model, found.

    Attributes:
        directory: where it lies.
        source: ``path``, ``pantry``, ``store``, ``local`` or ``hub``.
        locked: what the lock says of it, or None where no lock names it.
    """

    directory: Path
    source: str
    locked: LockedModel | None


def is_path(which: str | Path) -> bool:
    """Whether a caller's word is a path: it starts with ``/``, ``.`` or ``~``."""
    return isinstance(which, Path) or which.startswith(("/", ".", "~"))


def find_model(
    which: str | Path | None, task: Task, settings: Settings, start: Path, fetch: Fetch, pinned: PinnedLock
) -> Found:
    """Find the model that a caller means.

    Args:
        which: a path, a key, a repository or its last part; None: what the environment names for the task
            (``EMBED_MODEL_PATH``, ``EMBED_REPO``), else the lock's only model of it.
        task: what it is wanted for.
        settings: the environment.
        start: where to look upward from for a lock, if neither environment nor pantry has one.
        fetch: asked last, and only where the policy is online.
        pinned: asked where there is no lock, but the environment names a repository for the task.

    Raises:
        UnknownModel: a name that is in no lock, or means several models.
        ModelNotFound: locked, but nowhere to be had; every place that was looked at is named.
        LockError: there is no lock, or it cannot be understood.
        Mismatch, Unverified: the pantry is not the one that ``HARDTACK_EXPECT`` names, or something else was asked for.
        StaleLock: ``EMBED_COMMIT`` or its kin names another commit than the lock.
    """
    expected = check_pantry(settings)
    path = settings.pantry / LOCK_NAME if expected else find_lock(settings, start)
    if which is None:
        which = settings.model_paths.get(task.value)
    if which is None and path is None and (pin := settings.pins.get(task.value)):
        path = pinned(pin, task, settings)
    if which is not None and is_path(which):
        found = _at_path(Path(which).expanduser(), settings, path, expected)
    elif path is None:
        raise _no_lock(which, task, start, settings)
    else:
        found = _locked_place(_choose(expected or read_lock(path), which, task, settings), path, settings, fetch)
    if expected and found.source != "pantry":
        raise Unverified(
            "HARDTACK_EXPECT holds this process to a pantry, and this model is not in it", where=str(found.directory),
            expected=f"a model of {settings.pantry}", found=found.source, mend="unset HARDTACK_EXPECT",
        )  # fmt: skip
    return found


def check_pantry(settings: Settings) -> Lock | None:
    """Hold the environment to its word: a pantry that it names is one, and the one that it expects.

    Returns:
        The pantry's lock where ``HARDTACK_EXPECT`` is set: the bytes that were hashed are those it was parsed from, and
        no other lock counts then. Else None.

    Raises:
        LockError: ``HARDTACK_PANTRY`` names a directory that is no pantry, or ``HARDTACK_EXPECT`` wants one.
        Mismatch: the pantry is not the expected one.
    """
    if not is_pantry(settings.pantry) and (settings.pantry_named or settings.expect):
        raise LockError(
            "there is no pantry where one was named", where=str(settings.pantry), expected=f"{LOCK_NAME} in it",
            found="no such file" if settings.pantry.is_dir() else "no such directory",
            mend=f"hardtack bake {settings.pantry}",
        )  # fmt: skip
    if not settings.expect:
        return None
    path = settings.pantry / LOCK_NAME
    data = path.read_bytes()
    lock = parse_lock(data.decode(errors="replace"), str(path))
    digest = pantry_digest(lock, data)
    if digest.removeprefix("sha256:") != settings.expect.removeprefix("sha256:"):
        raise Mismatch(
            "this is not the pantry that HARDTACK_EXPECT names", where=str(settings.pantry),
            expected=settings.expect, found=digest, mend="unset HARDTACK_EXPECT",
        )  # fmt: skip
    return lock


def _choose(lock: Lock, which: str | Path | None, task: Task, settings: Settings) -> LockedModel:
    if which is not None:
        return lock.find(str(which))
    pin = settings.pins.get(task.value)
    if pin is None:
        return lock.only(task)
    model = lock.find(pin.repo)
    if pin.commit and model.commit != pin.commit:
        raise StaleLock(
            f"{task.value.upper()}_COMMIT names another commit than the lock", where=lock.name,
            expected=f"{pin.repo}@{pin.commit}", found=f"{model.repo}@{model.commit}",
            mend=f"hardtack lock --upgrade {model.key}",
        )  # fmt: skip
    return model


def _locked_place(model: LockedModel, lock: Path, settings: Settings, fetch: Fetch) -> Found:
    if not model.task.loads:
        raise UnknownModel(
            f"{model.key!r} is not a model that is loaded here", where=str(lock), expected="embed, rerank or classify",
            found=model.task.value, mend="hardtack list",
        )  # fmt: skip
    online = policy_of(settings) is Policy.ONLINE and model.source == "hub"
    looked: list[str] = []
    for place in candidates(model, lock, settings):
        if not place.directory.is_dir():
            looked.append(f"{place.directory} ({place.source}): no such directory")
        elif place.source == "store" and online and not _complete(place.directory, model):
            looked.append(f"{place.directory} ({place.source}): not all of it is there")
        else:
            if place.source == "legacy":
                log.warning(
                    "%s: read from %s; TRANSFORMERS_CACHE is gone, set HF_HUB_CACHE", model.key, place.directory
                )
            return Found(place.directory, place.source, model)
    if online:
        log.info("%s: fetching %s", model.key, model.shown)
        return Found(fetch(model, lock), "hub", model)
    why = "the policy is strict" if model.source == "hub" else "it is a local directory"
    raise ModelNotFound(
        f"{model.key!r} is locked, but nowhere to be had", where=f"{lock}: {model.shown}",
        expected="its files in one of the places below", found="; ".join([*looked, f"the Hub: not asked, {why}"]),
        mend="hardtack pull",
    )  # fmt: skip


def _complete(directory: Path, model: LockedModel) -> bool:
    """Whether every file is there in its size: a pull that was broken off is gone on with, not complained of."""
    try:
        return all((directory / file.path).stat().st_size == file.size for file in model.files)
    except OSError:
        return False


def _at_path(directory: Path, settings: Settings, usual: Path | None, expected: Lock | None) -> Found:
    if not directory.is_dir():
        raise ModelNotFound(
            "there is no model at this path", where=str(directory), expected="a model's directory",
            found="a file" if directory.exists() else "nothing", mend=f"ls -d {directory}",
        )  # fmt: skip
    real = directory.resolve()
    for path in _locks_near(real, usual, alone=expected is not None):
        for model in (expected or read_lock(path)).models:
            if not model.task.loads:
                continue
            for place in candidates(model, path, settings):
                if place.directory.resolve() == real:
                    return Found(directory, place.source, model)
    return Found(directory, "path", None)


def _locks_near(directory: Path, usual: Path | None, *, alone: bool) -> Iterator[Path]:
    """The lock this process goes by, then, unless that one is to stand alone, those above the directory."""
    seen = set()
    above = () if alone else (folder / LOCK_NAME for folder in (directory, *directory.parents))
    for path in (*([usual] if usual else []), *above):
        if path not in seen and path.is_file():
            seen.add(path)
            yield path


def _no_lock(which: str | Path | None, task: Task, start: Path, settings: Settings) -> UnknownModel:
    pin = settings.pins.get(task.value)
    name = str(which) if which is not None else pin.repo if pin else ""
    return UnknownModel(
        f"there is no lock, so no model {f'is called {name!r}' if name else f'to {task.value}'}",
        where=f"{settings.pantry} and upward from {start}", expected=LOCK_NAME, found="none",
        mend=f"hardtack add {name if is_repo(name) else 'REPO'} --task {task.value}",
    )  # fmt: skip
