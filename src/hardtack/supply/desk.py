"""The files of one listing, by way of the store: read, and written down as lines of a lock."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hardtack.errors import UnsupportedModel
from hardtack.places import Store
from hardtack.spec.lock import LockedFile
from hardtack.supply import disk
from hardtack.supply.blobs import bring
from hardtack.supply.crew import work
from hardtack.supply.download import Expected
from hardtack.supply.hub import Hub, Listing, RemoteFile
from hardtack.supply.problems import Asked
from hardtack.supply.progress import SILENT, Progress
from hardtack.supply.store import Shelf


@dataclass(frozen=True)
class Supplies:
    """What locking needs besides what is to be locked.

    Attributes:
        hub: whom to ask.
        store: where the small files go.
        progress: told of what a person should hear.
        free: bytes free where a path is.
    """

    hub: Hub
    store: Store
    progress: Progress = SILENT
    free: Callable[[Path], int] = disk.free_bytes


@dataclass(frozen=True)
class Desk:
    """One repository at one commit, being locked.

    Attributes:
        supplies: Hub and store.
        listing: what the Hub says is there.
    """

    supplies: Supplies
    listing: Listing

    @cached_property
    def _shelf(self) -> Shelf:
        shelf = Shelf(self.supplies.store, self.listing.repo)
        shelf.mark_absent(self.listing.commit, (file.path for file in self.listing.files))
        return shelf

    def read_json(self, path: str) -> Any:
        """The content of a file that is JSON.

        Raises:
            UnsupportedModel: it is not.
            HardtackError: as :func:`~hardtack.supply.blobs.bring`.
        """
        file = self._file(path)
        self._bring(file, threading.Event())
        blob = self._shelf.blob(file.git, file.sha256)
        with disk.on_disk(blob):
            content = blob.read_bytes()
        try:
            return json.loads(content)
        except ValueError as problem:
            raise UnsupportedModel(
                "a file that must be JSON is not", where=f"{self.listing.repo}@{self.listing.commit}: {path}",
                expected="JSON", found=str(problem), mend="hardtack add REPO",
            ) from problem  # fmt: skip

    def lock(self, paths: Iterable[str]) -> tuple[LockedFile, ...]:
        """A line of the lock for each file; those in git, whose SHA-256 no Hub knows, are fetched for it.

        Raises:
            HardtackError: as :func:`~hardtack.supply.blobs.bring`.
        """
        files = [self._file(path) for path in paths]
        hub = self.supplies.store.hub
        disk.need(hub, sum(file.size for file in files if file.git), self.supplies.free(hub))
        return tuple(work(self._row, files))

    def _file(self, path: str) -> RemoteFile:
        file = self.listing.get(path)
        assert file is not None, "paths are chosen from this listing"
        return file

    def _row(self, file: RemoteFile, stop: threading.Event) -> LockedFile:
        return LockedFile(file.path, file.size, file.sha256) if file.sha256 else self._bring(file, stop)

    def _bring(self, file: RemoteFile, stop: threading.Event) -> LockedFile:
        asked = Asked(self.listing.repo, self.listing.commit, file.path)
        expected = Expected(asked, file.size, file.sha256, file.git)
        fetched = bring(self.supplies.hub, self._shelf, expected, progress=self.supplies.progress, stop=stop)
        return LockedFile(file.path, file.size, fetched.hashes.sha256, file.git)
