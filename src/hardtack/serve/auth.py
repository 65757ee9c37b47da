"""Who may ask: API keys, compared in constant time.

Neither how long a comparison takes nor where it ends says anything of a key: digests are compared, all of them, always.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable


class Keys:
    """The keys that are taken; with none, everybody may ask.

    Args:
        keys: the keys themselves; only their digests are kept.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = [_digest(key.encode()) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def allow(self, authorization: bytes, x_api_key: bytes) -> bool:
        """Whether a request may pass that has these headers, ``Authorization: Bearer …`` and ``X-API-Key: …``."""
        if not self._digests:
            return True
        scheme, _, token = authorization.partition(b" ")
        bearer = token.strip() if scheme.lower() == b"bearer" else b""
        allowed = False
        for shown in (bearer, x_api_key.strip()):
            digest = _digest(shown)
            for known in self._digests:
                allowed |= hmac.compare_digest(digest, known)
        return allowed


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
