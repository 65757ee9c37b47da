"""Which texts run together, and how their rows come back in order.

Texts of like length share a batch, so that little is padding; a batch has a greatest number of rows and of tokens,
padding counted, so that memory has a bound; lengths are rounded up (:mod:`.steps`), as each new shape costs an engine
6–50 ms the first time, and memory for good. Texts are tokenized a window at a time, while the engine runs what came
before.

Knows no tokenizer, no engine and no task: what is run is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from hardtack.errors import Misused, UnsupportedModel
from hardtack.runtime import steps
from hardtack.runtime.engines.interface import Engine, Feed
from hardtack.runtime.layout import Tokenizing
from hardtack.runtime.tokens import Ids, Tokenized

Progress = Callable[[int, int], None]
"""Called as rows come in with how many are done and how many there are."""

FeedOf = Callable[[Sequence[Tokenized], int], Feed]
"""Makes a feed of some tokenized texts and the length they are padded to."""


@dataclass(frozen=True)
class Budget:
    """How much runs at once.

    Attributes:
        rows: texts in a batch at most.
        tokens: tokens in a batch at most, padding counted.
        alone: tokens of one text at most, None: any; attention takes memory by their square, and what does not fit
            ends the process.
        step: of the shortest lengths; they are rounded up to one of :mod:`.steps`.
        window: texts that are tokenized together.
    """

    rows: int = 32
    # 1,024 × 1,536 numbers of a feed-forward part still lie in a CPU's caches: a batch of MiniLM's cost 29 % more at
    # 8,192 (docs/performance-notes.md)
    tokens: int = 1024
    alone: int | None = 8192
    step: int = steps.WIDTH
    window: int = 1024

    def of_rows(self, rows: int) -> Budget:
        """This, with another greatest number of rows."""
        return self if rows == self.rows else replace(self, rows=rows)


@dataclass(frozen=True)
class Batch:
    """Some rows that run together: their numbers in the input, and the length they are padded to."""

    rows: tuple[int, ...]
    width: int


def plan(lengths: Sequence[int], budget: Budget, longest: int | None = None) -> list[Batch]:
    """Share rows out among batches, the longest first: what does not fit in memory then fails at once.

    Every row is in just one batch. A batch's width is its longest row rounded up, that of a row alone in finer steps,
    but never rounded past ``longest``, for which a model may have no position.

    Args:
        lengths: tokens of each row.
        budget: what a batch may hold.
        longest: the model's greatest length, or None.
    """
    batches: list[Batch] = []
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    finest = budget.step if len(order) > 1 else min(budget.step, steps.LONE)
    start = 0
    while start < len(order):
        length = max(1, lengths[order[start]])
        width = steps.up(length, finest)
        if longest is not None:
            width = max(length, min(width, longest))
        size = max(1, min(budget.rows, budget.tokens // width))
        batches.append(Batch(tuple(order[start : start + size]), width))
        start += size
    return batches


def pad(rows: Sequence[Ids], width: int, fill: int, *, left: bool) -> Ids:
    """Rows of ids as one ``(B, width)`` int64 array."""
    return _padded(rows, _numbered([len(row) for row in rows], width, left=left) >= 0, fill)


def _numbered(lengths: Sequence[int], width: int, *, left: bool) -> Ids:
    """For every place in a batch the number of its token in its text, -1 where it is padding: ``(B, width)``."""
    ends = np.asarray(lengths, np.int64)[:, None]
    numbers = np.arange(width) - (width - ends if left else 0)
    return np.where(numbers < ends, np.maximum(numbers, -1), -1)


def _padded(rows: Sequence[Ids], places: NDArray[np.bool_], fill: int) -> Ids:
    padded = np.full(places.shape, fill, dtype=np.int64)
    padded[places] = np.concatenate(rows)
    return padded


def encoder_feed(inputs: Sequence[str], tokenizing: Tokenizing, *, prompt: int = 0) -> FeedOf:
    """A maker of feeds for an encoder that has these inputs, of those that :mod:`.engines.interface` names.

    ``prompt`` is how many tokens at the beginning of each text are not pooled, where the model makes that difference.
    """

    def feed(texts: Sequence[Tokenized], width: int) -> Feed:
        # for all texts at once: other threads wait for the interpreter meanwhile
        numbers = _numbered([len(text) for text in texts], width, left=tokenizing.pad_left)
        places = numbers >= 0
        made = {
            "input_ids": _padded([text.ids for text in texts], places, tokenizing.pad_id),
            "attention_mask": places.astype(np.int64),
        }
        if "pooling_mask" in inputs:
            made["pooling_mask"] = (numbers >= prompt).astype(np.int64)
        if "token_type_ids" in inputs:
            made["token_type_ids"] = _padded([text.types for text in texts], places, tokenizing.pad_type_id)
        return made

    return feed


def run_tokens(
    engine: Engine, tokenized: Sequence[Tokenized], feed_of: FeedOf, *, budget: Budget, longest: int | None, left: bool
) -> list[NDArray[np.float32]]:
    """Run every text and return its tokens' vectors, ``(tokens, width)`` float32 each, in the order of the input.

    Args:
        engine: what runs the batches, unpooled.
        tokenized: the texts.
        feed_of: makes the feed of a batch.
        budget: how much runs at once.
        longest: the model's greatest length, or None.
        left: padding is left of the text.

    Raises:
        Misused, UnsupportedModel: as :func:`run_sorted`.
    """
    answers = [np.empty((len(text), engine.info.width), dtype=np.float32) for text in tokenized]

    def keep(places: list[int], rows: NDArray[np.float32]) -> None:
        for place, row in zip(places, rows, strict=True):
            length = len(answers[place])
            answers[place][:] = row[len(row) - length :] if left else row[:length]

    sizes = [len(text) for text in tokenized]
    _run(engine, sizes, lambda numbers: [tokenized[n] for n in numbers], feed_of, keep, budget, longest, None)
    return answers


def run_sorted(
    engine: Engine,
    sizes: Sequence[int],
    tokenize: Callable[[Sequence[int]], Sequence[Tokenized]],
    feed_of: FeedOf,
    width: int,
    *,
    budget: Budget,
    longest: int | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Run every input and return one row each, ``(n, width)`` float32, in the order of the input.

    Args:
        engine: what runs the batches.
        sizes: how long each input roughly is, in characters; decides only what is tokenized together.
        tokenize: takes numbers of inputs, gives their tokens.
        feed_of: makes the feed of a batch.
        width: columns of the answer.
        budget: how much runs at once.
        longest: the model's greatest length, or None.
        progress: told of rows that are done, from whichever thread they come in on, one call at a time.

    Raises:
        Misused: a text is longer than the budget allows.
        UnsupportedModel: the answer is not finite: such vectors would poison an index without a word.
    """
    answer = np.empty((len(sizes), width), dtype=np.float32)

    def keep(places: list[int], rows: NDArray[np.float32]) -> None:
        if rows.shape != (len(places), width):
            raise ValueError(f"the engine gave {rows.shape} where {(len(places), width)} was due")
        answer[places] = rows

    _run(engine, sizes, tokenize, feed_of, keep, budget, longest, progress)
    return answer


