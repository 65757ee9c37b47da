"""The sizes of an encoder, and where each of its arrays lies in a packed file: one follows from the other.

Because offsets are worked out from the sizes and never read from anywhere, a file of the right length can be broken
only in its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

PANEL = 32
"""Features of a tile's line in bf16: everything that tiles multiply is padded to a multiple of it."""
LANES = 16
"""Features of a vector of f32: a model's own size must be a multiple of it."""
LINE = 64
"""Bytes; every array begins at a multiple of it."""
MOST_DENSE = 4
"""Layers of a head, at most: HARDTACK_DENSE_MOST in native/abi.h."""

ACTIVATIONS = {"gelu_erf": 0, "gelu_tanh": 1}
POOLINGS = {"sum": 0, "greatest": 1}
SQUASHES = {"identity": 0, "tanh": 1}

_BF16, _F32 = np.dtype("<u2"), np.dtype("<f4")


@dataclass(frozen=True)
class DenseShape:
    """One layer of a head, in float32.

    Attributes:
        inputs, outputs: its sizes.
        squash: ``identity`` or ``tanh``.
    """

    inputs: int
    outputs: int
    squash: str


@dataclass(frozen=True)
class Shape:
    """An encoder with its head.

    Attributes:
        size: features of a token, a multiple of 16.
        heads: of attention.
        head_size: features of each of a head's queries, keys and values.
        inner: features of the feed-forward part.
        layers: how many.
        vocabulary, positions: rows of those tables.
        types: rows of the table of token types; 0: there is none, or it is added to the positions already.
        activation: a key of :data:`ACTIVATIONS`.
        relative: whether scores have a bias by distance (MPNet).
        pooling: a key of :data:`POOLINGS`.
        unit: whether the answer is brought to length one.
        epsilon: of the normalisations.
        dense: layers of the head after pooling.
    """

    size: int
    heads: int
    head_size: int
    inner: int
    layers: int
    vocabulary: int
    positions: int
    types: int
    activation: str
    relative: bool
    pooling: str
    unit: bool
    epsilon: float
    dense: tuple[DenseShape, ...] = ()

    @property
    def width(self) -> int:
        """Columns of the answer."""
        return self.dense[-1].outputs if self.dense else self.size

    @property
    def head_panels(self) -> int:
        """Panels of 32 features for a head's queries."""
        return -(-self.head_size // PANEL)

    @property
    def mixed(self) -> int:
        """Features of all heads together, each padded to whole panels."""
        return self.heads * self.head_panels * PANEL

    def problem(self) -> str | None:
        """What is wrong with these sizes; None: native code may be given them."""
        for name, least, most in _BOUNDS:
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                return f"{name} {value!r} is not from {least} to {most}"
        if self.size % LANES:
            return f"size {self.size} is not a multiple of {LANES}"
        for name, known in (("activation", ACTIVATIONS), ("pooling", POOLINGS)):
            if getattr(self, name) not in known:
                return f"{name} {getattr(self, name)!r} is not one of {', '.join(known)}"
        if {type(self.relative), type(self.unit)} != {bool}:
            return "relative and unit are true or false"
        if type(self.epsilon) is not float or not 0 <= self.epsilon < 1:
            return f"epsilon {self.epsilon!r} is not from 0 to 1"
        return self._problem_of_head()

    def _problem_of_head(self) -> str | None:
        if len(self.dense) > MOST_DENSE:
            return f"a head of {len(self.dense)} layers, {MOST_DENSE} at most"
        reached = self.size
        for layer in self.dense:
            if layer.inputs != reached or type(layer.outputs) is not int or not 1 <= layer.outputs <= _MOST_FEATURES:
                return f"a layer of the head from {layer.inputs!r} to {layer.outputs!r} features after {reached}"
            if layer.squash not in SQUASHES:
                return f"squash {layer.squash!r} is not one of {', '.join(SQUASHES)}"
            reached = layer.outputs
        return None


_MOST_FEATURES = 1 << 16
_BOUNDS = (
    ("size", LANES, 1 << 13), ("heads", 1, 1 << 8), ("head_size", 1, 1 << 8), ("inner", 1, _MOST_FEATURES),
    ("layers", 1, 1 << 8), ("vocabulary", 1, 1 << 22), ("positions", 1, _MOST_FEATURES), ("types", 0, 1 << 10),
)  # fmt: skip
"""Field, least, most: far beyond any encoder, and small enough that no product of them overflows in native code."""


@dataclass(frozen=True)
class Section:
    """One array of a packed file.

    Attributes:
        name: what it is, ``layer.3.up.tiles``.
        dtype: of its numbers; bf16 is uint16.
        shape: its dimensions.
        offset: bytes from where the arrays begin; a multiple of 64.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int

    @property
    def bytes(self) -> int:
        """Its length."""
        return math.prod(self.shape) * self.dtype.itemsize


def padded(size: int, to: int = PANEL) -> int:
    """The next multiple."""
    return -(-size // to) * to


def sections(shape: Shape) -> tuple[Section, ...]:
    """All arrays of a model, in the order in which ``hardtack_open`` wants them."""
    made, offset = [], 0
    for name, dtype, dimensions in _arrays(shape):
        section = Section(name, dtype, dimensions, offset)
        made.append(section)
        offset = padded(offset + section.bytes, LINE)
    return tuple(made)


def data_bytes(shape: Shape) -> int:
    """The length of all arrays together."""
    last = sections(shape)[-1]
    return padded(last.offset + last.bytes, LINE)


def _arrays(shape: Shape) -> Iterator[tuple[str, np.dtype[Any], tuple[int, ...]]]:
    size, inner, mixed = padded(shape.size), padded(shape.inner), shape.mixed
    yield "words", _BF16, (shape.vocabulary, shape.size)
    yield "positions", _BF16, (shape.positions, shape.size)
    yield "types", _BF16, (shape.types, shape.size)
    yield "relative", _F32, (shape.heads if shape.relative else 0, 2 * shape.positions + 64)
    yield from _norm("embedded", size)
    for number in range(shape.layers):
        layer = f"layer.{number}."
        yield from _linear(f"{layer}qkv", size, 3 * mixed)
        yield from _linear(f"{layer}out", mixed, size)
        yield from _norm(f"{layer}after_attention", size)
        yield from _linear(f"{layer}up", size, inner)
        yield from _linear(f"{layer}down", inner, size)
        yield from _norm(f"{layer}after_inner", size)
    for number, dense in enumerate(shape.dense):
        yield f"dense.{number}.rows", _F32, (dense.outputs, padded(dense.inputs, LANES))
        yield f"dense.{number}.bias", _F32, (dense.outputs,)


def _linear(name: str, inputs: int, outputs: int) -> Iterator[tuple[str, np.dtype[Any], tuple[int, ...]]]:
    yield f"{name}.tiles", _BF16, (outputs // PANEL, inputs // PANEL, 2, 16, 16, 2)
    yield f"{name}.bias", _F32, (outputs,)


def _norm(name: str, size: int) -> Iterator[tuple[str, np.dtype[Any], tuple[int, ...]]]:
    yield f"{name}.scale", _F32, (size,)
    yield f"{name}.shift", _F32, (size,)


def to_plain(shape: Shape) -> dict[str, Any]:
    """A shape as JSON has it; :func:`from_plain` makes the same shape of it again."""
    return asdict(shape)


def from_plain(plain: object) -> Shape:
    """A shape of what JSON had.

    Raises:
        ValueError: it is not one, or :meth:`Shape.problem` finds something.
    """
    names = {field.name for field in fields(Shape)}
    if not isinstance(plain, dict) or set(plain) != names or not isinstance(plain["dense"], list | tuple):
        raise ValueError(f"not the fields of a shape: {', '.join(sorted(names))}")
    try:
        shape = Shape(**{**plain, "dense": tuple(DenseShape(**layer) for layer in plain["dense"])})
    except TypeError as problem:
        raise ValueError(str(problem)) from problem
    if problem_of := shape.problem():
        raise ValueError(problem_of)
    return shape
