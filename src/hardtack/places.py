"""Where things lie: the store, a snapshot, a pantry, the lock. Paths and reading only; nothing is made or changed.

The order in which a model is looked for is DESIGN §5.2; the Hub is not a place and is not known here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hardtack.settings import Policy, Settings
from hardtack.spec.lock import LOCK_NAME, MANIFEST_NAME, LockedModel
from hardtack.spec.text_file import unreadable

PACKS = "native"
"""The folder of packed weights, beside the store's folder of builds."""
_PACK_DIGITS = 32


@dataclass(frozen=True)
class Store:
    """The standard Hugging Face cache, and hardtack's own folder beside it.

    Attributes:
        hub: the folder that holds ``models--namespace--name``.
        own: the folder that holds builds.
    """

    hub: Path
    own: Path

    def repo(self, repo: str) -> Path:
        """The folder of a repository: ``models--namespace--name``."""
        return self.hub / ("models--" + repo.replace("/", "--"))

    def snapshot(self, repo: str, commit: str) -> Path:
        """The folder of a repository's files at a commit."""
        return self.repo(repo) / "snapshots" / commit

    @property
    def builds(self) -> Path:
        """The folder of builds, each in one named by its key."""
        return self.own / "builds"

    @property
    def packs(self) -> Path:
        """The folder of packed weights that the native engine keeps for models without a build of them."""
        return self.own / PACKS


@dataclass(frozen=True)
class Place:
    """Where a model may lie.

    Attributes:
        directory: its files, under their repository's names.
        source: ``path``, ``pantry``, ``store``, ``local``, or ``legacy`` for a cache that an old variable points at.
    """

    directory: Path
    source: str


def pack_prefix(digest: str) -> str:
    """How the names of a model's packs begin in :attr:`Store.packs`, by the digest of its files."""
    return digest.removeprefix("sha256:")[:_PACK_DIGITS] + "-"


def store_of(settings: Settings) -> Store:
    """The store that the environment means."""
    return Store(settings.hub_cache, settings.own)


def is_pantry(directory: Path) -> bool:
    """Whether a directory is a pantry: it holds a lock.

    Raises:
        DiskError: nobody can tell, as the directory may not be searched; to go on without it would be to fail open.
    """
    return stat.S_ISREG(_mode(directory / LOCK_NAME))


def policy_of(settings: Settings) -> Policy:
    """The policy: as said, else strict wherever a pantry exists or an offline variable is set, else online."""
    if settings.policy is not None:
        return settings.policy
    return Policy.STRICT if settings.offline or is_pantry(settings.pantry) else Policy.ONLINE


def find_lock(settings: Settings, start: Path) -> Path | None:
    """The lock to go by: ``HARDTACK_LOCK``, else the pantry's, else upward from ``start``; None where there is none."""
    if settings.lock is not None:
        return settings.lock
    if is_pantry(settings.pantry):
        return settings.pantry / LOCK_NAME
    return find_upward(start, LOCK_NAME)


def find_upward(start: Path, name: str) -> Path | None:
    """The nearest file of this name in ``start`` or above it; folders that may not be searched have none."""
    start = start.absolute()
    # not `Path.is_file`, which raises where a folder above may not be searched (until Python 3.14)
    return next((folder / name for folder in (start, *start.parents) if os.path.isfile(folder / name)), None)  # noqa: PTH113


def candidates(model: LockedModel, lock: Path, settings: Settings) -> Iterator[Place]:
    """The places where a locked model may lie, the nearest first, whether or not anything is there.

    Args:
        model: from the lock.
        lock: the lock's file; a pantry's own lock makes its folder the first place.
        settings: for the pantry, the store, and the caches that old variables point at.
    """
    if not model.task.pulls:
        return
    for root in dict.fromkeys((lock.parent.absolute(), settings.pantry.absolute())):
        # a project's folder holds a lock too; its manifest tells it from a pantry, and a folder in it that happens to
        # bear a key's name is not a model
        if is_pantry(root) and not (root / MANIFEST_NAME).exists():
            yield Place(root / model.folder, "pantry")
    if model.source == "local":
        yield Place(lock.parent / model.repo, "local")
    else:
        yield Place(store_of(settings).snapshot(model.repo, model.commit), "store")
        for legacy in settings.legacy_caches:
            yield Place(Store(legacy, settings.own).snapshot(model.repo, model.commit), "legacy")


def first_existing(places: Iterable[Place]) -> tuple[Place | None, tuple[Place, ...]]:
    """The first place that is a folder, and all that were looked at up to it.

    Raises:
        DiskError: nobody can tell, as a folder above it may not be searched.
    """
    looked = []
    for place in places:
        looked.append(place)
        if stat.S_ISDIR(_mode(place.directory)):
            return place, tuple(looked)
    return None, tuple(looked)


def _mode(path: Path) -> int:
    """What kind of thing lies there, as ``stat`` has it; 0 for nothing."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as problem:
        raise unreadable(path, problem) from problem
