from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hardtack.errors import UnsupportedModel
from hardtack.runtime import steps
from hardtack.runtime.batching import Budget, encoder_feed, pad, plan, run_sorted
from hardtack.runtime.engines.interface import Deliver, Feed
from hardtack.runtime.layout import Tokenizing
from hardtack.runtime.tokens import Tokenized
from tests.runtime.fakes import NumpyEngine

budgets = st.builds(
    Budget,
    rows=st.integers(1, 40),
    tokens=st.integers(1, 600),
    step=st.sampled_from([1, 8, 16]),
    window=st.integers(1, 50),
)


@given(st.lists(st.integers(0, 300), max_size=80), budgets, st.sampled_from([None, 300, 301]))
def test_every_row_once_and_the_budget_kept(lengths: list[int], budget: Budget, longest: int | None) -> None:
    batches = plan(lengths, budget, longest)
    assert sorted(row for batch in batches for row in batch.rows) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch.rows) <= budget.rows
        assert len(batch.rows) == 1 or len(batch.rows) * batch.width <= budget.tokens
        most = max(lengths[row] for row in batch.rows)
        assert max(1, most) <= batch.width <= steps.up(max(1, most), budget.step)
        assert batch.width >= 1
        assert longest is None or batch.width <= longest


def test_the_longest_come_first_and_equals_keep_their_order() -> None:
    batches = plan([1, 9, 1, 20], Budget(rows=2, tokens=1000, step=8))
    assert [batch.rows for batch in batches] == [(3, 1), (0, 2)]
    assert [batch.width for batch in batches] == [24, 8]


def test_a_length_is_never_rounded_past_the_last_position() -> None:
    (batch,) = plan([10, 9], Budget(step=8), longest=12)
    assert batch.width == 12


def test_a_text_alone_is_padded_less() -> None:
    (alone,), (together,) = plan([10], Budget()), plan([10, 9], Budget())
    assert (alone.width, together.width) == (12, 16)


def test_padding_goes_where_it_belongs() -> None:
    rows = [np.array([5, 6]), np.array([7])]
    assert pad(rows, 3, 9, left=False).tolist() == [[5, 6, 9], [7, 9, 9]]
    assert pad(rows, 3, 9, left=True).tolist() == [[9, 5, 6], [9, 9, 7]]


def test_a_feed_has_types_only_where_the_model_takes_them() -> None:
    text = Tokenized(np.array([4, 5]), np.array([0, 1]))
    tokenizing = Tokenizing("tokenizer.json", 8, pad_id=9, pad_type_id=3)
    feed = encoder_feed(("input_ids", "attention_mask", "token_type_ids"), tokenizing)([text], 3)
    assert {name: rows.tolist() for name, rows in feed.items()} == {
        "input_ids": [[4, 5, 9]],
        "attention_mask": [[1, 1, 0]],
        "token_type_ids": [[0, 1, 3]],
    }
    assert all(rows.dtype == np.int64 for rows in feed.values())
    assert "token_type_ids" not in encoder_feed(("input_ids", "attention_mask"), tokenizing)([text], 2)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(0, 3), st.booleans(), st.integers(0, 4))
def test_a_feed_is_what_its_texts_are(lengths: list[int], wider: int, left: bool, prompt: int) -> None:
    width = max(1, *lengths) + wider
    texts = [Tokenized(np.arange(n) + 10 * n, np.arange(n) % 2) for n in lengths]
    tokenizing = Tokenizing("tokenizer.json", None, pad_id=9, pad_type_id=3, pad_left=left)
    inputs = ("input_ids", "attention_mask", "token_type_ids", "pooling_mask")
    feed = encoder_feed(inputs, tokenizing, prompt=prompt)(texts, width)

    def beside(row: list[int], fill: int) -> list[int]:
        padding = [fill] * (width - len(row))
        return [*padding, *row] if left else [*row, *padding]

    assert {name: rows.tolist() for name, rows in feed.items()} == {
        "input_ids": [beside(text.ids.tolist(), 9) for text in texts],
        "attention_mask": [beside([1] * n, 0) for n in lengths],
        "token_type_ids": [beside(text.types.tolist(), 3) for text in texts],
        "pooling_mask": [beside([int(number >= prompt) for number in range(n)], 0) for n in lengths],
    }
    assert all(rows.dtype == np.int64 and rows.flags.c_contiguous for rows in feed.values())


def first_ids(feed: Feed) -> NDArray[np.float32]:
    ids: NDArray[np.float32] = feed["input_ids"][:, :1].astype(np.float32)
    return ids


def run(lengths: Sequence[int], budget: Budget, engine: NumpyEngine, **more: object) -> NDArray[np.float32]:
    tokenizing = Tokenizing("tokenizer.json", None, pad_id=0)

    def tokenize(numbers: Sequence[int]) -> list[Tokenized]:
        assert len(numbers) <= budget.window
        return [Tokenized(np.full(lengths[n], n + 1), np.zeros(lengths[n], np.int64)) for n in numbers]

    return run_sorted(
        engine, lengths, tokenize, encoder_feed(engine.info.inputs, tokenizing), engine.info.width,
        budget=budget, **more,  # type: ignore[arg-type]
    )  # fmt: skip


@given(st.lists(st.integers(1, 60), max_size=60), budgets)
def test_rows_come_back_in_the_order_of_the_input(lengths: list[int], budget: Budget) -> None:
    rows = run(lengths, budget, NumpyEngine(1, first_ids))
    assert rows.dtype == np.float32
    assert rows[:, 0].tolist() == [n + 1 for n in range(len(lengths))]


def test_progress_ends_at_the_whole() -> None:
    told: list[tuple[int, int]] = []
    run([3, 2, 1, 5], Budget(rows=1), NumpyEngine(1, first_ids), progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_tokenizing_is_lazy() -> None:
    asked: list[int] = []

    class OneAtATime(NumpyEngine):
        def run(self, feeds: Iterable[Feed], deliver: Deliver) -> None:
            next(iter(feeds))
            assert asked == [2]
            raise KeyboardInterrupt

    def tokenize(numbers: Sequence[int]) -> list[Tokenized]:
        asked.append(len(numbers))
        return [Tokenized(np.array([1]), np.array([0])) for _ in numbers]

    engine = OneAtATime(1, first_ids)
    with pytest.raises(KeyboardInterrupt):
        run_sorted(
            engine, [1] * 10, tokenize, encoder_feed(engine.info.inputs, Tokenizing("t", None, 0)), 1,
            budget=Budget(rows=1, window=2),
        )  # fmt: skip


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_answer_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(UnsupportedModel):
        run([1, 1], Budget(), NumpyEngine(1, lambda feed: np.full((2, 1), bad, np.float32)))


def test_an_engine_that_gives_too_little_is_found_out() -> None:
    with pytest.raises(ValueError, match="gave"):
        run([1, 1], Budget(), NumpyEngine(1, lambda feed: np.zeros((1, 1), np.float32)))

    class Silent(NumpyEngine):
        def run(self, feeds: Iterable[Feed], deliver: Deliver) -> None:
            list(feeds)

    with pytest.raises(ValueError, match="answered 0 of 2"):
        run([1, 1], Budget(), Silent(1, first_ids))
