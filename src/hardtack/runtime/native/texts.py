"""A padded feed as texts without padding, and what each token counts when they are pooled.

Everything that native code will use as an index is looked at here: ids, positions, types and lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardtack.errors import UnsupportedModel
from hardtack.runtime.engines.interface import Feed
from hardtack.runtime.layout import Layout
from hardtack.runtime.native.shape import Shape
from hardtack.spec.words import Pooling, Task

_MPNET_PAD = 1
"""Written into transformers' code, whatever the config says."""
_MOST_TOKENS = 1 << 24
"""Of one feed; far beyond what is ever run at once, and small enough for native code to count in 32 bits."""

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Texts:
    """Some texts, their tokens one after the other.

    Attributes:
        lengths: tokens of each text, ``(B,)`` int32.
        ids, positions, types: of each token, ``(T,)`` int32.
        weights: what each token counts in pooling, ``(T,)`` float32.
    """

    lengths: Ints
    ids: Ints
    positions: Ints
    types: Ints
    weights: Floats


def texts_of(feed: Feed, layout: Layout, shape: Shape) -> Texts:
    """Take the padding out of a feed.

    Raises:
        UnsupportedModel: an id, position or type for which the model has no row, or more tokens than can be counted.
    """
    mask = feed["attention_mask"] != 0
    ids = feed["input_ids"]
    types = feed["token_type_ids"] if shape.types else np.zeros_like(ids)
    made = {
        "input_ids": (ids[mask], shape.vocabulary),
        "positions": (_positions(ids, layout)[mask], shape.positions),
        "token_type_ids": (types[mask], max(shape.types, 1)),
    }
    for name, (values, rows) in made.items():
        _check(name, values, rows)
    if mask.sum() > _MOST_TOKENS:
        raise _refused("attention_mask", f"{_MOST_TOKENS} tokens at most", f"{mask.sum()}")
    ids_, positions, types_ = (np.ascontiguousarray(values, np.int32) for values, _ in made.values())
    weights = np.ascontiguousarray(_weights(mask, feed, layout)[mask], np.float32)
    return Texts(np.ascontiguousarray(mask.sum(1), np.int32), ids_, positions, types_, weights)


def _positions(ids: NDArray[np.int64], layout: Layout) -> NDArray[np.int64]:
    if layout.family == "bert":
        return np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
    # only what is not padding counts, wherever it stands, and counting begins after the padding's id
    pad = _MPNET_PAD if layout.family == "mpnet" else layout.config.get("pad_token_id", 1)
    real = ids != pad
    counted: NDArray[np.int64] = np.cumsum(real, axis=1) * real + pad
    return counted


def _weights(mask: NDArray[np.bool_], feed: Feed, layout: Layout) -> Floats:
    """What each token counts, ``(B, T)``, as :func:`hardtack.runtime.families.heads.pool` has it."""
    counts: Floats = feed.get("pooling_mask", mask).astype(np.float32)
    place: Floats = np.cumsum(counts, axis=1) * counts
    total: Floats = np.maximum(counts.sum(1, keepdims=True), np.float32(1e-9))
    weights: NDArray[Any] = counts  # of the greatest: whether a token counts at all
    match Pooling.CLS if layout.task is not Task.EMBED else layout.pooling:
        case Pooling.CLS:
            weights = place == 1
        case Pooling.LASTTOKEN:
            weights = place == total
        case Pooling.MEAN:
            weights = counts / total
        case Pooling.MEAN_SQRT_LEN:
            weights = counts / np.sqrt(total)
        case Pooling.WEIGHTED_MEAN:
            weights = np.cumsum(mask, axis=1, dtype=np.float32) * counts
            weights = weights / np.maximum(weights.sum(1, keepdims=True), np.float32(1e-9))
    return weights.astype(np.float32)


def _check(name: str, values: NDArray[np.int64], rows: int) -> None:
    if values.size and not (values.min() >= 0 and values.max() < rows):
        raise _refused(name, f"from 0 to {rows - 1}", f"from {values.min()} to {values.max()}")


def _refused(name: str, expected: str, found: str) -> UnsupportedModel:
    return UnsupportedModel(
        "A batch asks for rows that the model does not have.", where=name, expected=expected, found=found,
        mend="hardtack verify",
    )  # fmt: skip
