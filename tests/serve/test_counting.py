from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from hardtack.serve.counting import Counting
from hardtack.serve.crew import Crew


def where(items: Sequence[str]) -> list[Any]:
    """For each item the thread that counted it; "odd" has no tokens."""
    return [ValueError(item) if item == "odd" else threading.get_ident() for item in items]


async def counted(*requests: Sequence[str]) -> Sequence[Any]:
    crew = Crew("count", 1, asyncio.get_running_loop())
    counting = Counting(where, crew, lambda item: len(item) < 10)
    try:
        found: list[Any] = await asyncio.gather(*(counting(items) for items in requests), return_exceptions=True)
        return found
    finally:
        crew.close()
        await asyncio.to_thread(crew.join)


def test_one_short_text_is_counted_where_it_came_in() -> None:
    here = threading.get_ident()
    assert asyncio.run(counted(["short"])) == [[here]]


@pytest.mark.parametrize("items", [["short", "short"], ["rather a long one"]])
def test_more_is_counted_by_another_thread(items: list[str]) -> None:
    ((first, *others),) = asyncio.run(counted(items))
    assert first != threading.get_ident()
    assert len(others) == len(items) - 1


@pytest.mark.parametrize("items", [["odd"], ["odd", "short"], ["short", "odd"]])
def test_a_text_without_tokens_is_its_own_requests_affair(items: list[str]) -> None:
    odd, fine = asyncio.run(counted(items, ["rather a long one"]))
    assert isinstance(odd, ValueError)
    assert len(fine) == 1
