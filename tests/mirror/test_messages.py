from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardtack.mirror.messages import Request, Response, Unsatisfiable, byte_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", (0, 0)),
        ("bytes=0-", (0, 99)),
        ("bytes=40-", (40, 99)),
        ("bytes=40-49", (40, 49)),
        ("bytes=40-1000", (40, 99)),
        ("bytes=99-", (99, 99)),
        ("bytes=-1", (99, 99)),
        ("bytes=-30", (70, 99)),
        ("bytes=-1000", (0, 99)),
        (" bytes=0-9 ", (0, 9)),
        # What RFC 9110 lets a server ignore.
        ("bytes=0-1,5-6", None),
        ("bytes=9-1", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("items=0-1", None),
        ("bytes 0-1", None),
        ("", None),
        (f"bytes={'9' * 30}-", None),
    ],
)
def test_ranges(header: str | None, expected: tuple[int, int] | None) -> None:
    assert byte_range(header, 100) == expected


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-0", 0), ("bytes=-5", 0)]
)
def test_ranges_that_hold_nothing(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        byte_range(header, size)


@settings(deadline=None)
@given(st.binary(max_size=50), st.integers(0, 60), st.one_of(st.none(), st.integers(0, 60)))
def test_a_range_is_the_slice_that_python_means(content: bytes, first: int, last: int | None) -> None:
    header = f"bytes={first}-{'' if last is None else last}"
    expected = content[first : None if last is None else last + 1]
    if last is not None and last < first:
        assert byte_range(header, len(content)) is None
    elif not expected:
        with pytest.raises(Unsatisfiable):
            byte_range(header, len(content))
    else:
        span = byte_range(header, len(content))
        assert span is not None
        assert content[span[0] : span[1] + 1] == expected


@settings(deadline=None)
@given(st.one_of(st.text(), st.from_regex(r"bytes=[0-9,-]*")), st.integers(0, 1 << 40))
def test_a_range_is_never_outside(header: str, size: int) -> None:
    try:
        span = byte_range(header, size)
    except Unsatisfiable:
        return
    assert span is None or 0 <= span[0] <= span[1] < size


def test_a_request_s_parameters() -> None:
    request = Request("GET", "/", "a=1&a=2&on=True&off=false&empty=")
    assert (request.values("a"), request.value("a"), request.value("b")) == (["1", "2"], "2", None)
    assert [name for name in ("a", "on", "off", "empty", "b") if request.flag(name)] == ["on"]


def test_a_response_s_headers() -> None:
    response = Response.json({"a": 1}, ("X-A", "1"))
    assert response.header("x-a") == "1"
    assert response.header("content-length") == str(len(b'{"a": 1}'))
    assert response.with_headers(("x-A", "2"), ("B", "3")).headers[-2:] == (("x-A", "2"), ("B", "3"))
    assert response.without_header("X-a").header("X-A") is None
