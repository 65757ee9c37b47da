"""An archive as its bytes come: in order, once, and refused where they are not what must come next.

It knows the lock at the front; which files follow, the lock says to whoever reads on.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from hardtack.errors import DiskError, LockError, Mismatch
from hardtack.spec.lock import LOCK_NAME, Lock
from hardtack.spec.lock_text import parse_lock
from hardtack.supply import archive_tar as tar

_CHUNK = 1 << 20
_LARGEST_LOCK = 16 << 20  # bytes: a line is some 200, so eighty thousand files


class Source:
    """The archive's bytes, in order.

    All but the last method raise a Mismatch where the bytes are something else or come to their end, and a DiskError
    where they cannot be read.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._name = str(getattr(stream, "name", "the archive"))

    def chunk(self, most: int) -> bytes:
        """Some bytes, at least one and at most so many."""
        try:
            data = self._stream.read(most)
        except OSError as problem:
            raise DiskError(
                "the archive cannot be read", where=self._name, expected="a readable file",
                found=problem.strerror or str(problem), mend=f"ls -l {self._name}",
            ) from problem  # fmt: skip
        if not data:
            raise self.refused("more of it", "its end: it was cut short")
        return data

    def exactly(self, count: int) -> bytes:
        """Just so many bytes."""
        pieces = []
        while count:
            pieces.append(self.chunk(min(count, _CHUNK)))
            count -= len(pieces[-1])
        return b"".join(pieces)

    def expect(self, data: bytes, what: str) -> None:
        """Take these very bytes, which are ``what``."""
        found = self.exactly(len(data))
        if found != data:
            name = found[:100].partition(b"\0")[0]
            raise self.refused(what, f"{name!r}, or other fields than `hardtack pack` writes")

    def ends(self) -> None:
        """Nothing may follow."""
        if self._stream.read(1):
            raise self.refused("its end", "more bytes after it")

    def refused(self, expected: str, found: str) -> Mismatch:
        """The error for bytes that are something else."""
        return Mismatch(
            "the archive is not what its own lock says", where=self._name, expected=expected, found=found,
            mend="hardtack pack -o FILE  # where it came from, then carry it anew",
        )  # fmt: skip


def opened(path: Path) -> BinaryIO:
    """A file that may be an archive, to be read.

    Raises:
        DiskError: it is not there, or cannot be read.
    """
    try:
        return path.open("rb")
    except OSError as problem:
        raise DiskError(
            "the archive cannot be read", where=str(path), expected="a readable file",
            found=problem.strerror or str(problem), mend=f"ls -l {path}",
        ) from problem  # fmt: skip


def is_archive(head: bytes) -> bool:
    """Whether a file that begins so, with a block or more, is an archive."""
    return tar.first_size(head[: tar.BLOCK], LOCK_NAME) is not None


def read_lock_text(source: Source) -> bytes:
    """The archive's lock, from the front, as its bytes.

    Raises:
        Mismatch: there is none in the form that `hardtack pack` writes.
        DiskError: the archive cannot be read.
    """
    size = tar.first_size(source.exactly(tar.BLOCK), LOCK_NAME)
    if size is None or size > _LARGEST_LOCK:
        raise source.refused(f"{LOCK_NAME} as its first file, in the form that `hardtack pack` writes", "another file")
    text = source.exactly(size)
    source.expect(tar.padding(size), "zeros up to the next block")
    return text


def parse_archived(text: bytes) -> Lock:
    """The archive's lock.

    Raises:
        LockError: it cannot be understood.
    """
    try:
        return parse_lock(text.decode(), f"{LOCK_NAME} of the archive")
    except UnicodeDecodeError as problem:
        raise LockError(
            "the archive's lock is not UTF-8 text", where=LOCK_NAME, expected="UTF-8",
            found=f"0x{text[problem.start]:02x} at byte {problem.start}", mend="hardtack pack -o FILE",
        ) from None  # fmt: skip
