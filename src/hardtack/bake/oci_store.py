"""Where an image's blobs are written: an OCI layout in a folder, or the same in one tar file.

Both appear whole or not at all. The tar is a hybrid: an OCI layout with the ``manifest.json`` of ``docker save`` beside
it, since ``docker load`` with the classic store takes no plain OCI layout; every blob is in it once.

Source: https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from hardtack.errors import Misused

_CHUNK = 1 << 20
_BLOCK = 512
LAYOUT = json.dumps({"imageLayoutVersion": "1.0.0"}).encode()


class BlobStore(ABC):
    """A place for blobs by digest; a context manager that leaves nothing unless :meth:`finish` was called.

    Args:
        out: where it will lie.
    """

    def __init__(self, out: Path) -> None:
        self.out = out.absolute()
        self.rising = self.out.with_name(f".{self.out.name}.baking-{os.getpid()}")

    def __enter__(self) -> Self:
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, at: TracebackType | None
    ) -> None:
        self._close()
        if self.rising.is_dir():
            shutil.rmtree(self.rising, ignore_errors=True)
        else:
            self.rising.unlink(missing_ok=True)

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...

    @abstractmethod
    def add(self, chunks: Iterable[bytes]) -> tuple[str, int]:
        """Write a blob; its digest (``sha256:…``) and size. One that is there already is not kept twice."""

    @abstractmethod
    def finish(self, index: bytes, docker: bytes) -> None:
        """Write what names the blobs, and put the whole in its place.

        Args:
            index: ``index.json``.
            docker: ``manifest.json`` of ``docker save``, for a tar.
        """


class FolderStore(BlobStore):
    """An OCI layout in a folder; an older layout there is replaced, anything else is left alone."""

    def _open(self) -> None:
        if self.out.exists() and not (self.out / "oci-layout").is_file() and (
            not self.out.is_dir() or any(self.out.iterdir())
        ):  # fmt: skip
            raise _occupied(self.out, "an OCI layout")
        self._blobs = self.rising / "blobs/sha256"
        self._blobs.mkdir(parents=True)

    def _close(self) -> None:
        """Nothing is open between two calls."""

    def add(self, chunks: Iterable[bytes]) -> tuple[str, int]:
        """See :meth:`BlobStore.add`."""
        seen, size, beside = hashlib.sha256(), 0, self._blobs / "rising"
        with beside.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                seen.update(chunk)
                size += len(chunk)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(0o644)
        beside.replace(self._blobs / seen.hexdigest())
        return f"sha256:{seen.hexdigest()}", size

    def finish(self, index: bytes, docker: bytes) -> None:  # noqa: ARG002  a folder is not for docker
        """See :meth:`BlobStore.finish`."""
        for name, data in (("oci-layout", LAYOUT), ("index.json", index)):
            with (self.rising / name).open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for folder in (self.rising, self.rising / "blobs", self._blobs):
            folder.chmod(0o755)
        old = self.out.with_name(f".{self.out.name}.old-{os.getpid()}")
        if self.out.exists():
            self.out.rename(old)
        try:
            self.rising.rename(self.out)
        except OSError:
            if old.exists():
                old.rename(self.out)
            raise
        shutil.rmtree(old, ignore_errors=True)
        _sync(self.out.parent)


class TarStore(BlobStore):
    """The hybrid tar; an older file there is replaced."""

    def _open(self) -> None:
        if self.out.is_dir():
            raise _occupied(self.out, "a file")
        self._file = self.rising.open("x+b")
        self._known: set[str] = set()

    def _close(self) -> None:
        self._file.close()

    def add(self, chunks: Iterable[bytes]) -> tuple[str, int]:
        """See :meth:`BlobStore.add`."""
        seen, start = hashlib.sha256(), self._file.tell()
        self._file.write(bytes(_BLOCK))  # the header, once name and size are known
        for chunk in chunks:
            self._file.write(chunk)
            seen.update(chunk)
        digest, size = seen.hexdigest(), self._file.tell() - start - _BLOCK
        if digest in self._known:
            self._file.seek(start)
            self._file.truncate()
        else:
            self._known.add(digest)
            self._end_member(f"blobs/sha256/{digest}", start, size)
        return f"sha256:{digest}", size

    def _end_member(self, name: str, start: int, size: int) -> None:
        self._file.write(bytes(-size % _BLOCK))
        end = self._file.tell()
        info = tarfile.TarInfo(name)
        info.size = size
        self._file.seek(start)
        # GNU's form has room for any size in the one block that was left free
        self._file.write(info.tobuf(tarfile.GNU_FORMAT))
        self._file.seek(end)

    def finish(self, index: bytes, docker: bytes) -> None:
        """See :meth:`BlobStore.finish`."""
        for name, data in (("oci-layout", LAYOUT), ("index.json", index), ("manifest.json", docker)):
            start = self._file.tell()
            self._file.write(bytes(_BLOCK) + data)
            self._end_member(name, start, len(data))
        self._file.write(bytes(2 * _BLOCK))
        self._file.flush()
        os.fchmod(self._file.fileno(), 0o644)
        os.fsync(self._file.fileno())
        self.rising.replace(self.out)
        _sync(self.out.parent)


def store_for(out: Path) -> BlobStore:
    """A tar where the name ends in ``.tar``, else a folder."""
    return TarStore(out) if out.name.endswith(".tar") else FolderStore(out)


def read_blob(out: Path, digest: str) -> Iterator[bytes]:
    """The bytes of a blob of a finished image, folder or tar."""
    name = f"blobs/sha256/{digest.removeprefix('sha256:')}"
    if out.is_dir():
        with (out / name).open("rb", buffering=0) as file:
            while data := file.read(_CHUNK):
                yield data
        return
    with tarfile.open(out, "r:") as tar:
        member = tar.extractfile(name)
        assert member is not None
        while data := member.read(_CHUNK):
            yield data


def _occupied(out: Path, wanted: str) -> Misused:
    return Misused(
        "something else lies where the image should", where=str(out), expected=f"{wanted}, or nothing",
        found="a directory with other files" if out.is_dir() else "a file", mend=f"hardtack bake --oci {out}-image",
    )  # fmt: skip


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
