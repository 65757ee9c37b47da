"""T5's relative attention bias, which MPNet shares: a learned number per head and per bucket of distances.

The buckets are worked out once, in numpy, for every distance that has a bucket of its own; the graph then only looks
distances up. Beyond ``farthest`` all distances share one bucket (Raffel et al. 2020, section 2.1).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hardtack.runtime.families.pieces import Constants, Node, ints, op, places


def bias_table(constants: Constants, name: str, buckets: int, heads: int, farthest: int, *, both_ways: bool) -> Node:
    """One row per distance from ``-farthest`` to ``farthest``: ``(2·farthest + 1, heads)``, float32."""
    constants(name, buckets, heads)  # for its check of the shape
    learned = constants.tensors[constants.prefix + name].float32()
    return op.constant(learned[bucket(np.arange(-farthest, farthest + 1), buckets, farthest, both_ways=both_ways)])


def look_up(table: Node, ids: Node, farthest: int) -> Node:
    """The bias of every pair of positions of ``ids (B, T)``: ``(1, heads, T, T)``; the distance is key - query."""
    place = places(ids)
    distance = op.subtract(op.unsqueeze(place, ints(0)), op.unsqueeze(place, ints(1)))
    row = op.add(op.clamp(distance, -farthest, farthest), ints(farthest))
    return op.unsqueeze(op.transpose(op.gather(table, row, ints(0)), ints(2, 0, 1)), ints(0))


def bucket(distance: NDArray[np.int64], buckets: int, farthest: int, *, both_ways: bool) -> NDArray[np.int64]:
    """The bucket of each distance, as ``T5Attention._relative_position_bucket`` of transformers has it.

    Args:
        distance: position of the key minus position of the query.
        buckets: how many there are.
        farthest: the distance from which on there is only the last bucket.
        both_ways: keys after the query have buckets of their own (encoders); else they count as distance 0 (decoders).
    """
    if both_ways:
        buckets //= 2
        first = np.where(distance > 0, buckets, 0)
        distance = np.abs(distance)
    else:
        first = np.zeros_like(distance)
        distance = np.maximum(-distance, 0)
    exact = buckets // 2
    # In float32, as torch does it: in float64 a distance on the border of two buckets can fall into the other one.
    ratio = np.log(np.maximum(distance, 1).astype(np.float32) / np.float32(exact)) / np.float32(
        math.log(farthest / exact)
    )
    coarse = exact + (ratio * np.float32(buckets - exact)).astype(np.int64)
    return first + np.where(distance < exact, distance, np.minimum(coarse, buckets - 1))
