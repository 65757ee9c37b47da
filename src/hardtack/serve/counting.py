"""Counting the tokens of what came in: off the event loop, requests that come together in one call.

A long text takes the tokenizer a second, so the texts of small requests never queue behind those of large ones.
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
    """

    def __init__(self, count: Callable[[Sequence[Any]], list[Any]], crew: Crew) -> None:
        self._count = count
        self._crew = crew
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Waiter] = []
        self._busy = False

    async def __call__(self, items: Sequence[Any]) -> list[Any]:
        """The result of each item.

        Raises:
            Exception: the first of the results that is one.
        """
        answer: asyncio.Future[list[Any]] = self._loop.create_future()
        self._waiting.append((items, answer))
        if not self._busy:
            self._begin()
        results = await answer
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return results

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
