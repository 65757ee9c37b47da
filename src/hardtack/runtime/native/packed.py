"""A model's arrays as one block of memory or one file, mapped read-only: the packed format.

::

    byte   0  "hardtack native" and a line feed
    byte  16  length of the header, u32, little-endian, at most 4,076
    byte  20  header: JSON with the keys of :class:`Header`
    byte 4096 the arrays, each where :func:`~hardtack.runtime.native.shape.sections` puts it; gaps are zero

A file is believed only as far as it equals what is expected: the shape is the one that the config gives, not the
file's; its length follows from the shape; its arrays have the sha256 that the header says, or the whole file that of a
lock. So nothing in a file decides where anything is read.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardtack.errors import DiskError, Mismatch
from hardtack.runtime.native.shape import Shape, data_bytes, from_plain, sections, to_plain
from hardtack.spec.text_file import replace_whole

VERSION = 1
"""Of the format and of what is in the arrays: raised when either changes."""
MAGIC = b"hardtack native\n"
DATA = 4096
"""Where the arrays begin: a page, so that they can be mapped and lie at the edge of a cache line."""
_LENGTH = struct.Struct("<I")
_MOST_HEADER = DATA - len(MAGIC) - _LENGTH.size


@dataclass(frozen=True)
class Header:
    """What a packed file says of itself.

    Attributes:
        version: :data:`VERSION`.
        source: what it was made of: the digest of the model's files.
        shape: the model's.
        sha256: of the arrays, from byte :data:`DATA` to the end.
    """

    version: int
    source: str
    shape: Shape
    sha256: str

    def encode(self) -> bytes:
        """The first :data:`DATA` bytes of a file; :func:`read_header` makes the same header of them."""
        plain = {**self.__dict__, "shape": to_plain(self.shape)}
        text = json.dumps(plain, sort_keys=True).encode()
        return (MAGIC + _LENGTH.pack(len(text)) + text).ljust(DATA, b"\0")


class Packed:
    """A model's arrays in memory that native code may read while this lives.

    Args:
        shape: what they are.
        data: all of them, uint8, from the first array on; begins at a cache line.
    """

    def __init__(self, shape: Shape, data: NDArray[np.uint8]) -> None:
        if len(data) != data_bytes(shape) or data.ctypes.data % 64:
            raise ValueError(f"{len(data)} bytes at {data.ctypes.data:#x} are not {data_bytes(shape)} at a cache line")
        self.shape = shape
        self.data = data
        self._sections = {section.name: section for section in sections(shape)}

    def addresses(self) -> list[int]:
        """Where each array begins, in the order of the sections."""
        return [self.data.ctypes.data + section.offset for section in self._sections.values()]

    def array(self, name: str) -> NDArray[Any]:
        """One array, by its section's name."""
        section = self._sections[name]
        part = self.data[section.offset : section.offset + section.bytes]
        return part.view(section.dtype).reshape(section.shape)


def pack(shape: Shape, arrays: Iterable[tuple[str, NDArray[Any]]]) -> Packed:
    """Lay arrays out in new memory.

    Args:
        shape: the model's.
        arrays: every section's, by name, in any order.

    Raises:
        ValueError: an array is missing, comes twice or is of another shape: a mistake of whoever made them.
    """
    # an anonymous mapping begins at a page, is zero, and goes back to the kernel when it is let go
    memory = mmap.mmap(-1, data_bytes(shape))
    packed = Packed(shape, np.frombuffer(memory, np.uint8))
    due = {section.name: section for section in sections(shape)}
    for name, array in arrays:
        section = due.pop(name, None)
        if section is None or array.shape != section.shape or array.dtype != section.dtype:
            raise ValueError(f"{name} {array.dtype} {array.shape} is not {section}")
        packed.array(name)[...] = array
    if due:
        raise ValueError(f"not given: {', '.join(due)}")
    packed.data.flags.writeable = False
    return packed


