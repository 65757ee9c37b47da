"""A wanted model and a Hub make a locked model: the commit, the files, and a SHA-256 for every one of them.

The Hub knows the SHA-256 of files in LFS. The others, all small, are fetched once, checked against their git blob id,
and kept in the store, so that locking a model never fetches its weights and the pull that follows fetches only them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hardtack.errors import UnsupportedModel
from hardtack.places import Store
from hardtack.spec.lock import LockedCode, LockedFile, LockedModel
from hardtack.spec.manifest import WantedModel
from hardtack.spec.names import is_repo
from hardtack.supply import disk
from hardtack.supply.bare_names import full_name
from hardtack.supply.blobs import bring
from hardtack.supply.choosing import chosen_files, locked
from hardtack.supply.crew import work
from hardtack.supply.download import Expected
from hardtack.supply.hub import Hub, Listing, RemoteFile
from hardtack.supply.problems import Asked
from hardtack.supply.progress import SILENT, Progress
from hardtack.supply.store import Shelf

_MAY_NAME_CODE = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")


def resolve(
    wanted: WantedModel,
    hub: Hub,
    store: Store,
    *,
    progress: Progress = SILENT,
    free: Callable[[Path], int] = disk.free_bytes,
) -> LockedModel:
    """Lock a model of the Hub.

    Args:
        wanted: the manifest's entry; not a local directory, not an external service.
        hub: whom to ask.
        store: where the small files go.
        progress: told of what a person should hear: a rename, a fallback, gating.
        free: bytes free where a path is.

    Raises:
        UnknownRepo, AccessDenied, HubUnreachable: as the Hub answered.
        UnsupportedModel: no weights that may be taken.
        Refused: a name that must not reach a disk, or a licence that is not expected.
        Mismatch: a small file is not what the Hub's own listing says.
    """
    asked_for = full_name(wanted.repo, wanted.task)
    listing = hub.list(asked_for, wanted.revision)
    if listing.repo != wanted.repo:
        progress.say(f"{wanted.repo} is {listing.repo} on the Hub")
    if listing.gated:
        progress.say(f"{listing.repo} is gated: whoever pulls it needs a token of somebody who accepted its terms")
    desk = _Desk(hub, store, listing, progress, free)
    choice = chosen_files([file.path for file in listing.files], wanted, desk.read_json)
    for note in choice.notes:
        progress.say(f"{listing.repo}: {note}")
    files = desk.lock(choice.files)
    code: tuple[LockedCode, ...] = ()
    if wanted.trust_remote_code:
        names = {name for path in choice.files for name in _code_repos(path, desk)} - {listing.repo}
        code = tuple(_lock_code(repo, hub, store, progress, free) for repo in sorted(names))
    return locked(
        wanted, choice, files, source="hub", repo=listing.repo, requested=wanted.revision, commit=listing.commit,
        license_name=listing.license, code=code,
    )  # fmt: skip


class _Desk:
    """The files of one listing, by way of the store."""

    def __init__(
        self, hub: Hub, store: Store, listing: Listing, progress: Progress, free: Callable[[Path], int]
    ) -> None:
        self._hub, self._store, self._listing, self._progress, self._free = hub, store, listing, progress, free
        self._shelf = Shelf(store, listing.repo)
        self._shelf.mark_absent(listing.commit, (file.path for file in listing.files))

    def read_json(self, path: str) -> Any:
        """The content of a file that is JSON."""
        file = self._file(path)
        self._bring(file, threading.Event())
        blob = self._shelf.blob(file.git, file.sha256)
        with disk.on_disk(blob):
            content = blob.read_bytes()
        try:
            return json.loads(content)
        except ValueError as problem:
            raise UnsupportedModel(
                "a file that must be JSON is not", where=f"{self._listing.repo}@{self._listing.commit}: {path}",
                expected="JSON", found=str(problem), mend="hardtack add REPO",
            ) from problem  # fmt: skip

    def lock(self, paths: Iterable[str]) -> tuple[LockedFile, ...]:
        """A line of the lock for each file."""
        files = [self._file(path) for path in paths]
        disk.need(self._store.hub, sum(file.size for file in files if file.git), self._free(self._store.hub))
        return tuple(work(self._row, files))

    def _file(self, path: str) -> RemoteFile:
        file = self._listing.get(path)
        assert file is not None, "paths are chosen from this listing"
        return file

    def _row(self, file: RemoteFile, stop: threading.Event) -> LockedFile:
        return LockedFile(file.path, file.size, file.sha256) if file.sha256 else self._bring(file, stop)

    def _bring(self, file: RemoteFile, stop: threading.Event) -> LockedFile:
        asked = Asked(self._listing.repo, self._listing.commit, file.path)
        expected = Expected(asked, file.size, file.sha256, file.git)
        fetched = bring(self._hub, self._shelf, expected, progress=self._progress, stop=stop)
        return LockedFile(file.path, file.size, fetched.hashes.sha256, file.git)


def _code_repos(path: str, desk: _Desk) -> list[str]:
    """The repositories whose code a file names, as ``org/code--module.Class``.

    transformers takes that code from the other repository's ``main`` even where the model is pinned to a commit, or is
    a local directory; so it has to be locked for itself.
    """
    if path == "modules.json":
        references = [row.get("type") for row in desk.read_json(path)]
    elif path.rsplit("/", 1)[-1] in _MAY_NAME_CODE:
        data = desk.read_json(path)
        auto_map = data.get("auto_map") if isinstance(data, dict) else None
        values = auto_map.values() if isinstance(auto_map, dict) else [auto_map]
        references = [name for value in values for name in (value if isinstance(value, list) else [value])]
    else:
        return []
    return [name.split("--", 1)[0] for name in references if isinstance(name, str) and "--" in name]


def _lock_code(repo: str, hub: Hub, store: Store, progress: Progress, free: Callable[[Path], int]) -> LockedCode:
    if not is_repo(repo):
        raise UnsupportedModel(
            "the model's auto_map names code in what cannot be a repository", where=repo, expected="namespace/name",
            found=repo, mend="hardtack add REPO",
        )  # fmt: skip
    listing = hub.list(repo, "main")
    paths = [file.path for file in listing.files if file.path.endswith(".py")]
    # under the name that the auto_map has: transformers looks for it there, renamed or not
    return LockedCode(repo, listing.commit, _Desk(hub, store, listing, progress, free).lock(paths))
