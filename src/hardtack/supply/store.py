"""One repository's folder in the standard Hugging Face cache: what is there, and how it is written.

The layout is huggingface_hub's, so that ``from_pretrained`` finds what hardtack pulled. It differs in two ways, both
allowed: the folder is whole in itself (huggingface_hub keeps Xet files in a store outside, so that a copy of the folder
has dangling links), and ``trees/<commit>.json`` lists just what is there, since huggingface_hub takes a listed file
that is not there for an interrupted download and refuses the snapshot (optimum-intel#1855).
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from hardtack.errors import DiskError, Misused
from hardtack.places import Store
from hardtack.spec.hub_cache import CACHE_TAG, PROBED, TREE_FORMAT, tree_row, tree_text
from hardtack.spec.lock import LockedFile
from hardtack.spec.names import UnsafeName, is_commit, safe_path
from hardtack.spec.verify import Kind, check_file
from hardtack.supply import disk
from hardtack.supply.locks import held

_NO_LINKS = frozenset(
    {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK, errno.EINVAL}
)


class Found(StrEnum):
    """What lies in the store of a locked file."""

    RIGHT = "right"  # in the snapshot, and its bytes are the lock's
    OUTSIDE = "outside"  # right, but only by a link that leads out of the repository's folder
    LOOSE = "loose"  # a blob with the right bytes, and no name in the snapshot
    WRONG = "wrong"  # other bytes
    MISSING = "missing"


class Shelf:
    """The folder ``models--namespace--name`` of a store.

    Args:
        store: the store.
        repo: the repository.
    """

    def __init__(self, store: Store, repo: str) -> None:
        self.repo = repo
        self.root = store.repo(repo)
        self._hub = store.hub
        self._locks = store.hub / ".locks" / self.root.name

    def snapshot(self, commit: str) -> Path:
        """The folder of a commit's files."""
        return self.root / "snapshots" / commit

    def blob(self, git: str, sha256: str) -> Path:
        """Where content lies: by its git blob id if it is kept in git, else by its SHA-256."""
        return self.root / "blobs" / (git or sha256)

    def partial(self, blob: Path) -> Path:
        """Where content lies while it comes; ``hf cache prune`` knows the ending."""
        return blob.with_name(f"{blob.name}.hardtack.incomplete")

    def lock(self, blob: Path, stop: threading.Event, waiting: Callable[[], None]) -> AbstractContextManager[None]:
        """Hold the lock of a blob: the one huggingface_hub itself takes, so that it waits, too."""
        with disk.on_disk(blob):
            disk.make_folder(self._locks)
            disk.make_folder(blob.parent)
        return held(self._locks / f"{blob.name}.lock", stop, waiting)

    def look(self, commit: str, file: LockedFile) -> Found:
        """What lies there of a locked file. Its bytes are hashed.

        Raises:
            DiskError: it is there and cannot be read.
        """
        pointer, blob = self.snapshot(commit) / file.path, self.blob(file.git, file.sha256)
        finding = check_file(self.snapshot(commit), file)
        if finding is None:
            return Found.RIGHT if self._within(pointer) else Found.OUTSIDE
        if finding.kind is Kind.UNREADABLE:
            raise DiskError(
                "a file of the store cannot be read", where=str(pointer), expected=finding.expected,
                found=finding.found, mend=f"ls -lL {pointer}",
            )  # fmt: skip
        if blob.is_file() and (finding.kind is Kind.MISSING or not pointer.samefile(blob)):
            as_blob = check_file(blob.parent, LockedFile(blob.name, file.size, file.sha256))
            if as_blob is None:
                return Found.LOOSE
            return Found.WRONG
        return Found.MISSING if finding.kind is Kind.MISSING else Found.WRONG

    def _within(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.root.resolve())

    def bring_home(self, source: Path, blob: Path) -> None:
        """Make ``blob`` a file of this folder with the content of ``source``, which was just found right.

        Inside this cache it is a hard link, which takes no space: huggingface_hub's shared store never writes into a
        file. Anything else is copied.
        """
        beside = blob.with_name(f"{blob.name}.{os.getpid()}.{threading.get_ident()}.home")
        with disk.on_disk(blob):
            try:
                real = source.resolve()
                if not (real.is_relative_to(self._hub.resolve()) and _link(real, beside)):
                    shutil.copyfile(real, beside)
                disk.put(beside, blob)
            finally:
                beside.unlink(missing_ok=True)

    def point(self, commit: str, path: str, blob: Path) -> None:
        """Give a blob its name in a snapshot: a relative link, or where there are none, a hard link, or a copy."""
        pointer = self.snapshot(commit) / path
        target = os.path.relpath(blob, pointer.parent)
        if pointer.is_symlink() and pointer.readlink() == Path(target):
            return
        with disk.on_disk(pointer):
            disk.make_folder(pointer.parent)
            beside = pointer.with_name(f".{pointer.name[:200]}.{os.getpid()}.{threading.get_ident()}.new")
            try:
                if not _symlink(target, beside) and not _link(blob, beside):
                    shutil.copyfile(blob, beside)
                beside.replace(pointer)
            finally:
                beside.unlink(missing_ok=True)
            disk.sync_folder(pointer.parent)

    def finish(self, commit: str, files: Iterable[LockedFile], refs: Iterable[str]) -> None:
        """Write what others go by, once all files are there: the tree listing, the refs, the cache's tag.

        Nothing is written that says so already. Refs come last: one that points to no snapshot makes huggingface_hub
        call the whole folder corrupt.

        Raises:
            Misused: a ref's name is unsafe.
            DiskError: it could not be written.
        """
        with disk.on_disk(self.root):
            self._write_tree(commit, files)
            if not (tag := self._hub / "CACHEDIR.TAG").exists():
                disk.write_small(tag, CACHE_TAG)
            for ref in refs:
                path = self.root / "refs" / _safe_ref(ref)
                # no newline: huggingface_hub reads it without stripping
                if _read(path) != commit.encode():
                    disk.write_small(path, commit.encode())

    def mark_absent(self, commit: str, listed: Iterable[str]) -> None:
        """Mark what programs probe for and the repository does not have, so that they need not ask.

        Args:
            commit: of the listing.
            listed: every path of the repository at this commit.
        """
        there = set(listed)
        with disk.on_disk(self.root):
            for path in PROBED:
                marker = self.root / ".no_exist" / commit / path
                if path not in there and not marker.exists():
                    disk.write_small(marker, b"")
            disk.make_folder(self.root / "snapshots")  # without it huggingface_hub calls the folder corrupt

    def _write_tree(self, commit: str, files: Iterable[LockedFile]) -> None:
        path = self.root / "trees" / f"{commit}.json"
        known = _read_tree(path)
        there = {name: row for name, row in known.items() if (self.snapshot(commit) / name).is_file()}
        for file in files:
            row = tree_row(file)
            # what huggingface_hub wrote may say more (a Xet hash); it stays if it is of the same content
            there[file.path] = {**there.get(file.path, {}), **row} if _same(there.get(file.path), row) else row
        if there != known:
            disk.write_small(path, tree_text(there))