def write_packed(file: Path, packed: Packed, source: str) -> None:
    """Write a packed file; it appears whole or not at all.

    Raises:
        DiskError: it cannot be written.
    """
    header = Header(VERSION, source, packed.shape, _sha256(packed.data))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(file, header.encode(), packed.data.data, mode=0o444)
    except OSError as problem:
        raise DiskError(
            "packed weights cannot be written", where=str(file), expected="a folder to write in",
            found=problem.strerror or str(problem), mend="hardtack cache",
        ) from problem  # fmt: skip


def read_packed(file: Path, shape: Shape, source: str, *, hashed: bool = True) -> Packed:
    """Map a packed file.

    Args:
        file: where it lies.
        shape: what it must hold.
        source: what it must have been made of.
        hashed: whether its arrays are held to the header's sha256.

    Raises:
        Mismatch: it is not that, not whole, or not ours: another user's, or one that others may write.
        DiskError: it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            header = read_header(file, stream.read(DATA))
            expected = Header(VERSION, source, shape, header.sha256)
            if header != expected:
                raise _broken(file, f"version {VERSION} of {source}", f"version {header.version} of {header.source}")
            if status.st_size != DATA + data_bytes(shape):
                raise _broken(file, f"{DATA + data_bytes(shape)} bytes", f"{status.st_size} bytes")
            if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
                raise _broken(file, "a file that nobody else may write", f"user {status.st_uid}, {status.st_mode:o}")
            memory = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as problem:
        raise DiskError(
            "packed weights cannot be read", where=str(file), expected="a readable file",
            found=problem.strerror or str(problem), mend=f"ls -l {file}",
        ) from problem  # fmt: skip
    data = np.frombuffer(memory, np.uint8)[DATA:]
    if hashed and (found := _sha256(data)) != header.sha256:
        raise _broken(file, f"sha256 {header.sha256}", f"sha256 {found}")
    return Packed(shape, data)


def read_mapped(file: Path, data: NDArray[np.uint8], shape: Shape, *, mend: str) -> Packed:
    """The arrays of a file that is mapped, by whoever holds its bytes to a lock: neither hash nor owner count here.

    Args:
        file: where it lies, for messages.
        data: all of it.
        shape: what it must hold.
        mend: the command that makes a right one.

    Raises:
        Mismatch: it is of another version or another shape, or not whole.
    """
    try:
        header = read_header(file, data[:DATA].tobytes())
        if header.version != VERSION:
            raise _broken(file, f"version {VERSION}", f"version {header.version}")
        if header.shape != shape:
            raise _broken(file, f"{shape}", f"{header.shape}")
        if len(data) != DATA + data_bytes(shape):
            raise _broken(file, f"{DATA + data_bytes(shape)} bytes", f"{len(data)} bytes")
    except Mismatch as problem:
        problem.mend = mend
        raise
    return Packed(shape, data[DATA:])


def read_header(file: Path, data: bytes) -> Header:
    """The header of a file's first :data:`DATA` bytes.

    Raises:
        Mismatch: they are not one.
    """
    if len(data) < DATA or not data.startswith(MAGIC):
        raise _broken(file, "packed weights", f"{len(data)} bytes that begin with {data[:16]!r}")
    (length,) = _LENGTH.unpack_from(data, len(MAGIC))
    if length > _MOST_HEADER:
        raise _broken(file, f"a header of {_MOST_HEADER} bytes at most", f"{length} bytes")
    start = len(MAGIC) + _LENGTH.size
    try:
        plain = json.loads(data[start : start + length])
    except (ValueError, RecursionError) as problem:
        raise _broken(file, "a header in JSON", str(problem)) from problem
    match plain:
        case {"version": int(version), "source": str(source), "shape": shape, "sha256": str(sha256), **others} if (
            not others
        ):
            try:
                return Header(version, source, from_plain(shape), sha256)
            except ValueError as problem:
                raise _broken(file, "a model's sizes", str(problem)) from problem
    raise _broken(file, "version, source, shape and sha256", "something else")


def _sha256(data: NDArray[np.uint8]) -> str:
    return hashlib.sha256(data.data).hexdigest()


def _broken(file: Path, expected: str, found: str) -> Mismatch:
    return Mismatch(
        "a file of packed weights is not what it should be", where=str(file), expected=expected, found=found,
        mend=f"rm {file}",
    )  # fmt: skip
