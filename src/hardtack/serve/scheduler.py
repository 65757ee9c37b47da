"""One model's queue and its threads: takes requests as far as it can answer them in time, and answers what it took.

Which rows run together is :mod:`.waiting`; this is where they wait, run, come back and are given up. It knows neither
HTTP nor models: rows are whatever the ``run`` that it is handed takes. All methods but ``run`` itself belong to the
event loop's thread.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from hardtack.serve.crew import Crew
from hardtack.serve.limits import Limits
from hardtack.serve.pace import Pace
from hardtack.serve.refusals import Kind, Refusal
from hardtack.serve.waiting import Job, Row, Waiting

_FULL = 8
"""Rows of a batch that are worth a thread of their own, beside another batch; as an engine has it."""

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
        whole: rows from which on a small batch, too, takes all there is. While such a one runs, a second small one is
            not begun: it would only share what there is, and those that come meanwhile would miss it.
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
        whole: int = 1,
    ) -> None:
        self._run = run
        self._whole = whole
        self._taken = 0  # small batches that run and take all there is
        self._limits = limits
        self._heard = heard
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._waiting = Waiting(limits.batch_rows, limits.batch_tokens)
        self._pace = Pace(clock)
        self._threads = threads
        self._crew = Crew(name, threads, self._loop)
        self._busy = 0
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
        self._crew.close()

    def join(self) -> None:
        """Wait for the threads of a closed scheduler."""
        self._crew.join()

    def _begin(self) -> None:
        """Give every free thread a batch."""
        while self._busy < self._threads:
            if self._taken and len(self._waiting) < _FULL:
                return
            rows = self._waiting.take()
            if not rows:
                return
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
        self._taken += self._takes_all(rows)
        self._pace.began()
        payloads = [row.payload for row in rows]

        def then(results: Any, problem: BaseException | None) -> None:
            self._end(rows, now, results, problem)

        self._crew.do(lambda: self._run(payloads), then)

    def _end(self, rows: list[Row], began: float, results: Any, problem: BaseException | None) -> None:
        self._busy -= 1
        self._taken -= self._takes_all(rows)
        tokens = sum(row.length for row in rows)
        self._pace.ended(tokens)
        self._begin()  # before anyone hears of the results: a thread that is free should not wait for that
        for number, row in enumerate(rows):
            _deliver(row, results[number] if problem is None else problem)
        if self._heard is not None:
            waited = tuple(began - row.job.born for row in rows)
            self._heard(Ran(len(rows), tokens, self._clock() - began, waited))

    def _takes_all(self, rows: list[Row]) -> bool:
        return self._whole <= len(rows) < _FULL


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
