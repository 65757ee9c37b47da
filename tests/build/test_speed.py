from __future__ import annotations

from hardtack.build.speed import race


class Clock:
    """Stands still but for what the runners take."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order = ""

    def runner(self, name: str, *seconds: float) -> object:
        left = list(seconds)

        def run() -> None:
            self.now += left.pop(0) if len(left) > 1 else left[0]
            self.order += name

        return run

    def __call__(self) -> float:
        return self.now


def test_they_take_turns_and_the_first_turn_does_not_count() -> None:
    clock = Clock()
    a, b = clock.runner("a", 9, 1, 1, 7, 1, 1), clock.runner("b", 9, 2)
    assert race({"a": a, "b": b}, clock=clock) == {"a": 1, "b": 2}  # type: ignore[dict-item]
    assert clock.order == "ab" * 6


def test_slow_ones_run_twice_and_no_more() -> None:
    clock = Clock()
    assert race({"a": clock.runner("a", 60)}, clock=clock) == {"a": 60}  # type: ignore[dict-item]
    assert clock.order == "aaa"
