"""Numbers as tiles take them: bf16 by its bits, and matrices in the order in which they are loaded.

The weights of a product of K inputs and N outputs, as ``torch.nn.Linear`` keeps them ``(N, K)``, become

    [block of 32 outputs][block of 32 inputs][half][pair][output][2]

Two tiles of 1 KB for each 32 × 32 of them, one for each 16 outputs; a line of a tile is one pair of inputs for 16
outputs (drawn in ``native/tile.h``). Every value that comes in must be finite, and finite as bf16.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardtack.runtime.native.shape import PANEL

Floats = NDArray[np.float32]
Bits = NDArray[np.uint16]

_AT_ONCE = 1 << 15
"""Numbers that are rounded at once: few enough for all steps of it to stay in a cache."""


def to_bf16(values: Floats) -> Bits:
    """The bits of bf16, to nearest and ties to even; what is below its normal numbers becomes 0, as in hardware.

    Values that are not finite must have been refused before.
    """
    bits = np.ascontiguousarray(values, np.float32).reshape(-1).view(np.uint32)
    made = np.empty(bits.size, np.uint16)
    for start in range(0, bits.size, _AT_ONCE):
        part = bits[start : start + _AT_ONCE]
        upper = part >> 16
        rounded = (part + (upper & 1) + np.uint32(0x7FFF)) >> 16
        tiny = (part & np.uint32(0x7F800000)) == 0
        made[start : start + _AT_ONCE] = np.where(tiny, upper & 0x8000, rounded)
    return made.reshape(np.shape(values))


def from_bf16(bits: Bits) -> Floats:
    """The numbers that bits stand for, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def to_tiles(weight: Floats) -> Bits:
    """A matrix ``(outputs, inputs)`` in tile order, padded with zeros: ``(outputs/32, inputs/32, 2, 16, 16, 2)``."""
    outputs, inputs = (-(-size // PANEL) for size in weight.shape)
    whole = np.zeros((outputs * PANEL, inputs * PANEL), np.uint16)
    whole[: weight.shape[0], : weight.shape[1]] = to_bf16(weight)
    # outputs: block, half, 16; inputs: block, pair, 2
    parts = whole.reshape(outputs, 2, 16, inputs, 16, 2)
    return np.ascontiguousarray(parts.transpose(0, 3, 1, 4, 2, 5))


def from_tiles(tiles: Bits) -> Floats:
    """The padded matrix ``(outputs, inputs)`` that :func:`to_tiles` was given, as bf16 rounded it."""
    outputs, inputs = tiles.shape[0] * PANEL, tiles.shape[1] * PANEL
    return from_bf16(np.ascontiguousarray(tiles.transpose(0, 2, 4, 1, 3, 5)).reshape(outputs, inputs))


@dataclass(frozen=True)
class Tiler:
    """Who puts numbers into tile order: numpy, or the library, which is ten times as fast and gives the same.

    Attributes:
        round: :func:`to_bf16`.
        tiles: :func:`to_tiles`.
    """

    round: Callable[[Floats], Bits]
    tiles: Callable[[Floats], Bits]


NUMPY = Tiler(to_bf16, to_tiles)


def spread_heads(matrix: NDArray[Any], heads: int, padded: int, axis: int) -> NDArray[Any]:
    """Pads each head's features along ``axis`` with zeros, from ``heads · d`` to ``heads · padded``."""
    before, after = matrix.shape[:axis], matrix.shape[axis + 1 :]
    size = matrix.shape[axis] // heads
    made = np.zeros((*before, heads, padded, *after), matrix.dtype)
    here = (slice(None),) * axis
    made[(*here, slice(None), slice(size))] = matrix.reshape(*before, heads, size, *after)
    return made.reshape(*before, heads * padded, *after)
