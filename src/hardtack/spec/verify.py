"""Whether files are what a lock says: a comparison that needs no network and returns what it found as values.

Used wherever bytes are about to be relied on. It changes nothing; who finds a finding unbearable raises
:func:`mismatch`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hardtack.errors import DiskError, Mismatch
from hardtack.spec.digest import POINTER_PREFIX, is_lfs_pointer, sha256_file
from hardtack.spec.lock import LockedFile
from hardtack.spec.text_file import unreadable

_THREADS = 2  # SHA-256 runs at 1.7 GB/s a thread here: two keep up with any disk
_POINTER_MOST = 1024


class Kind(StrEnum):
    """How a file can fail to be what the lock says."""

    MISSING = "missing"
    CHANGED = "changed"
    SIZE = "size"
    POINTER = "pointer"
    UNREADABLE = "unreadable"
    EXTRA = "extra"


@dataclass(frozen=True)
class Finding:
    """One file that is not what the lock says.

    Attributes:
        kind: how.
        path: relative to the directory that was checked.
        expected, found: sizes or hashes, readable.
    """

    kind: Kind
    path: str
    expected: str
    found: str


@dataclass(frozen=True)
class Checked:
    """What a check found: nothing, where all is well.

    Attributes:
        findings: sorted by path.
        files, bytes: how much the lock names.
    """

    findings: tuple[Finding, ...]
    files: int
    bytes: int

    @property
    def good(self) -> bool:
        """Whether every file is what the lock says."""
        return not self.findings


def check_file(directory: Path, file: LockedFile, *, hashes: bool = True) -> Finding | None:
    """Compare one file with its line in the lock; None where it agrees.

    Args:
        directory: what ``file.path`` is relative to.
        file: the line.
        hashes: False compares the size only.
    """
    path = directory / file.path
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a folder has a size, too, and whoever opens a pipe may wait for ever
            return Finding(Kind.CHANGED, file.path, f"a file of {file.size} bytes", _called(status.st_mode))
        if status.st_size != file.size:
            return _of_other_size(path, status.st_size, file)
        if hashes and (sha256 := sha256_file(path)) != file.sha256:
            return Finding(Kind.CHANGED, file.path, f"sha256 {file.sha256}", f"sha256 {sha256}")
    except (FileNotFoundError, NotADirectoryError):
        found = "a link to nothing" if path.is_symlink() else "no such file"
        return Finding(Kind.MISSING, file.path, f"{file.size} bytes", found)
    except OSError as problem:
        return Finding(Kind.UNREADABLE, file.path, "a readable file", problem.strerror or str(problem))
    return None


def _of_other_size(path: Path, size: int, file: LockedFile) -> Finding:
    if size <= _POINTER_MOST:
        with path.open("rb") as opened:
            if is_lfs_pointer(opened.read(len(POINTER_PREFIX))):
                return Finding(Kind.POINTER, file.path, f"{file.size} bytes", f"a git-LFS pointer of {size} bytes")
    return Finding(Kind.SIZE, file.path, f"{file.size} bytes", f"{size} bytes")


def _called(mode: int) -> str:
    return "a folder" if stat.S_ISDIR(mode) else "neither file nor folder"


def check_files(
    directory: Path,
    files: Iterable[LockedFile],
    *,
    hashes: bool = True,
    extra: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Checked:
    """Compare files with their lines in a lock.

    Args:
        directory: what the paths are relative to.
        files: the lines.
        hashes: False compares sizes only.
        extra: whether files beneath ``directory`` that no line names are findings, too.
        progress: called with the bytes of each file that was compared, from the caller's own thread.

    Raises:
        DiskError: ``extra`` is asked for, and a folder cannot be listed.
    """
    files = tuple(files)
    # the largest first, so that no thread is left alone with one at the end
    ordered = sorted(files, key=lambda file: -file.size)

    findings = []
    with ThreadPoolExecutor(_THREADS) as pool:
        checks = pool.map(lambda file: check_file(directory, file, hashes=hashes), ordered)
        for file, finding in zip(ordered, checks, strict=True):
            if finding is not None:
                findings.append(finding)
            if progress is not None:
                progress(file.size)
    if extra:
        known = {file.path for file in files}
        findings += [
            Finding(Kind.EXTRA, _printable(path), "no such file", "a file that the lock does not name")
            for path in walk(directory)
            if path not in known
        ]
    findings.sort(key=lambda finding: finding.path)
    return Checked(tuple(findings), len(files), sum(file.size for file in files))


def walk(directory: Path) -> list[str]:
    """Every file beneath a directory, as sorted POSIX paths relative to it; none where there is no such directory.

    Links are not followed: one to a folder counts as a file, for what lies behind it would go unseen otherwise.

    Raises:
        DiskError: a folder cannot be listed, so that nobody can say what lies there.
    """

    def refuse(problem: OSError) -> None:
        if not isinstance(problem, FileNotFoundError | NotADirectoryError):
            raise unreadable(Path(problem.filename), problem) from problem

    found = []
    for folder, folders, names in os.walk(directory, onerror=refuse):
        base = Path(folder)
        links = [name for name in folders if (base / name).is_symlink()]
        found += [(base / name).relative_to(directory).as_posix() for name in (*names, *links)]
    return sorted(found)


def _printable(path: str) -> str:
    # a name on disk need not be UTF-8; Python smuggles the other bytes through as half surrogates
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def mismatch(checked: Checked, directory: Path, *, mend: str) -> Mismatch | DiskError:
    """The error for a check that found something: it names the first finding and counts the rest.

    A file that could be read and is wrong goes before one that could not be read: the answer is no, whatever that is.
    """
    first = min(checked.findings, key=lambda finding: finding.kind is Kind.UNREADABLE)
    more = f" (and {len(checked.findings) - 1} more)" if len(checked.findings) > 1 else ""
    what = {
        Kind.MISSING: "a locked file is missing",
        Kind.CHANGED: "a file is not what the lock says",
        Kind.SIZE: "a file has not the size the lock says",
        Kind.POINTER: "a git-LFS pointer lies where the file should be",
        Kind.UNREADABLE: "a locked file cannot be read",
        Kind.EXTRA: "a file lies there that the lock does not name",
    }[first.kind]
    error = DiskError if first.kind is Kind.UNREADABLE else Mismatch
    return error(what + more, where=str(directory / first.path), expected=first.expected, found=first.found, mend=mend)
