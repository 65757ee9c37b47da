"""Hashes of files, and one digest of many, in forms that ``sha256sum`` and ``git hash-object`` reproduce.

Reads files; writes none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_CHUNK = 1 << 20
POINTER_PREFIX = b"version https://git-lfs.github.com/spec/v1\n"


@dataclass(frozen=True, slots=True)
class Hashes:
    r"""What a file is: bytes, SHA-256 and git's blob id (SHA-1 over ``blob <size>\0`` and the content), in hex.

    ``git`` is empty where it was not asked for: it takes as long again as SHA-256, and nobody needs it of weights.
    """

    size: int
    sha256: str
    git: str


class Hasher:
    """Takes a file's bytes as they pass; the size must be known first, as git hashes it before the content.

    Args:
        size: in bytes.
        git: whether git's blob id is wanted, too.
    """

    def __init__(self, size: int, *, git: bool = True) -> None:
        self._size = size
        self._seen = 0
        self._sha256 = hashlib.sha256()
        self._git = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False) if git else None

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._seen += len(data)
        self._sha256.update(data)
        if self._git is not None:
            self._git.update(data)

    def finish(self) -> Hashes:
        """The hashes of what passed; ``git`` is only git's blob id if as many bytes passed as were announced."""
        return Hashes(self._seen, self._sha256.hexdigest(), "" if self._git is None else self._git.hexdigest())


def hash_file(path: Path, *, git: bool = True) -> Hashes:
    """Size, SHA-256 and, if wanted, git blob id of a file, read once."""
    with path.open("rb", buffering=0) as file:
        hasher = Hasher(os.fstat(file.fileno()).st_size, git=git)
        buffer = bytearray(_CHUNK)
        view = memoryview(buffer)
        while count := file.readinto(buffer):
            hasher.update(view[:count])
    return hasher.finish()


def hash_bytes(data: bytes) -> Hashes:
    """Size, SHA-256 and git blob id of bytes at hand."""
    hasher = Hasher(len(data))
    hasher.update(data)
    return hasher.finish()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file in hex: the fast path where git's id is not wanted."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_digest(files: Iterable[tuple[str, str]]) -> str:
    r"""One digest of (path, sha256) pairs.

    It is ``sha256:`` and the SHA-256 of the lines ``<sha256>  <path>``, sorted as bytes, each ended by a newline. In a
    folder of just these files this prints it:
    ``find . -type f -printf '%P\0' | xargs -0 sha256sum -- | LC_ALL=C sort | sha256sum``.
    """
    lines = sorted(f"{sha256}  {path}".encode() for path, sha256 in files)
    return "sha256:" + hashlib.sha256(b"".join(line + b"\n" for line in lines)).hexdigest()


def is_lfs_pointer(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a git-LFS pointer, which stands for a file that is not there."""
    return head.startswith(POINTER_PREFIX)
