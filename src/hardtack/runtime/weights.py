"""Safetensors files, memory-mapped: where every tensor lies, checked before any of it is believed.

One copy of the weights: the arrays handed out are views of the mapped file, read-only, and stay good as long as the
:class:`Tensors` they came from lives. Headers are checked whole, as the format's own library does (every byte of the
buffer belongs to just one tensor); values are not looked at, and pickles are not opened at all.

Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardtack.errors import DiskError, Mismatch, UnsupportedModel
from hardtack.runtime.layout import Layout

LFS_POINTER = b"version https://git-lfs"
"""How the text file begins that git leaves where the large-file extension was not installed."""

_HEADER_LIMIT = 100_000_000
"""Bytes; the format's own limit for a header."""

_MEND = "hardtack pull"

_DTYPES: Mapping[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),  # numpy has no bfloat16: its bits
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
    "F8_E4M3": np.dtype("u1"),
    "F8_E5M2": np.dtype("u1"),
}


@dataclass(frozen=True)
class Stored:
    """One tensor as it is stored.

    Attributes:
        file: where.
        dtype: safetensors' name of the type: ``F32``, ``F16``, ``BF16``, …
        shape: its dimensions.
        array: the numbers, a read-only view of the mapped file; BF16 as the bits of it, uint16.
    """

    file: Path
    dtype: str
    shape: tuple[int, ...]
    array: NDArray[Any]

    def float32(self) -> NDArray[np.float32]:
        """The numbers as float32: a copy, unless they are stored so.

        Raises:
            UnsupportedModel: it is not F32, F16, BF16 or F64.
        """
        if self.dtype == "BF16":
            return (self.array.astype(np.uint32) << 16).view(np.float32)
        if self.dtype not in ("F32", "F16", "F64"):
            raise UnsupportedModel(
                "A tensor of weights is not stored as floating point numbers.",
                where=str(self.file),
                expected="F32, F16, BF16 or F64",
                found=self.dtype,
            )
        return self.array.astype(np.float32, copy=False)


class Tensors(Mapping[str, Stored]):
    """The tensors of one or several safetensors files, by name."""

    def __init__(self, files: tuple[Path, ...], stored: Mapping[str, Stored]) -> None:
        self.files = files
        self._stored = stored

    def __getitem__(self, name: str) -> Stored:
        return self._stored[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)

    @property
    def where(self) -> str:
        """The files, for messages."""
        return ", ".join(str(file) for file in self.files)


@dataclass(frozen=True)
class Graph:
    """A graph that is drawn already, with its numbers in it: a build's OpenVINO IR.

    Attributes:
        description: the bytes of ``model.xml``.
        numbers: ``model.bin``, uint8, a read-only mapping.
        precision: what it was made for, such as ``int8``.
        recipe: how it was made.
        loss: how far its answers lie from fp32, by the figures of :data:`hardtack.spec.gates.GATES`; empty where
            nobody measured it.
    """

    description: bytes
    numbers: NDArray[np.uint8]
    precision: str
    recipe: str
    loss: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Tiles:
    """Weights in the order in which the native engine reads them: a build's.

    Attributes:
        file: where they lie, for messages.
        data: all of that file, uint8, a read-only mapping.
        recipe: how it was made.
        mend: the command that makes a right one.
    """

    file: Path
    data: NDArray[np.uint8]
    recipe: str
    mend: str


@dataclass(frozen=True)
class Weights:
    """All the weights of one model.

    Attributes:
        body: those of the transformer (and its classification head), or of the static embedding.
        dense: those of each :class:`~hardtack.runtime.layout.Dense` module, in the layout's order.
        graph: instead of both, a graph that holds its own.
        tiles: instead of both, a pack for the native engine.
    """

    body: Tensors
    dense: tuple[Tensors, ...] = ()
    graph: Graph | None = None
    tiles: Tiles | None = None


def open_weights(layout: Layout) -> Weights:
    """Map every file of weights that a layout names; a graph that the repository ships is left to its engine.

    Raises:
        Mismatch: a file is not what its header says, or only a git-LFS pointer.
        DiskError: a file cannot be read.
        UnsupportedModel: a type of numbers that is not known.
    """
    return Weights(
        body=open_tensors(*(layout.directory / name for name in layout.weights if name.endswith(".safetensors"))),
        dense=tuple(open_tensors(layout.directory / dense.weights) for dense in layout.dense),
    )


