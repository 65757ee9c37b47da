from __future__ import annotations

import pytest

from hardtack.serve.auth import Keys


def test_without_keys_everybody_may_ask() -> None:
    assert not Keys()
    assert Keys().allow(b"", b"")


@pytest.mark.parametrize(
    ("authorization", "x_api_key", "allowed"),
    [
        (b"Bearer one", b"", True),
        (b"bearer  two", b"", True),
        (b"", b"two", True),
        (b"Bearer wrong", b"one", True),
        (b"", b"", False),
        (b"one", b"", False),
        (b"Basic one", b"", False),
        (b"Bearer one ", b"", True),
        (b"Bearer on", b"", False),
        (b"Bearer one\xff", b"\xff", False),
    ],
)
def test_either_header_may_show_one(authorization: bytes, x_api_key: bytes, allowed: bool) -> None:
    assert Keys(["one", "two"]).allow(authorization, x_api_key) is allowed


def test_every_key_is_compared_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import hmac

    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def watched(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    keys = Keys(["one", "two", "three"])
    for shown in (b"Bearer one", b"Bearer nothing at all that is as long as this", b""):
        compared.clear()
        keys.allow(shown, b"")
        assert compared == [(32, 32)] * 6
