from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hardtack.runtime import steps
from hardtack.serve.waiting import Job, Row, Waiting


def queue(waiting: Waiting, *lengths: int, small: bool = True, group: object = None) -> Job:
    job = Job(small=small, left=len(lengths))
    waiting.add([Row(job, place, length, None) for place, length in enumerate(lengths)], group)
    return job


def lengths(rows: list[Row]) -> list[int]:
    return sorted(row.length for row in rows)


def test_an_empty_queue_has_no_batch() -> None:
    assert Waiting(32, 8192).take() == []


def test_it_knows_how_many_wait() -> None:
    waiting = Waiting(2, 8192)
    first = queue(waiting, 10, 10, 10)
    queue(waiting, 10)
    assert len(waiting) == 4
    waiting.take()
    assert len(waiting) == 2
    first.dropped = True
    assert len(waiting.take()) == 1
    assert len(waiting) == 0
    queue(waiting, 10)
    waiting.drain()
    assert len(waiting) == 0


def test_requests_share_a_batch() -> None:
    waiting = Waiting(32, 8192)
    jobs = [queue(waiting, 10), queue(waiting, 12), queue(waiting, 9)]
    assert {id(row.job) for row in waiting.take()} == {id(job) for job in jobs}
    assert waiting.take() == []


def test_rows_of_very_unlike_length_do_not() -> None:
    waiting = Waiting(32, 8192)
    queue(waiting, *[10] * 20, 400)
    assert lengths(waiting.take()) == [10] * 20
    assert lengths(waiting.take()) == [400]


def test_a_batch_has_so_many_rows_and_tokens_at_most() -> None:
    waiting = Waiting(4, 64)
    queue(waiting, *[16] * 6)
    queue(waiting, *[8] * 3)
    batches = [lengths(waiting.take()) for _ in range(3)]
    assert batches == [[16] * 4, [8, 8, 16, 16], [8]]


def test_a_row_longer_than_a_batch_runs_alone() -> None:
    waiting = Waiting(4, 64)
    queue(waiting, 500, 10)
    assert [lengths(waiting.take()) for _ in range(2)] == [[500], [10]]


def test_small_goes_before_bulk_and_bulk_has_its_turn() -> None:
    waiting = Waiting(1, 8192)
    bulk = queue(waiting, *[10] * 10, small=False)
    small = queue(waiting, *[10] * 10)
    order = [waiting.take()[0].job is small for _ in range(20)]
    assert order[:8] == [True, True, True, False, True, True, True, False]
    assert sum(order) == 10
    assert not any(order[-6:]), "what is left is bulk"
    assert bulk is not small


def test_bulk_fills_what_small_leaves() -> None:
    waiting = Waiting(8, 8192)
    queue(waiting, *[10] * 20, small=False)
    small = queue(waiting, 10, 10)
    batch = waiting.take()
    assert [row.job is small for row in batch] == [True, True, *[False] * 6]


def test_groups_do_not_mix() -> None:
    waiting = Waiting(32, 8192)
    queue(waiting, 10, 10, group="a")
    queue(waiting, 10, group="b")
    assert [len(waiting.take()) for _ in range(3)] == [2, 1, 0]


def test_what_was_dropped_is_passed_over() -> None:
    waiting = Waiting(32, 8192)
    gone, kept = queue(waiting, 10, 10), queue(waiting, 10)
    gone.dropped = True
    assert [row.job for row in waiting.take()] == [kept]
    assert waiting.take() == []


def test_drain_gives_all() -> None:
    waiting = Waiting(32, 8192)
    queue(waiting, 10, 300, small=False)
    queue(waiting, 20)
    assert lengths(waiting.drain()) == [10, 20, 300]
    assert waiting.take() == []


def test_what_is_over_waits_at_the_head_of_its_queue() -> None:
    waiting = Waiting(32, 8192)
    queue(waiting, *[10] * 11)
    queue(waiting, *[10] * 2)
    batches = [[row.number for row in waiting.take()] for _ in range(2)]
    assert batches == [list(range(12)), [12]]
    assert len(waiting) == 0


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from("ab"), st.lists(st.integers(1, 600), min_size=1)), max_size=12),
    st.integers(1, 40),
    st.integers(1, 4096),
)
def test_every_row_comes_just_once_in_batches_within_bounds(
    jobs: list[tuple[bool, str, list[int]]], rows: int, tokens: int
) -> None:
    waiting = Waiting(rows, tokens)
    for small, group, each in jobs:
        queue(waiting, *each, small=small, group=group)
    seen = []
    while batch := waiting.take():
        width = max(steps.up(row.length, steps.WIDTH) for row in batch)
        assert len(batch) == steps.down(len(batch))
        assert len(batch) == 1 or (len(batch) <= rows and width * len(batch) <= tokens)
        seen += [row.number for row in batch]
    assert sorted(seen) == list(range(sum(len(each) for _, _, each in jobs)))


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 600)), min_size=1, max_size=200))
def test_the_oldest_row_of_one_kind_or_the_other_is_in_every_batch(rows: list[tuple[bool, int]]) -> None:
    waiting = Waiting(8, 2048)
    for small, length in rows:
        queue(waiting, length, small=small)
    left = dict(enumerate(small for small, _ in rows))
    while batch := waiting.take():
        oldest = {min((n for n, kind in left.items() if kind is small), default=None) for small in (True, False)}
        numbers = {row.number for row in batch}
        assert oldest & numbers
        for number in numbers:
            del left[number]
    assert not left
