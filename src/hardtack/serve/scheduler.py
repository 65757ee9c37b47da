"""One model's queue and its threads: takes requests as far as it can answer them in time, and answers what it took.

Which rows run together is :mod:`.waiting`; this is where they wait, run, come back and are given up. A batch of several
costs less a row, and clients that were answered together ask again together; so a thread whose batch has come back
waits a moment for its share of the rows there are before it takes fewer, and beside others takes no more than that.

It knows neither HTTP nor models: rows are whatever the ``run`` that it is handed takes. All methods but ``run`` itself
belong to the event loop's thread.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from hardtack.serve.crew import Crew
from hardtack.serve.limits import Limits
from hardtack.serve.pace import Pace
from hardtack.serve.refusals import Kind, Refusal
from hardtack.serve.waiting import Job, Row, Waiting

_REST = 0.5
"""Of the time that a batch took: how long its thread waits for company for its next one, at most …"""

_REST_MOST = 0.01
"""… and in seconds. Clients on a machine nearby that wait for one answer before they ask again are back by then."""

Run = Callable[[Sequence[Any]], list[Any]]
"""Answers payloads, one result each, on a thread. A result that is an exception is that row's alone."""


@dataclass(frozen=True)
class Ran:
    """What became of one batch, for whoever measures.

    Attributes:
        rows: of it.
        tokens: of it, padding not counted.
        seconds: it ran.
        waited: seconds each of its rows had waited for it.
    """

    rows: int
    tokens: int
    seconds: float
    waited: tuple[float, ...]