def project_ref(project: str, key: str) -> str:
    """The ref that keeps a project's model from ``hf cache prune``; one each, since two may be of one repository."""
    return f"hardtack/{project}/{key}"


def project_id(lock: Path) -> str:
    """A name for the project whose lock this is: its folder's, made unique by a hash of the folder's path."""
    folder = lock.absolute().parent
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in folder.name)[:40].strip("-") or "project"
    return f"{plain}-{sha256(str(folder).encode()).hexdigest()[:8]}"


def requested_ref(requested: str) -> str | None:
    """The ref to write for what the manifest asked for; None where it asked for a commit."""
    return None if not requested or is_commit(requested) else requested


def _safe_ref(ref: str) -> str:
    try:
        return safe_path(ref)
    except UnsafeName as why:
        raise Misused(
            "a revision's name would leave its folder", where=ref, expected="a branch or tag", found=str(why),
            mend="hardtack lock",
        ) from None  # fmt: skip


def _symlink(leads_to: str, path: Path) -> bool:
    # huggingface_hub's own switch, read by it; 1.31 does not have it yet
    if getattr(constants, "HF_HUB_DISABLE_SYMLINKS", False):
        return False
    try:
        path.symlink_to(leads_to)
    except OSError as problem:
        if problem.errno in _NO_LINKS:
            return False
        raise
    return True


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError as problem:
        if problem.errno in _NO_LINKS:
            return False
        raise
    return True


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _read_tree(path: Path) -> dict[str, dict[str, Any]]:
    """The listing that lies there; empty where there is none that can be understood, as huggingface_hub has it."""
    try:
        data = json.loads(_read(path) or b"{}")
        if not isinstance(data, dict) or data.get("format_version") != TREE_FORMAT:
            return {}
        return {str(name): dict(row) for name, row in data["files"].items() if not _unsafe(str(name))}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _unsafe(name: str) -> bool:
    try:
        safe_path(name)
    except UnsafeName:
        return True
    return False


def _same(known: dict[str, Any] | None, row: dict[str, Any]) -> bool:
    return known is not None and all(known.get(name) == value for name, value in row.items() if name != "blob_id")
