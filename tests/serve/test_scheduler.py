from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from hardtack.serve.limits import Limits
from hardtack.serve.refusals import Kind, Refusal
from hardtack.serve.scheduler import Ran, Scheduler

Test = Callable[[], Awaitable[None]]


class Model:
    """Answers each payload with its double; holds every batch back until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def run(self, payloads: Sequence[int]) -> list[Any]:
        self.batches.append(list(payloads))
        self.began.release()
        assert self.go.acquire(timeout=10)
        return [ValueError("odd") if payload == 13 else 2 * payload for payload in payloads]

    def let_go(self, batches: int = 100) -> None:
        self.go.release(batches)

    async def until_it_runs(self) -> None:
        assert await asyncio.to_thread(self.began.acquire, timeout=10)


async def ask(scheduler: Scheduler, *payloads: int, length: int = 10) -> list[Any]:
    with scheduler.admit(len(payloads), len(payloads) * length) as ticket:
        return await scheduler.answer(ticket, payloads, [length] * len(payloads))


def make(model: Model, limits: Limits | None = None, **named: Any) -> Scheduler:
    return Scheduler(model.run, threads=1, limits=limits or Limits(), **named)


def test_answers_come_back_in_order_and_to_whoever_asked() -> None:
    async def main() -> None:
        model, ran = Model(), list[Ran]()
        model.let_go()
        scheduler = make(model, heard=ran.append)
        answers = await asyncio.gather(*(ask(scheduler, n, n + 1) for n in range(50, 90, 2)))
        assert answers == [[2 * n, 2 * n + 2] for n in range(50, 90, 2)]
        assert sum(each.rows for each in ran) == 40
        assert (scheduler.texts, scheduler.tokens) == (0, 0)
        scheduler.close()
        scheduler.join()

    asyncio.run(main())


def test_what_waits_meanwhile_runs_together() -> None:
    async def main() -> None:
        model = Model()
        scheduler = make(model)
        first = asyncio.create_task(ask(scheduler, 1))
        await model.until_it_runs()
        others = [asyncio.create_task(ask(scheduler, n)) for n in (2, 3, 4)]
        await asyncio.sleep(0)
        model.let_go()
        assert await asyncio.gather(first, *others) == [[2], [4], [6], [8]]
        assert model.batches == [[1], [2, 3, 4]]
        scheduler.close()

    asyncio.run(main())


def test_beside_others_a_thread_takes_its_share() -> None:
    async def main() -> None:
        model = Model()
        scheduler = Scheduler(model.run, threads=3, limits=Limits())
        first = asyncio.create_task(ask(scheduler, 1))
        await model.until_it_runs()
        rest = asyncio.create_task(ask(scheduler, *range(20, 31)))
        for _ in range(2):
            await model.until_it_runs()
        assert sorted(model.batches) == [[1], [20, 21, 22, 23], [24, 25, 26, 27]], "a third of twelve each"
        model.let_go()
        await asyncio.gather(first, rest)
        scheduler.close()

    asyncio.run(main())


def test_a_lone_thread_takes_all_there_is() -> None:
    async def main() -> None:
        model = Model()
        model.let_go()
        scheduler = Scheduler(model.run, threads=3, limits=Limits())
        await ask(scheduler, *range(20, 28))
        assert model.batches == [list(range(20, 28))]
        scheduler.close()

    asyncio.run(main())


def after_three(monkeypatch: pytest.MonkeyPatch, most: float, *asked: Sequence[int]) -> list[list[int]]:
    """The batches of those that ask after three were answered together, by a thread that rests ``most`` seconds."""
    monkeypatch.setattr("hardtack.serve.scheduler._REST_MOST", most)
    monkeypatch.setattr("hardtack.serve.scheduler._REST", 1e9)
    model = Model()
    model.let_go()

    async def main() -> None:
        scheduler = make(model)
        await ask(scheduler, 1, 2, 3)
        later = []
        for payloads in asked:
            later.append(asyncio.create_task(ask(scheduler, *payloads)))
            await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.gather(*later), 10)
        scheduler.close()

    asyncio.run(main())
    return model.batches[1:]


def test_a_thread_waits_for_those_it_has_just_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert after_three(monkeypatch, 60, [4], [5, 6]) == [[4, 5, 6]]


def test_a_thread_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    assert after_three(monkeypatch, 0.01, [4]) == [[4]]


def test_nothing_is_begun_by_the_rest_of_a_closed_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardtack.serve.scheduler._REST", 1e9)

    async def main() -> None:
        model = Model()
        model.let_go()
        scheduler = make(model)
        await ask(scheduler, 1, 2, 3)
        late = asyncio.create_task(ask(scheduler, 4))
        await asyncio.sleep(0)
        scheduler.close()
        with pytest.raises(Refusal):
            await late
        await asyncio.sleep(0.02)
        assert model.batches == [[1, 2, 3]]

    asyncio.run(main())


def test_a_thread_does_not_wait_for_more_than_a_batch_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardtack.serve.scheduler._REST_MOST", 60)
    monkeypatch.setattr("hardtack.serve.scheduler._REST", 1e9)

    async def main() -> None:
        model = Model()
        model.let_go()
        scheduler = make(model, Limits(batch_rows=4, batch_tokens=64))
        await asyncio.wait_for(ask(scheduler, *range(20, 28)), 10)
        await asyncio.wait_for(ask(scheduler, *range(30, 34), length=60), 10)
        assert [len(batch) for batch in model.batches] == [4, 4, 1, 1, 1, 1]
        scheduler.close()

    asyncio.run(main())


def test_one_bad_row_fails_its_own_request_only() -> None:
    async def main() -> None:
        model = Model()
        model.let_go()
        scheduler = make(model)
        answers = await asyncio.gather(ask(scheduler, 1, 2), ask(scheduler, 12, 13, 14), return_exceptions=True)
        assert answers[0] == [2, 4]
        assert isinstance(answers[1], ValueError)
        assert (scheduler.texts, scheduler.tokens) == (0, 0)
        scheduler.close()

    asyncio.run(main())


def test_a_full_queue_refuses_and_says_when_to_come_again() -> None:
    async def main() -> None:
        model = Model()
        scheduler = make(model, Limits(queue=3))
        tasks = [asyncio.create_task(ask(scheduler, n)) for n in (1, 2, 3)]
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as refused:
            await ask(scheduler, 4)
        assert refused.value.kind is Kind.OVERLOADED
        assert refused.value.retry_after is not None
        assert refused.value.retry_after >= 1
        model.let_go()
        assert await asyncio.gather(*tasks) == [[2], [4], [6]], "what was taken is answered"
        assert await ask(scheduler, 4) == [8], "and there is room again"
        scheduler.close()

    asyncio.run(main())


def test_an_empty_queue_takes_a_request_of_any_size() -> None:
    async def main() -> None:
        model = Model()
        model.let_go()
        scheduler = make(model, Limits(queue=3))
        assert len(await ask(scheduler, *range(20, 80))) == 60
        scheduler.close()

    asyncio.run(main())


def test_what_would_wait_too_long_is_refused_at_once() -> None:
    now = 0.0

    async def main() -> None:
        nonlocal now
        model = Model()
        scheduler = make(model, Limits(wait=10), clock=lambda: now)
        first = asyncio.create_task(ask(scheduler, 1))
        await model.until_it_runs()
        now = 1.0  # ten tokens take a second
        model.let_go(1)
        await first
        rest = asyncio.create_task(ask(scheduler, *range(20, 32)))  # twelve seconds' worth, to an empty queue
        await model.until_it_runs()
        with pytest.raises(Refusal) as refused:
            await ask(scheduler, 2)
        assert refused.value.kind is Kind.OVERLOADED
        model.let_go()
        await rest
        scheduler.close()

    asyncio.run(main())


def test_what_waited_too_long_is_told_so_and_does_not_run() -> None:
    now = 0.0

    async def main() -> None:
        nonlocal now
        model = Model()
        scheduler = make(model, Limits(wait=10), clock=lambda: now)
        first = asyncio.create_task(ask(scheduler, 1))
        await model.until_it_runs()
        late = asyncio.create_task(ask(scheduler, 2))
        await asyncio.sleep(0)
        now = 11.0
        model.let_go()
        assert await first == [2]
        with pytest.raises(Refusal) as refused:
            await late
        assert refused.value.kind is Kind.OVERLOADED
        assert model.batches == [[1]]
        scheduler.close()

    asyncio.run(main())


def test_work_of_a_client_that_left_is_not_done() -> None:
    async def main() -> None:
        model = Model()
        scheduler = make(model)
        first = asyncio.create_task(ask(scheduler, 1))
        await model.until_it_runs()
        left, kept = asyncio.create_task(ask(scheduler, *range(20, 90))), asyncio.create_task(ask(scheduler, 3))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(0)
        model.let_go()
        assert list(await asyncio.gather(first, kept)) == [[2], [6]]
        assert model.batches == [[1], [3]]
        assert (scheduler.texts, scheduler.tokens) == (0, 0)
        scheduler.close()

    asyncio.run(main())


def test_a_small_request_overtakes_bulk() -> None:
    async def main() -> None:
        model = Model()
        scheduler = make(model, Limits(batch_rows=4))
        bulk = asyncio.create_task(ask(scheduler, *range(100, 140)))
        await model.until_it_runs()
        small = asyncio.create_task(ask(scheduler, 1))
        await asyncio.sleep(0)
        model.let_go(1)
        await model.until_it_runs()
        assert 1 in model.batches[1]
        model.let_go()
        await asyncio.gather(bulk, small)
        scheduler.close()

    asyncio.run(main())


def test_a_model_that_fails_altogether_fails_its_requests() -> None:
    async def main() -> None:
        def run(payloads: Sequence[int]) -> list[Any]:
            raise RuntimeError("broken")

        scheduler = Scheduler(run, threads=1, limits=Limits())
        with pytest.raises(RuntimeError, match="broken"):
            await ask(scheduler, 1)
        scheduler.close()

    asyncio.run(main())


def test_closing_tells_those_who_wait_and_ends_the_threads() -> None:
    async def main() -> None:
        model = Model()
        scheduler = make(model, name="ending")
        first = asyncio.create_task(ask(scheduler, 1))
        await model.until_it_runs()
        waits = asyncio.create_task(ask(scheduler, 2))
        await asyncio.sleep(0)
        scheduler.close()
        with pytest.raises(Refusal):
            await waits
        model.let_go()
        assert await first == [2], "what runs is answered"
        await asyncio.to_thread(scheduler.join)
        assert not [thread for thread in threading.enumerate() if "ending" in thread.name]

    asyncio.run(main())