class Scheduler:
    """One model's queue.

    Args:
        run: answers a batch.
        threads: batches that run at once.
        limits: how long the queue may be, and how large a batch.
        name: of the threads.
        heard: told of every batch.
        clock: in seconds.
    """

    def __init__(
        self,
        run: Run,
        *,
        threads: int,
        limits: Limits,
        name: str = "model",
        heard: Callable[[Ran], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._limits = limits
        self._heard = heard
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._waiting = Waiting(limits.batch_rows, limits.batch_tokens)
        self._pace = Pace(clock)
        self._threads = threads
        self._crew = Crew(name, threads, self._loop)
        self._busy = 0
        self._resting: list[_Rest] = []
        self.texts = 0
        """Rows that were taken and are not answered yet."""
        self.tokens = 0
        """Their tokens, by guess until they are counted."""

    def admit(self, texts: int, tokens: int) -> Ticket:
        """Take a request of so many texts and, by guess, tokens; as a context, which gives its place up at the end.

        Raises:
            Refusal: it would wait too long, or too many wait already. One that comes to an empty queue is always taken.
        """
        if self.texts:
            expected = self._pace.seconds(self.tokens)
            if self.texts + texts > self._limits.queue or expected > self._limits.wait:
                raise _overloaded(expected - self._limits.wait / 2)
        return Ticket(self, texts, tokens, self._clock())

    async def answer(
        self, ticket: Ticket, payloads: Sequence[Any], lengths: Sequence[int], group: Hashable = None
    ) -> list[Any]:
        """Queue a request's rows and wait for their results, in order.

        Cancelling this gives up what has not begun.

        Raises:
            Refusal: they waited too long.
            Exception: what ``run`` gave for one of them.
        """
        ticket.count(sum(lengths))
        small = len(payloads) <= self._limits.small_texts and ticket.tokens <= self._limits.small_tokens
        answer = _Answer(self._loop.create_future(), [None] * len(payloads), ticket)
        job = Job(small=small, left=len(payloads), born=ticket.born, owner=answer)
        rows = [Row(job, place, lengths[place], payload) for place, payload in enumerate(payloads)]
        self._waiting.add(rows, group)
        self._begin()
        try:
            return await answer.future
        finally:
            job.dropped = True

    def close(self) -> None:
        """End the threads once what runs has ended; whoever still waits is told."""
        for row in self._waiting.drain():
            _fail(row.job, Refusal(Kind.NOT_READY, "the model was unloaded", retry_after=1))
        for rest in self._resting:
            rest.timer.cancel()
        self._crew.close()

    def join(self) -> None:
        """Wait for the threads of a closed scheduler."""
        self._crew.join()

    def _begin(self) -> None:
        """Give every thread that is free and does not wait for company a batch."""
        while self._busy < self._threads and len(self._waiting):
            if self._busy + len(self._resting) == self._threads and not self._wake():
                return
            # beside others no more than its share: as many are left for the next one that comes free
            rows = self._waiting.take(self._share() if self._busy else None)
            now = self._clock()
            oldest = now - self._limits.wait
            late = [row for row in rows if row.job.born < oldest]
            for row in late:
                _fail(row.job, _overloaded(self._pace.seconds(self.tokens)))
            rows = [row for row in rows if not row.job.dropped]
            if rows:
                self._start(rows, now)

    def _start(self, rows: list[Row], now: float) -> None:
        self._busy += 1
        self._pace.began()
        payloads = [row.payload for row in rows]

        def then(results: Any, problem: BaseException | None) -> None:
            self._end(rows, now, results, problem)

        self._crew.do(lambda: self._run(payloads), then)

    def _end(self, rows: list[Row], began: float, results: Any, problem: BaseException | None) -> None:
        self._busy -= 1
        tokens = sum(row.length for row in rows)
        self._pace.ended(tokens)
        self._rest(self._clock() - began)
        self._begin()  # before anyone hears of the results: a thread that is free should not wait for that
        for number, row in enumerate(rows):
            _deliver(row, results[number] if problem is None else problem)
        if self._heard is not None:
            waited = tuple(began - row.job.born for row in rows)
            self._heard(Ran(len(rows), tokens, self._clock() - began, waited))

    def _share(self) -> int:
        """Each thread's part of the rows that are to be answered."""
        return min(-(-self.texts // self._threads), self._limits.batch_rows)

    def _rest(self, took: float) -> None:
        """Let a thread that has come free wait for its share: who had an answer just now may ask again at once."""
        share = self._share()
        if share > 1:
            rest = _Rest(share)
            rest.timer = self._loop.call_later(min(_REST * took, _REST_MOST), self._rested, rest)
            self._resting.append(rest)

    def _rested(self, rest: _Rest) -> None:
        self._resting.remove(rest)
        self._begin()

    def _wake(self) -> bool:
        """Let a thread that rests go on, if one has what it waits for."""
        for rest in self._resting:
            if rest.share <= len(self._waiting) or self._waiting.tokens >= self._limits.batch_tokens:
                rest.timer.cancel()
                self._resting.remove(rest)
                return True
        return False


@dataclass(eq=False, slots=True)
class _Rest:
    """A free thread that waits for so many rows, or for its timer."""

    share: int
    timer: asyncio.TimerHandle = field(init=False)


class Ticket:
    """A request's place in a queue; see :meth:`Scheduler.admit`."""

    def __init__(self, scheduler: Scheduler, texts: int, tokens: int, born: float) -> None:
        self._scheduler = scheduler
        self.born = born
        self.texts = texts
        self.tokens = tokens

    def count(self, tokens: int) -> None:
        """Say how many tokens it really has."""
        self._scheduler.tokens += tokens - self.tokens
        self.tokens = tokens

    def give_up(self, texts: int, tokens: int) -> None:
        """So much of it is done."""
        self._scheduler.texts -= texts
        self._scheduler.tokens -= tokens
        self.texts -= texts
        self.tokens -= tokens

    def __enter__(self) -> Self:
        self._scheduler.texts += self.texts
        self._scheduler.tokens += self.tokens
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_up(self.texts, self.tokens)


@dataclass(eq=False, slots=True)
class _Answer:
    future: asyncio.Future[list[Any]]
    results: list[Any]
    ticket: Ticket


def _deliver(row: Row, result: Any) -> None:
    job, answer = row.job, row.job.owner
    if job.dropped:
        return
    if isinstance(result, BaseException):
        _fail(job, result)
        return
    answer.results[row.place] = result
    answer.ticket.give_up(1, row.length)
    job.left -= 1
    if job.left == 0 and not answer.future.done():
        answer.future.set_result(answer.results)


def _fail(job: Job, problem: BaseException) -> None:
    job.dropped = True
    if not job.owner.future.done():
        job.owner.future.set_exception(problem)


def _overloaded(seconds: float) -> Refusal:
    return Refusal(
        Kind.OVERLOADED, "the queue is full; nothing of this request was run", retry_after=max(1, math.ceil(seconds))
    )
