"""Values as TOML writes them, on one line each. What they are for, and in what order, is the caller's affair."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


def toml_value(value: object) -> str:
    """A string, number, flag, list or (inline) table.

    Raises:
        TypeError: it is none of these.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            # JSON's string is TOML's basic string, but for DEL, which TOML wants escaped
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list() | tuple():
            return "[" + ", ".join(toml_value(item) for item in value) + "]"
        case Mapping():
            items = ", ".join(f"{toml_name(name)} = {toml_value(item)}" for name, item in value.items())
            return f"{{ {items} }}" if items else "{}"
    raise TypeError(f"TOML has no {type(value).__name__}")


def toml_name(name: str) -> str:
    """A key, quoted where it must be."""
    return name if _BARE.match(name) else toml_value(name)
