"""Every way the service says no to a request. Each dialect has its own status and form for each kind."""

from __future__ import annotations

from enum import StrEnum

from hardtack.errors import HardtackError, Misused


class Kind(StrEnum):
    """Why a request is refused."""

    INVALID = "invalid"
    """The body, or a value in it, is not what the endpoint takes."""
    TOO_LARGE = "too large"
    """More bytes, texts or tokens than one request may have."""
    MEDIA_TYPE = "media type"
    """The body is not said to be JSON."""
    UNAUTHORIZED = "unauthorized"
    NO_SUCH_PATH = "no such path"
    WRONG_METHOD = "wrong method"
    NO_SUCH_MODEL = "no such model"
    WRONG_TASK = "wrong task"
    """There is such a model, but not for this."""
    OVERLOADED = "overloaded"
    """The queue is full; ``retry_after`` says when to come again."""
    TOO_SLOW = "too slow"
    """The body did not arrive in time."""
    NOT_READY = "not ready"
    """The model is being loaded, or the service is ending."""
    FAILED = "failed"
    """Our own fault."""


class Refusal(Exception):
    """A request is refused.

    Args:
        kind: why.
        what: one sentence for whoever sent it.
        param: the field it concerns.
        retry_after: seconds after which it may be worth trying again, or None.
    """

    def __init__(self, kind: Kind, what: str, *, param: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(what)
        self.kind = kind
        self.what = what
        self.param = param
        self.retry_after = retry_after


def refusal_of(problem: HardtackError) -> Refusal:
    """What a model's own complaint means to whoever sent the request: theirs if it is about the input, else ours."""
    kind = Kind.INVALID if isinstance(problem, Misused) else Kind.FAILED
    details = "; ".join(f"{name} {value}" for name in ("expected", "found") if (value := getattr(problem, name)))
    return Refusal(kind, f"{problem.what} ({details})" if details else problem.what, param=problem.where or None)
