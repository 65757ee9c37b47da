"""The sizes that batches come in: few of them, since an engine keeps some 0.5 MB for every shape that it has run.

Eight sizes to an octave: 1 to 8, 10 … 16, 20 … 32, 40 … 64, and so on, or multiples of those. So rounding adds or takes
an eighth at most, and up to 32 rows of up to 256 tokens come in 170 shapes instead of 370.
"""

from __future__ import annotations

WIDTH = 8
"""Texts that run together are padded to multiples of so many tokens at least."""
LONE = 4
"""A text that runs alone, to multiples of so many: it is answered 6–10 % sooner (docs/performance-notes.md), and one
row makes but a few shapes more. Of more rows they would be a third more, and memory would take minutes to be flat."""


def up(size: int, finest: int = 1) -> int:
    """The least of the sizes, multiples of ``finest``, that is no less than ``size``."""
    step = _step(size, finest)
    return -(-size // step) * step


def down(size: int, finest: int = 1) -> int:
    """The greatest of the sizes, multiples of ``finest``, that is no more than ``size``."""
    step = _step(size, finest)
    return size // step * step


def _step(size: int, finest: int) -> int:
    step = finest
    while size > 8 * step:
        step *= 2
    return step
