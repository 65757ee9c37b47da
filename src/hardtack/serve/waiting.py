"""Which rows run next: a queue of rows by length, small requests before bulk. Pure: no clock, no thread, no loop.

A row is one text or pair. Rows of many requests share a batch where they are of like length, since all rows of a batch
are padded to the longest; a batch holds at most so many rows and tokens, and is at most a third padding but for a slack
that costs less than another batch would. Large batches come in few sizes (:mod:`hardtack.runtime.steps`): what is over
goes back to the head of the queue.

Every batch is built around the row that has waited longest, so nothing waits for ever; three batches in four begin with
a small request's row where there is one, the fourth with a bulk row, so that neither can starve the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hardtack.runtime import steps

_PADDING = 1.5  # padded tokens a batch may have for each real one …
_SLACK = 128  # … or so many more
_BULK_TURN = 4  # of so many batches one begins with bulk


@dataclass(eq=False, slots=True)
class Job:
    """One request's share of the queue.

    Attributes:
        small: goes before bulk.
        left: rows that are not answered yet.
        dropped: nobody waits for it any more; its rows are passed over.
        born: when it came, by the queue owner's clock.
        owner: whoever is to hear of its rows.
    """

    small: bool
    left: int = 0
    dropped: bool = False
    born: float = 0.0
    owner: Any = None


@dataclass(eq=False, slots=True)
class Row:
    """One text or pair that waits.

    Attributes:
        job: whose it is.
        place: its number there.
        length: in tokens.
        payload: what the model takes.
        number: by arrival; set by the queue.
    """

    job: Job
    place: int
    length: int
    payload: Any
    number: int = field(default=-1)


_Key = tuple[Hashable, int]


class Waiting:
    """The queue of one model.

    Args:
        rows: in a batch at most.
        tokens: in a batch at most, padding counted; a single row may be longer.
    """

    def __init__(self, rows: int, tokens: int) -> None:
        self._rows = rows
        self._tokens = tokens
        self._small: dict[_Key, deque[Row]] = {}
        self._bulk: dict[_Key, deque[Row]] = {}
        self._numbers = count()
        self._turn = 0
        self._size = 0
        self.tokens = 0
        """Of the rows that wait, rounded up as they will be padded."""

    def __len__(self) -> int:
        """Rows that wait, those that nobody waits for any more among them."""
        return self._size

    def add(self, rows: list[Row], group: Hashable = None) -> None:
        """Queue the rows of one job; only rows of one ``group`` run together."""
        for row in rows:
            row.number = next(self._numbers)
            self._bucket(row, group).append(row)
            self._count(row, 1)

    def take(self, most: int | None = None) -> list[Row]:
        """The rows of the next batch, ``most`` at most, out of the queue; none where nobody waits."""
        small, bulk = self._oldest(self._small), self._oldest(self._bulk)
        if small is None and bulk is None:
            return []
        self._turn += 1
        first = bulk if small is None or (bulk is not None and self._turn % _BULK_TURN == 0) else small
        assert first is not None
        sides = (self._small, self._bulk) if first is small else (self._bulk, self._small)
        rows = self._gather(first, sides, self._rows if most is None else min(most, self._rows))
        size = steps.down(len(rows))
        for row in reversed(rows[size:]):
            self._bucket(row, first[0]).appendleft(row)
            self._count(row, 1)
        return rows[:size]

    def drain(self) -> list[Row]:
        """Every row that waits, out of the queue."""
        rows = [row for side in (self._small, self._bulk) for bucket in side.values() for row in bucket]
        self._small.clear()
        self._bulk.clear()
        self._size = self.tokens = 0
        return rows

    def _gather(self, first: _Key, sides: tuple[dict[_Key, deque[Row]], ...], most: int) -> list[Row]:
        group, width = first
        taken: list[Row] = []
        real = 0
        for side in sides:
            for key in sorted((key for key in side if key[0] == group), key=lambda key: abs(key[1] - first[1])):
                bucket = side[key]
                while row := self._head(bucket):
                    wider = max(width, key[1])
                    padded = wider * (len(taken) + 1)
                    if taken and (
                        len(taken) == most
                        or padded > self._tokens
                        or padded > max(_PADDING * (real + key[1]), real + key[1] + _SLACK)
                    ):
                        break
                    self._pop(bucket)
                    taken.append(row)
                    width, real = wider, real + key[1]
                if not bucket:
                    del side[key]
                if len(taken) == most:
                    return taken
        return taken

    def _bucket(self, row: Row, group: Hashable) -> deque[Row]:
        buckets = self._small if row.job.small else self._bulk
        key = group, _width(row)
        bucket = buckets.get(key)
        if bucket is None:
            bucket = buckets[key] = deque()
        return bucket

    def _head(self, bucket: deque[Row]) -> Row | None:
        """The first row of a bucket that somebody still waits for."""
        while bucket and bucket[0].job.dropped:
            self._pop(bucket)
        return bucket[0] if bucket else None

    def _pop(self, bucket: deque[Row]) -> None:
        self._count(bucket.popleft(), -1)

    def _count(self, row: Row, change: int) -> None:
        self._size += change
        self.tokens += change * _width(row)

    def _oldest(self, buckets: dict[_Key, deque[Row]]) -> _Key | None:
        """The bucket whose head came first; buckets that are empty by now are removed."""
        heads = list(self._heads(buckets))
        for key in [key for key, bucket in buckets.items() if not bucket]:
            del buckets[key]
        return min(heads, default=(0, None))[1]

    def _heads(self, buckets: dict[_Key, deque[Row]]) -> Iterator[tuple[int, _Key]]:
        for key, bucket in buckets.items():
            if (row := self._head(bucket)) is not None:
                yield row.number, key


def _width(row: Row) -> int:
    return steps.up(max(1, row.length), steps.WIDTH)
