"""A compiled graph at work: batches on its streams, on threads of its own or on the caller's.

Knows no model: feeds go in, rows come out, in the feeds' order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import count, pairwise
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardtack.runtime.engines.interface import Deliver, Feed

_PER_TEXT = frozenset({"input_ids", "attention_mask", "token_type_ids", "pooling_mask"})
"""Inputs with one row a text; the others (T5's labels) belong to all texts of a feed."""


class Streams:
    """A graph compiled for some streams, a request for each of them, and threads to run many batches.

    Args:
        compiled: the ``openvino.CompiledModel``.
        count: its streams.
    """

    def __init__(self, compiled: Any, count: int) -> None:
        self._count = count
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="hardtack-openvino")
        self._requests: SimpleQueue[Any] = SimpleQueue()  # those that run nothing now
        for _ in range(count):
            self._requests.put(compiled.create_infer_request())

    def run(self, feeds: Iterable[Feed], deliver: Deliver) -> None:
        """Run every feed on this object's threads; results are delivered on the caller's, in the feeds' order.

        As many feeds as there are streams are under way and as many more wait, so that a finished stream finds the
        next batch ready.
        """
        under_way: deque[Future[NDArray[np.float32]]] = deque()
        numbers = count(0)
        try:
            for feed in feeds:
                if len(under_way) == 2 * self._count:
                    deliver(next(numbers), under_way.popleft().result())
                under_way.append(self._threads.submit(self.infer, feed))
            while under_way:
                deliver(next(numbers), under_way.popleft().result())
        finally:
            # Only an exception leaves anything here: what has not begun does not begin, what has is waited for.
            for future in under_way:
                future.cancel()
            wait(under_way)

    def infer(self, feed: Feed) -> NDArray[np.float32]:
        """Run one batch on the caller's own thread, once a stream is free."""
        request = self._requests.get()
        try:
            request.infer(dict(feed), share_inputs=True)
            rows: NDArray[np.float32] = request.get_output_tensor(0).data
            return rows.copy()
        finally:
            self._requests.put(request)

    def close(self) -> None:
        """End the threads; waits for what other callers have under way."""
        self._threads.shutdown()
        for _ in range(self._count):
            self._requests.get()


def cut(feed: Feed, pieces: int) -> list[Feed]:
    """A feed's texts in up to ``pieces`` feeds of nearly equal size, in order."""
    texts = len(feed["input_ids"])
    edges = np.linspace(0, texts, max(1, min(pieces, texts)) + 1).astype(int)
    return [
        {name: rows[begin:end] if name in _PER_TEXT else rows for name, rows in feed.items()}
        for begin, end in pairwise(edges)
    ]
