from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hardtack.runtime import steps


def test_the_sizes() -> None:
    sizes = sorted({steps.down(size) for size in range(1, 33)})
    assert sizes == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32]
    assert sorted({steps.up(size, 8) for size in range(1, 161)}) == [*range(8, 65, 8), *range(80, 129, 16), 160]


@given(st.integers(1, 100_000), st.sampled_from([1, 8, 16]))
def test_rounded_by_an_eighth_at_most_and_only_once(size: int, finest: int) -> None:
    below, above = steps.down(size, finest), steps.up(size, finest)
    assert below <= size <= above
    assert above - below <= max(finest, size / 4)
    assert above - size < max(finest, size / 8 * 2)
    assert steps.up(above, finest) == above
    assert steps.down(below, finest) == below
