"""Counting the tokens of what came in: off the event loop, requests that come together in one call.

A long text takes the tokenizer a second, so the texts of small requests never queue behind those of large ones. One
short text takes it 20 µs, and another thread longer to hear of it, so that is counted where it came in
(docs/performance-notes.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from hardtack.serve.crew import Crew

_TOGETHER = 256  # items of one call, but for those of a single request that has more

_Waiter = tuple[Sequence[Any], "asyncio.Future[list[Any]]"]


class Counting:
    """One model's counter for requests of one kind, small or bulk.

    Args:
        count: counts items, one result each, on a thread; a result that is an exception is that item's alone.
        crew: whose threads do it.
        is_brief: whether an item, alone, is not worth a thread.
    """

    def __init__(
        self, count: Callable[[Sequence[Any]], list[Any]], crew: Crew, is_brief: Callable[[Any], bool]
    ) -> None:
        self._count = count
        self._is_brief = is_brief
        self._crew = crew
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Waiter] = []
        self._busy = False

    async def __call__(self, items: Sequence[Any]) -> list[Any]:
        """The result of each item.

        Raises:
            Exception: the first of the results that is one.
        """
        if len(items) == 1 and self._is_brief(items[0]):
            results = self._count(items)
        else:
            results = await self._by_crew(items)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return results

    async def _by_crew(self, items: Sequence[Any]) -> list[Any]:
        answer: asyncio.Future[list[Any]] = self._loop.create_future()
        self._waiting.append((items, answer))
        if not self._busy:
            self._begin()
        return await answer

    def _begin(self) -> None:
        together: list[_Waiter] = []
        items: list[Any] = []
        while self._waiting and (not items or len(items) + len(self._waiting[0][0]) <= _TOGETHER):
            waiter = self._waiting.pop(0)
            if waiter[1].done():
                continue  # its client has left
            together.append(waiter)
            items.extend(waiter[0])
        self._busy = bool(together)
        if not together:
            return

        def then(results: Any, problem: BaseException | None) -> None:
            if self._waiting:
                self._begin()
            else:
                self._busy = False
            start = 0
            for asked, answer in together:
                end = start + len(asked)
                if not answer.done():
                    answer.set_result([problem] * len(asked) if problem is not None else results[start:end])
                start = end

        self._crew.do(lambda: self._count(items), then)
