"""Files of a model directory, held to what the lock says of them while they are read.

Sizes first, for all of them: a file that is missing, cut short or only a git-LFS pointer is known in a millisecond.
Then the small files that decide what is done (JSON), before anyone parses them; the rest in threads while the engine
compiles. Nothing may be answered before :meth:`Files.finish` returned.

Between check and use: what is handed to this module as bytes or as a mapping is hashed as such. What others read by
path (the small JSON files) is held by its inode: device, number, size, times of content and of the inode are noted at
the start and compared at the end, and a file that was written, replaced or renamed meanwhile is a mismatch. Someone who
may write to the directory can still change a mapped file *after* the check: a pantry is meant to be read-only.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from hardtack.errors import DiskError, Mismatch
from hardtack.settings import Verify
from hardtack.spec.digest import POINTER_PREFIX, is_lfs_pointer, sha256_file, tree_digest
from hardtack.spec.lock import LockedFile

_THREADS = 2
_CHUNK = 16 << 20
_SMALL = 128 << 20  # bytes that may stay mapped while they are hashed: whoever compiles reads them at the same time
_Inode = tuple[int, int, int, int, int]


class Files:
    """The files of one model directory during one load; a context manager that ends its threads.

    Args:
        directory: where they lie.
        locked: what they must be; None where no lock names them. Then hashes are taken for what they are.
        verify: ``full`` compares hashes, ``stat`` sizes only.
        mend: the command that would bring the right files.
    """

    def __init__(self, directory: Path, locked: Iterable[LockedFile] | None, verify: Verify, mend: str) -> None:
        self.directory = directory
        self._locked = None if locked is None else {file.path: file for file in sorted(locked)}
        self._hashing = verify is Verify.FULL
        self._mend = mend
        self._inodes: dict[str, _Inode] = {}
        self._known: dict[str, str] = {}
        self._mapped: list[mmap.mmap] = []
        self._waiting: dict[str, Future[str]] = {}
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="hardtack-hash")

    def __enter__(self) -> Files:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, at: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def look(self) -> None:
        """Note every locked file, compare its size, and hash those that will be parsed by others.

        Raises:
            Mismatch: a file is missing, of another size, a pointer, or (JSON) of another hash.
            DiskError: a file cannot be read.
        """
        for path, file in (self._locked or {}).items():
            inode = self._note(path)
            if inode[2] != file.size:
                raise self._wrong(path, f"{file.size} bytes", self._what_is_there(path, inode[2]))
        if self._hashing:
            for path in self._locked or ():
                # the tokenizer is a megabyte or many: `read` hashes it, from the bytes that are parsed
                if path.endswith(".json") and not path.endswith("tokenizer.json"):
                    self._compare(path, self._hash(path))

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that the lock names."""
        return tuple(self._locked or ())

    def insist(self, paths: Iterable[str]) -> None:
        """Hash files now, whatever ``verify`` says: those that run when they are opened.

        Raises:
            Mismatch, DiskError: as :meth:`look`.
        """
        for path in paths:
            self._note(path)
            self._compare(path, self._hash(path))

    def read(self, path: str) -> bytes:
        """The bytes of a file, checked: these very bytes were hashed.

        Raises:
            Mismatch, DiskError: as :meth:`look`.
        """
        self._note(path)
        try:
            data = (self.directory / path).read_bytes()
        except OSError as problem:
            raise self._unreadable(path, problem) from problem
        if is_lfs_pointer(data[:64]):
            raise self._wrong(path, "the file itself", self._what_is_there(path, len(data)))
        if self._hashing:
            self._compare(path, hashlib.sha256(data).hexdigest())
        return data

    def start(self, mapped: Mapping[str, mmap.mmap], others: Iterable[str] = (), idle: Collection[str] = ()) -> None:
        """Begin to hash, in threads, what is not hashed yet.

        Args:
            mapped: files that are in use as mappings: the mapping is hashed, not the file by its name.
            others: files that no lock names but that are to count for :meth:`digest`.
            idle: files that nobody reads, such as the weights beside a build: their size is enough.
        """
        self._mapped += mapped.values()
        for path, mapping in mapped.items():
            self._note(path)
            if self._hashing:
                self._waiting[path] = self._pool.submit(_sha256, mapping)
        for path in (*(self._locked or ()), *others):
            self._note(path)
            if path not in idle and self._hashing and path not in self._known and path not in self._waiting:
                self._waiting[path] = self._pool.submit(self._hash, path)

    def finish(self) -> None:
        """Wait for the hashes and compare everything.

        Raises:
            Mismatch: a hash differs, or a file was changed while it was being loaded.
            DiskError: a file cannot be read.
        """
        for path, hashed in sorted(self._waiting.items()):
            self._compare(path, hashed.result())
        self._waiting.clear()
        for mapping in self._mapped:
            # whoever compiles made copies of most of it; what is still wanted comes back from the page cache
            mapping.madvise(mmap.MADV_DONTNEED)
        for path, before in self._inodes.items():
            if self._stat(path) != before:
                raise self._wrong(path, "a file that stays as it is", "it was changed while it was loaded")

    def digest(self) -> str:
        """The digest of all files that were hashed; empty where none was."""
        return tree_digest(self._known.items()) if self._known else ""

    def _note(self, path: str) -> _Inode:
        if path not in self._inodes:
            self._inodes[path] = self._stat(path)
        return self._inodes[path]

    def _stat(self, path: str) -> _Inode:
        try:
            found = (self.directory / path).stat()
        except (FileNotFoundError, NotADirectoryError):
            wanted = (self._locked or {}).get(path)
            raise self._wrong(path, f"{wanted.size} bytes" if wanted else "the file", "no such file") from None
        except OSError as problem:
            raise self._unreadable(path, problem) from problem
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _hash(self, path: str) -> str:
        try:
            return sha256_file(self.directory / path)
        except OSError as problem:
            raise self._unreadable(path, problem) from problem

    def _compare(self, path: str, sha256: str) -> None:
        wanted = (self._locked or {}).get(path)
        if wanted is not None and wanted.sha256 != sha256:
            raise self._wrong(path, f"sha256 {wanted.sha256}", f"sha256 {sha256}")
        self._known[path] = sha256

    def _what_is_there(self, path: str, size: int) -> str:
        try:
            with (self.directory / path).open("rb") as file:
                pointer = is_lfs_pointer(file.read(len(POINTER_PREFIX)))
        except OSError as problem:
            raise self._unreadable(path, problem) from problem
        return f"a git-LFS pointer of {size} bytes, not the file it stands for" if pointer else f"{size} bytes"

    def _wrong(self, path: str, expected: str, found: str) -> Mismatch:
        return Mismatch(
            "a file of the model is not what it should be" if self._locked is None
            else "a file of the model is not what the lock says",
            where=str(self.directory / path), expected=expected, found=found, mend=self._mend,
        )  # fmt: skip

    def _unreadable(self, path: str, problem: OSError) -> DiskError:
        return DiskError(
            "a file of the model cannot be read", where=str(self.directory / path), expected="a readable file",
            found=problem.strerror or str(problem), mend=f"ls -l {self.directory}",
        )  # fmt: skip


def _sha256(mapping: mmap.mmap) -> str:
    """The hash of a mapping. Of a large one pages are let go of behind it, or a gigabyte would be held in memory."""
    seen = hashlib.sha256()
    with memoryview(mapping) as data:
        for start in range(0, len(data), _CHUNK):
            seen.update(data[start : start + _CHUNK])
            if len(data) > _SMALL:
                mapping.madvise(mmap.MADV_DONTNEED, start, min(_CHUNK, len(data) - start))
    return seen.hexdigest()
