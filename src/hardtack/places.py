"""Where things lie: the store, a snapshot, a pantry, the lock. Paths and reading only; nothing is made or changed.

The order in which a model is looked for is DESIGN §5.2; the Hub is not a place and is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hardtack.settings import Policy, Settings
from hardtack.spec.lock import LOCK_NAME, LockedModel
from hardtack.spec.manifest import MANIFEST_NAME


@dataclass(frozen=True)
class Store:
    """The standard Hugging Face cache, and hardtack's own folder beside it.

    Attributes:
        hub: the folder that holds ``models--namespace--name``.
        own: the folder that holds builds and compile caches.
    """

    hub: Path
    own: Path

    def repo(self, repo: str) -> Path:
        """The folder of a repository: ``models--namespace--name``."""
        return self.hub / ("models--" + repo.replace("/", "--"))

    def snapshot(self, repo: str, commit: str) -> Path:
        """The folder of a repository's files at a commit."""
        return self.repo(repo) / "snapshots" / commit


@dataclass(frozen=True)
class Place:
    """Where a model may lie.

    Attributes:
        directory: its files, under their repository's names.
        source: ``path``, ``pantry``, ``store`` or ``local``.
    """

    directory: Path
    source: str


def store_of(settings: Settings) -> Store:
    """The store that the environment means."""
    return Store(settings.hub_cache, settings.own)


def is_pantry(directory: Path) -> bool:
    """Whether a directory is a pantry: it holds a lock."""
    return (directory / LOCK_NAME).is_file()


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
    """The nearest file of this name in ``start`` or above it."""
    start = start.absolute()
    return next((folder / name for folder in (start, *start.parents) if (folder / name).is_file()), None)


def candidates(model: LockedModel, lock: Path, settings: Settings) -> Iterator[Place]:
    """The places where a locked model may lie, the nearest first, whether or not anything is there.

    Args:
        model: from the lock.
        lock: the lock's file; a pantry's own lock makes its folder the first place.
        settings: for the pantry and the store.
    """
    for root in dict.fromkeys((lock.parent.absolute(), settings.pantry.absolute())):
        # a project's folder holds a lock too; its manifest tells it from a pantry, and a folder in it that happens to
        # bear a key's name is not a model
        if is_pantry(root) and not (root / MANIFEST_NAME).exists():
            yield Place(root / model.folder, "pantry")
    if model.source == "local":
        yield Place(lock.parent / model.repo, "local")
    else:
        yield Place(store_of(settings).snapshot(model.repo, model.commit), "store")


def first_existing(places: Iterator[Place]) -> tuple[Place | None, tuple[Place, ...]]:
    """The first place that is a folder, and all that were looked at up to it."""
    looked = []
    for place in places:
        looked.append(place)
        if place.directory.is_dir():
            return place, tuple(looked)
    return None, tuple(looked)