def _run(
    engine: Engine,
    sizes: Sequence[int],
    tokenize: Callable[[Sequence[int]], Sequence[Tokenized]],
    feed_of: FeedOf,
    keep: Callable[[list[int], NDArray[np.float32]], None],
    budget: Budget,
    longest: int | None,
    progress: Progress | None,
) -> None:
    """Run every input; ``keep`` has the numbers of a batch's inputs and its rows, one batch at a time."""
    under_way: dict[int, list[int]] = {}
    one_at_a_time = Lock()
    done = 0

    def feeds() -> Iterator[Feed]:
        order = sorted(range(len(sizes)), key=lambda row: -sizes[row])
        number = count()
        for start in range(0, len(order), budget.window):
            numbers = order[start : start + budget.window]
            tokenized = tokenize(numbers)
            _check_lengths(numbers, tokenized, budget.alone)
            for batch in plan([len(text) for text in tokenized], budget, longest):
                under_way[next(number)] = [numbers[row] for row in batch.rows]
                yield feed_of([tokenized[row] for row in batch.rows], batch.width)

    def deliver(number: int, rows: NDArray[np.float32]) -> None:
        nonlocal done
        with one_at_a_time:
            places = under_way.pop(number)
            if not np.isfinite(rows).all():
                raise UnsupportedModel(
                    "the model answers with something that is no number",
                    where=f"{engine.info.name}, {engine.info.precision}", expected="finite numbers",
                    found="nan or inf", mend='hardtack lock  # after setting precision = "fp32"',
                )  # fmt: skip
            keep(places, rows)
            done += len(places)
            if progress is not None:
                progress(done, len(sizes))

    if len(sizes):
        engine.run(feeds(), deliver)
    if done != len(sizes):
        raise ValueError(f"the engine answered {done} of {len(sizes)} rows")


def _check_lengths(numbers: Sequence[int], tokenized: Sequence[Tokenized], most: int | None) -> None:
    for number, text in zip(numbers, tokenized, strict=True):
        if most is not None and len(text) > most:
            raise Misused(
                "a text is longer than what fits in memory, and the model has no length to cut it to",
                where=f"input {number}", expected=f"{most} tokens at most", found=f"{len(text)} tokens",
                mend=f"hardtack lock  # after setting max-length = {most} in hardtack.toml",
            )  # fmt: skip
