"""How often something is tried again, and after how long: the one policy for every request to a Hub."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar

T = TypeVar("T")

# Statuses that a later attempt may not meet.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_RATE_LIMIT = re.compile(r"\br=0\b.*?\bt=(\d{1,6})\b|\bt=(\d{1,6})\b.*?\br=0\b")


class Transient(Exception):
    """A failure that another attempt may not meet.

    Attributes:
        after: seconds that the server asked for, or None.
        progressed: whether the attempt brought something lasting, so that counting begins anew.
        cause: what failed underneath.
    """

    def __init__(
        self, reason: str, *, after: float | None = None, progressed: bool = False, cause: Exception | None = None
    ) -> None:
        super().__init__(reason)
        self.after = after
        self.progressed = progressed
        self.cause = cause


@dataclass(frozen=True)
class Patience:
    """How long to keep trying.

    Attributes:
        attempts: failures in a row, without progress between them, before giving up.
        base: seconds before the second attempt; doubled before each further one, up to ``longest``.
        longest: seconds; the Hub's rate limits have windows of 300 s, and nobody is served by a longer wait.
        sleep, now: the clock; ``now`` is in seconds since the epoch.
    """

    attempts: int = 5
    base: float = 0.5
    longest: float = 300.0
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time

    def persist(self, attempt: Callable[[], T]) -> T:
        """Call ``attempt`` until it returns.

        Raises:
            Transient: the last one, when patience is at an end.
        """
        failures = 0
        while True:
            try:
                return attempt()
            except Transient as problem:
                failures = 1 if problem.progressed else failures + 1
                wait = self.base * 2 ** (failures - 1) if problem.after is None else problem.after
                if failures >= self.attempts or wait > self.longest:
                    raise
                self.sleep(wait)

    def asked_for(self, headers: Mapping[str, str]) -> float | None:
        """Seconds that an answer asks to wait: ``Retry-After`` (RFC 9110), else the Hub's ``RateLimit`` with ``r=0``.

        ``RateLimit: "api";r=0;t=55`` is draft-ietf-httpapi-ratelimit-headers, section 4, as the Hub sends it.
        """
        said = headers.get("retry-after", "").strip()
        if said.isdecimal():
            return float(said)
        if said:
            try:
                return max(0.0, parsedate_to_datetime(said).timestamp() - self.now())
            except ValueError:
                return None
        match = _RATE_LIMIT.search(headers.get("ratelimit", ""))
        return float(match[1] or match[2]) if match else None