def mapping_of(array: NDArray[Any]) -> mmap.mmap | None:
    """The mapped file that an array is a view of; None where it is of memory."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def mappings_of(weights: Weights, directory: Path) -> dict[str, mmap.mmap]:
    """The mapped files of safetensors, whole, by their paths in a directory."""
    return {
        str(tensor.file.relative_to(directory)): mapping
        for tensors in (weights.body, *weights.dense)
        for tensor in tensors.values()
        if (mapping := mapping_of(tensor.array)) is not None
    }


def vocabulary(layout: Layout, weights: Weights) -> int | None:
    """How many token ids a model has rows for; None where neither config nor weights say so."""
    if layout.family != "static":
        rows = layout.config.get("vocab_size")  # families hold their tables to it
        return rows if isinstance(rows, int) else None
    # model2vec's `mapping` leads several tokens to one row; `weights` has a number for each token
    per_token = ("mapping", "weights") if "mapping" in weights.body else tuple(weights.body)
    found = [weights.body[name].shape[0] for name in per_token if name in weights.body and weights.body[name].shape]
    return min(found, default=None)


def open_tensors(*files: Path) -> Tensors:
    """Map some safetensors files as one set of tensors; raises as :func:`open_weights` does."""
    stored: dict[str, Stored] = {}
    for file in files:
        for name, tensor in _read_file(file).items():
            if name in stored:
                raise Mismatch(
                    "Two files of weights hold a tensor of one name.",
                    where=str(file),
                    found=f"{name}, also in {stored[name].file.name}",
                    mend=_MEND,
                )
            stored[name] = tensor
    return Tensors(files, stored)


def _read_file(file: Path) -> dict[str, Stored]:
    data = _map(file)
    header, start = _header(file, data)
    buffer = data[start:]
    stored = {}
    reached = 0
    for name, dtype, shape, (begin, end) in sorted(_entries(file, header), key=lambda entry: entry[3]):
        # One rule for overlaps, holes and offsets outside the file: each tensor begins where the last one ended.
        if begin != reached or end < begin or end > len(buffer):
            raise _broken(file, f"{name} at bytes {reached} to at most {len(buffer)}", f"bytes {begin} to {end}")
        size = prod(shape) * _DTYPES[dtype].itemsize
        if end - begin != size:
            raise _broken(file, f"{name}: {size} bytes for {dtype} {list(shape)}", f"{end - begin} bytes")
        stored[name] = Stored(file, dtype, shape, buffer[begin:end].view(_DTYPES[dtype]).reshape(shape))
        reached = end
    if reached != len(buffer):
        raise _broken(file, f"{reached} bytes of tensors", f"{len(buffer)} bytes")
    return stored


def _map(file: Path) -> NDArray[np.uint8]:
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            beginning = stream.read(len(LFS_POINTER))
        if beginning == LFS_POINTER:
            raise Mismatch(
                "The weights are not here, only git's pointer to them.",
                where=str(file),
                expected="a safetensors file",
                found=f"a git-LFS pointer of {size} bytes",
                mend=_MEND,
            )
        if size < 8:
            raise _broken(file, "at least 8 bytes", f"{size} bytes")
        return np.memmap(file, dtype=np.uint8, mode="r")
    except OSError as error:
        raise DiskError(
            "A file of weights cannot be read.", where=str(file), found=error.strerror or str(error), mend=_MEND
        ) from error


def _header(file: Path, data: NDArray[np.uint8]) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(data[:8].tobytes(), "little")
    if length > min(_HEADER_LIMIT, len(data) - 8):
        raise _broken(file, f"a header within {len(data)} bytes", f"a header of {length} bytes")
    try:
        header = json.loads(data[8 : 8 + length].tobytes())
    except ValueError as error:
        raise _broken(file, "a header in JSON", str(error)) from error
    if not isinstance(header, dict):
        raise _broken(file, "a JSON object", type(header).__name__)
    return header, 8 + length


def _entries(file: Path, header: dict[str, Any]) -> Iterator[tuple[str, str, tuple[int, ...], tuple[int, int]]]:
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        match entry:
            case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(begin), int(end)]} if all(
                isinstance(n, int) and n >= 0 for n in shape
            ):
                if dtype not in _DTYPES:
                    raise UnsupportedModel(
                        "A type of numbers in the weights is not known.",
                        where=str(file),
                        expected=", ".join(_DTYPES),
                        found=f"{name}: {dtype}",
                    )
                yield name, dtype, tuple(shape), (begin, end)
            case _:
                raise _broken(file, f"{name}: dtype, shape and data_offsets", json.dumps(entry)[:200])


def _broken(file: Path, expected: str, found: str) -> Mismatch:
    return Mismatch(
        "A file of weights is cut short or broken.", where=str(file), expected=expected, found=found, mend=_MEND
    )
