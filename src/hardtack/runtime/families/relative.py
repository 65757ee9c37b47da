"""T5's relative attention bias, which MPNet shares: a learned number per head and per bucket of distances.

The buckets are worked out once, in numpy, for every distance that has a bucket of its own; the graph then only looks
distances up. Beyond ``farthest`` all distances share one bucket (Raffel et al. 2020, section 2.1).
"""

from __future__ import annotations

import numpy as np

from hardtack.runtime.families.buckets import bucket
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
