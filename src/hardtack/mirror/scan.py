"""A folder as a table of files with their hashes, made once; nothing is ever looked up in the folder again.

Refuses what cannot be served safely or truly: links that lead out of the folder, names that another system would read
as something else, things that are not files, and files that change while they are hashed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hardtack.errors import DiskError, HardtackError, Mismatch, Misused
from hardtack.mirror import git
from hardtack.spec.digest import hash_file
from hardtack.spec.lock import LockedFile
from hardtack.spec.names import UnsafeName, safe_path
from hardtack.supply.crew import work

# What the Hub's own .gitattributes gives to LFS in a new repository, and .gguf, which its clients add.
LFS_SUFFIXES = frozenset(
    {
        *(".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip", ".zst"),
        *(".bin", ".ckpt", ".ftz", ".gguf", ".h5", ".mlmodel", ".model", ".msgpack", ".onnx", ".ot", ".pb", ".pt"),
        *(".arrow", ".joblib", ".npy", ".npz", ".parquet", ".pickle", ".pkl", ".pth", ".safetensors", ".tflite"),
        ".wasm",
    }
)
# The Hub takes no larger file into git: https://huggingface.co/docs/hub/repositories-recommendations
LFS_SIZE = 10_000_000

_NOT_SERVED = frozenset({"_manifest.json"})


@dataclass(frozen=True)
class File:
    """One file, as it was when it was scanned.

    ``size`` is in bytes. ``sha256`` is of the content. ``oid`` is the git blob id: of the content, or, for a file
    that the Hub would keep in LFS, of its pointer. ``modified_ns`` is when it last changed, in nanoseconds
    since the epoch.
    """

    path: str
    size: int
    sha256: str
    oid: str
    lfs: bool
    source: Path
    modified_ns: int

    @property
    def etag(self) -> str:
        """The name under which a client's cache keeps the content: sha256 for LFS, else the git blob id."""
        return self.sha256 if self.lfs else self.oid

    @property
    def pointer_size(self) -> int:
        """The length in bytes of the LFS pointer."""
        return len(git.lfs_pointer(self.sha256, self.size))


def scan(directory: Path, within: Path | None = None, only: tuple[LockedFile, ...] | None = None) -> tuple[File, ...]:
    """Every file below ``directory``, hashed, sorted by path.

    Left out are names that begin with a dot (but ``.gitattributes``, which belongs to every Hub repository) and
    ``_manifest.json`` at the top.

    Args:
        directory: the folder.
        within: links may lead to files anywhere under this folder; by default under ``directory``.
        only: these and no others, which must be there and be what the lock says.

    Raises:
        Mismatch: one of ``only`` is missing, or is something else.
        Misused: ``directory`` is none, a link leads out of ``within`` or to a folder, or a name is unsafe.
        DiskError: something cannot be read, or changes while it is read.
    """
    if not directory.is_dir():
        raise Misused(
            "This is not a directory.",
            where=str(directory),
            expected="DIR or DIR@COMMIT, the commit being 40 hexadecimal digits in lower case",
            mend=f"ls -d {directory}",
        )
    bounds = (within or directory).resolve()
    threads = os.cpu_count() or 1
    if only is not None:
        return tuple(work(lambda locked, _: _locked_file(directory, locked, bounds), sorted(only), threads))
    files = work(lambda path, _: _file(directory, path, bounds), [*_walk(directory)], threads)
    return tuple(sorted(files, key=lambda file: file.path))


def _walk(directory: Path) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        raise _disk_error(Path(error.filename), error) from error

    for folder, folders, names in os.walk(directory, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if Path(folder, name).is_symlink():
                raise _refused("A link to a folder is not served.", Path(folder, name))
        for name in names:
            if not name.startswith(".") or name == ".gitattributes":
                path = Path(folder, name)
                if str(path.relative_to(directory)) not in _NOT_SERVED:
                    yield path


def _locked_file(directory: Path, locked: LockedFile, bounds: Path) -> File:
    """A file that a lock names: what is in git and what in LFS is then known, and need not be guessed."""
    path = directory / locked.path
    if not path.is_file():
        raise _not_as_locked(path, f"{locked.size} bytes", "no such file")
    file = _file(directory, path, bounds, lfs=not locked.git)
    if (file.size, file.sha256) != (locked.size, locked.sha256) or (locked.git and file.oid != locked.git):
        raise _not_as_locked(path, f"sha256 {locked.sha256}", f"sha256 {file.sha256}")
    return file


def _file(directory: Path, path: Path, bounds: Path, lfs: bool | None = None) -> File:
    name = path.relative_to(directory).as_posix()
    try:
        safe_path(name)
    except UnsafeName as error:
        raise _refused(f"This file name is not safe to serve: {error}.", path) from error
    if not path.is_file():
        raise _refused("This is neither a file nor a link to one.", path)
    if path.is_symlink() and not path.resolve().is_relative_to(bounds):
        raise _refused("This link leads out of the folder that is served.", path)
    source = path.resolve()
    try:
        before = source.stat()
        if lfs is None:
            lfs = path.suffix in LFS_SUFFIXES or before.st_size > LFS_SIZE
        hashes = hash_file(source, git=not lfs)
        after = source.stat()
    except OSError as error:
        raise _disk_error(path, error) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or hashes.size != after.st_size:
        raise DiskError("This file changed while it was read.", where=ascii(str(path)), mend="hardtack mirror")
    oid = git.blob_id(git.lfs_pointer(hashes.sha256, hashes.size)) if lfs else hashes.git
    return File(name, hashes.size, hashes.sha256, oid, lfs, source, after.st_mtime_ns)


def _not_as_locked(path: Path, expected: str, found: str) -> Mismatch:
    return Mismatch(
        "A file to be served is not what the lock says.", where=ascii(str(path)), expected=expected, found=found,
        mend="hardtack pull",
    )  # fmt: skip


def _refused(what: str, path: Path) -> HardtackError:
    # ascii(): the name may be the very thing that is wrong, and goes to a terminal.
    return Misused(what, where=ascii(str(path)), mend=f"cp -rL {str(path.parent)!a} DIR")


def _disk_error(path: Path, error: OSError) -> HardtackError:
    return DiskError(
        "This cannot be read.", where=ascii(str(path)), found=error.strerror or str(error), mend=f"ls -l {path!a}"
    )
