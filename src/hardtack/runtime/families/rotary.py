"""Rotary positions: pairs of a head's numbers turned by an angle that grows with the token's place (Su et al. 2021).

The cosines and sines are worked out once, in numpy, for every place a text may have: in a graph executed in bf16 a
place beyond 256 would already be rounded. Scalings of the angles are those of transformers' ``modeling_rope_utils.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardtack.errors import NotDrawn
from hardtack.runtime.families.config import where, whole
from hardtack.runtime.families.pieces import Node, ints, numbers, op
from hardtack.runtime.layout import Layout

Floats = NDArray[np.float32]
_BASE = 10_000.0


def rotate(x: Node, cos: Node, sin: Node, head: int) -> Node:
    """Turn ``(B, N, T, D)`` by angles ``(T, D)``: ``x·cos + [-second half, first half]·sin``."""
    first = op.slice(x, ints(0), ints(head // 2), ints(1), ints(3))
    second = op.slice(x, ints(head // 2), ints(head), ints(1), ints(3))
    turned = op.concat([op.multiply(second, numbers(-1.0)), first], 3)
    return op.add(op.multiply(x, cos), op.multiply(turned, sin))


def rotary_table(layout: Layout, head: int) -> tuple[Node, Node]:
    """Cosines and sines of every place a text of this model may have, each ``(places, head)`` float32.

    Raises:
        UnsupportedModel: a scaling of the angles that is not known, or lacks one of its numbers.
    """
    trained = whole(layout, "max_position_embeddings", 2048)
    count = layout.tokenizing.max_length or trained
    key, said = _parameters(layout)
    kind = said.get("rope_type") or said.get("type") or "default"
    if kind not in _SCALINGS or said.get("partial_rotary_factor") not in (None, 1, 1.0):
        odd = "rope_type" if kind not in _SCALINGS else "partial_rotary_factor"
        raise _unknown(layout, f"{key}.{odd}", "one of " + ", ".join(sorted(_SCALINGS)), repr(said))
    base = said.get("rope_theta") or layout.config.get("rope_theta") or _BASE
    frequencies = np.float32(base) ** -(np.arange(0, head, 2, dtype=np.float32) / np.float32(head))
    try:
        scaled = _SCALINGS[kind](frequencies, {"original_max_position_embeddings": trained, **said})
    except KeyError as missing:
        raise _unknown(layout, f"{key}.{missing.args[0]}", f"a number, for {kind}", "nothing") from None
    angles = np.arange(count, dtype=np.float32)[:, None] * scaled[None, :].astype(np.float32)
    angles = np.concatenate([angles, angles], axis=1)
    return op.constant(np.cos(angles)), op.constant(np.sin(angles))


def _parameters(layout: Layout) -> tuple[str, Mapping[str, Any]]:
    """What the config says of the angles: transformers 5 writes ``rope_parameters``, 4 wrote ``rope_scaling``."""
    for key in ("rope_parameters", "rope_scaling"):
        said = layout.config.get(key)
        if isinstance(said, dict):
            return key, said
        if said is not None:
            raise _unknown(layout, key, "a table", repr(said))
    return "rope_parameters", {}


def _as_trained(frequencies: Floats, _: Mapping[str, Any]) -> Floats:
    """No scaling. ``dynamic`` scales only beyond the trained length, to which texts are cut here."""
    return frequencies


def _linear(frequencies: Floats, said: Mapping[str, Any]) -> Floats:
    return frequencies / np.float32(said["factor"])


def _llama3(frequencies: Floats, said: Mapping[str, Any]) -> Floats:
    """Long waves are stretched, short ones left alone, those between in part (Llama 3.1)."""
    factor, low, high = said["factor"], said["low_freq_factor"], said["high_freq_factor"]
    trained = said["original_max_position_embeddings"]
    wave = 2 * math.pi / frequencies
    share = (trained / wave - low) / (high - low)
    between = (1 - share) * frequencies / factor + share * frequencies
    made = np.where(wave > trained / low, frequencies / factor, np.where(wave < trained / high, frequencies, between))
    return made.astype(np.float32)


_SCALINGS: Mapping[str, Callable[[Floats, Mapping[str, Any]], Floats]] = {
    "default": _as_trained,
    "dynamic": _as_trained,
    "linear": _linear,
    "llama3": _llama3,
}


def _unknown(layout: Layout, key: str, expected: str, found: str) -> NotDrawn:
    return NotDrawn(
        "The model's config asks for something that is not drawn here.",
        where=where(layout, key), expected=expected, found=found,
    )  # fmt: skip
