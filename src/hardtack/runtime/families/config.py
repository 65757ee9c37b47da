"""Values of a ``config.json`` with the type a family needs; what is missing or of another type is said by its key."""

from __future__ import annotations

from typing import Any

from hardtack.errors import NotDrawn
from hardtack.runtime.layout import Layout


def whole(layout: Layout, key: str, default: int | None = None) -> int:
    """A whole number; ``default`` where the config does not say."""
    value = _value(layout, key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(layout, key, "a whole number", value)
    return value


def number(layout: Layout, key: str, default: float | None = None) -> float:
    """A number; ``default`` where the config does not say."""
    value = _value(layout, key, default)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _wrong(layout, key, "a number", value)
    return float(value)


def text(layout: Layout, key: str, default: str | None = None) -> str:
    """A string; ``default`` where the config does not say."""
    value = _value(layout, key, default)
    if not isinstance(value, str):
        raise _wrong(layout, key, "a string", value)
    return value


def flag(layout: Layout, key: str, default: bool) -> bool:
    """True or false; ``default`` where the config does not say."""
    value = _value(layout, key, default)
    if not isinstance(value, bool):
        raise _wrong(layout, key, "true or false", value)
    return value


def refuse_unless(layout: Layout, key: str, *accepted: Any) -> None:
    """Raise :class:`UnsupportedModel` where the config says something else than ``accepted``; silence is accepted."""
    value = layout.config.get(key, accepted[0])
    if value not in accepted:
        raise _wrong(layout, key, " or ".join(str(value) for value in accepted), value)


def where(layout: Layout, key: str) -> str:
    """File and key, for messages."""
    return f"{layout.directory / 'config.json'}: {key}"


def _value(layout: Layout, key: str, default: Any) -> Any:
    value = layout.config.get(key)
    return default if value is None else value


def _wrong(layout: Layout, key: str, expected: str, value: Any) -> NotDrawn:
    return NotDrawn(
        "The model's config asks for something that is not drawn here.",
        where=where(layout, key),
        expected=expected,
        found="nothing" if value is None else repr(value),
    )
