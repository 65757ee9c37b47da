"""The one way of every request to its model and back: hold, admit, count, check, schedule, answer, measure.

It knows no dialect, and of a task no more than how a text's tokens become what the model is handed; what is asked for,
and made of the answers, is :mod:`.service`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from typing import Any

from hardtack.errors import HardtackError
from hardtack.runtime.tokens import Tokenized
from hardtack.serve.limits import Limits
from hardtack.serve.metrics import Measures
from hardtack.serve.refusals import Kind, Refusal, refusal_of
from hardtack.serve.shelf import Shelf, Shelved, Slot

Check = Callable[[Sequence[Tokenized], int | None], None]
"""Refuses texts by their tokens and the most that the model takes of one."""
Payload = Callable[[Any, Tokenized], Any]
"""What a model is handed for a text or pair, made of it and its tokens."""


class Pipeline:
    """The way of requests to the models of a shelf. Belongs to the event loop's thread.

    Args:
        shelf: the models.
        limits: what a small request is.
        measures: hears how long counting took, and of every text's length.
    """

    def __init__(self, shelf: Shelf, limits: Limits, measures: Measures) -> None:
        self._shelf = shelf
        self._limits = limits
        self._measures = measures
        self._loop = asyncio.get_running_loop()

    @contextlib.asynccontextmanager
    async def held(self, slot: Slot) -> AsyncIterator[Shelved]:
        """The model in memory, for as long as a request needs it.

        Raises:
            Refusal: it cannot be loaded, or what is done with it inside raises a :class:`HardtackError`.
        """
        try:
            shelved = await self._shelf.hold(slot)
        except HardtackError as problem:
            raise Refusal(Kind.FAILED, f"the model cannot be loaded: {problem.what}") from problem
        try:
            yield shelved
        except HardtackError as problem:
            raise refusal_of(problem) from problem
        finally:
            self._shelf.release(slot)

    async def answer(
        self,
        slot: Slot,
        shelved: Shelved,
        items: Sequence[Any],
        payload: Payload,
        *,
        check: Check | None = None,
        group: Hashable = None,
    ) -> tuple[list[Any], int]:
        """The model's answer to each item of a request, in order, and the tokens of all of them.

        Args:
            slot: the model's.
            shelved: the model, held.
            items: texts, pairs, or what somebody tokenized already.
            payload: what the model is handed for each.
            check: may refuse them once they are counted.
            group: items of requests of equal ones may run together.

        Raises:
            Refusal: there is no place for them, ``check`` refused them, or they waited too long.
            Exception: what the model made of one of them.
        """
        small, guess = self.estimate(items)
        with shelved.scheduler.admit(len(items), guess) as ticket:
            if items and isinstance(items[0], Tokenized):
                counted = list(items)
            else:
                counted = await self._count(slot, shelved, items, small)
            if check is not None:
                check(counted, shelved.model.max_seq_length)
            lengths = [len(each) for each in counted]
            payloads = [payload(item, tokens) for item, tokens in zip(items, counted, strict=True)]
            return await shelved.scheduler.answer(ticket, payloads, lengths, group), sum(lengths)

    def estimate(self, items: Sequence[Any]) -> tuple[bool, int]:
        """Whether it is a small request, and its tokens, before anyone counted: a look at lengths costs nothing."""
        tokens = sum(map(_guess, items))
        return len(items) <= self._limits.small_texts and tokens <= 2 * self._limits.small_tokens, tokens

    async def _count(self, slot: Slot, shelved: Shelved, items: Sequence[Any], small: bool) -> list[Tokenized]:
        began = self._loop.time()
        counted = await shelved.counting[small](items)
        key = slot.offer.key
        self._measures.counting.see(self._loop.time() - began, key)
        for each in counted:
            self._measures.length.see(len(each), key)
        return counted


def _guess(item: Any) -> int:
    if isinstance(item, str):
        # English has four characters a token; scripts beyond ASCII have fewer
        return 2 + (len(item) >> 2 if item.isascii() else len(item) >> 1)
    return len(item) if isinstance(item, Tokenized) else _guess(item[0]) + _guess(item[1])
