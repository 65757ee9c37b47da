"""How much one request, one batch and the whole queue may be: numbers only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a service takes on.

    Attributes:
        body: bytes of a request's body.
        texts: texts (or pairs) in one request.
        queue: texts that wait or run at once, of all requests to one model.
        each_token: tokens of a request that wants the vector of each: an answer has thousands of bytes for one.
        wait: seconds that a request may wait for its turn; one that would surely wait longer is refused at once.
        receive: seconds in which a body has to arrive.
        batch_rows: texts that run together; as the model's own budget has it, where there is a model.
        batch_tokens: tokens that run together, padding counted; likewise.
        small_texts: up to so many texts a request goes before bulk.
        small_tokens: and up to so many tokens in all.
    """

    body: int = 8 * 2**20
    texts: int = 2048
    queue: int = 16384
    each_token: int = 8192
    wait: float = 10.0
    receive: float = 30.0
    batch_rows: int = 32
    batch_tokens: int = 1024
    small_texts: int = 8
    small_tokens: int = 1024
