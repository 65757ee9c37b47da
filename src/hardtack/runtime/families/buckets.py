"""The buckets of T5's relative attention bias, which MPNet shares; plain numpy, for whoever draws or packs.

Distances up to a border have a bucket each, farther ones share buckets by their logarithm, and beyond ``farthest`` all
share one (Raffel et al. 2020, section 2.1).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


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
