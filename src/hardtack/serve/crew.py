"""Threads that do what an event loop must not: native code that takes its time. Idle ones sleep; nothing polls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from hardtack.errors import HardtackError

Then = Callable[[Any, BaseException | None], None]
_Work = tuple[Callable[[], Any], Then]


class Crew:
    """Some threads and a queue of calls.

    Args:
        name: of the threads.
        count: how many.
        loop: where results are heard.
    """

    def __init__(self, name: str, count: int, loop: asyncio.AbstractEventLoop) -> None:
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._loop = loop
        self._threads = [
            threading.Thread(target=self._work, name=f"hardtack-{name}-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def do(self, call: Callable[[], Any], then: Then) -> None:
        """Call on a thread; then call ``then(result, None)`` or ``then(None, problem)`` on the loop."""
        self._queue.put((call, then))

    async def ask(self, call: Callable[[], Any]) -> Any:
        """Call on a thread and wait for the result."""
        answer: asyncio.Future[Any] = self._loop.create_future()

        def then(result: Any, problem: BaseException | None) -> None:
            if answer.done():
                return  # whoever waited has left
            if problem is None:
                answer.set_result(result)
            else:
                answer.set_exception(problem)

        self.do(call, then)
        return await answer

    def close(self) -> None:
        """Let the threads end once the queue is empty."""
        for _ in self._threads:
            self._queue.put(None)

    def join(self) -> None:
        """Wait for threads that were told to end."""
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            call, then = work
            try:
                result, problem = call(), None
            except (HardtackError, Exception) as caught:  # noqa: BLE001 - handed to whoever asked
                result, problem = None, caught
            self._loop.call_soon_threadsafe(then, result, problem)
            del work, call, then, result, problem  # an idle thread holds on to nobody's texts
