"""A TOML text as typed values, each complaint with its file and line.

``tomllib`` tells the line of a syntax error but not of a value, so the lines of keys are found again in the text. The
reader knows neither manifest nor lock; it raises the error class it was given.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from hardtack.errors import HardtackError

E = TypeVar("E", bound=StrEnum)

_HEADER = re.compile(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)((?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*=""")
_PART = re.compile(r""""((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+)""")


class Table:
    """One TOML table that is read key by key; :meth:`finish` complains of what nobody asked for."""

    def __init__(self, document: Document, where: tuple[str | int, ...], values: Mapping[str, Any]) -> None:
        self.document = document
        self.where = where
        self._values = values
        self._asked: list[str] = []

    def fail(self, key: str | None, what: str, *, expected: str = "", found: object = None) -> HardtackError:
        """The error for a value of this table, with its line; to be raised by the caller."""
        place = self.where if key is None else (*self.where, key)
        shown = "" if found is None else repr(found) if isinstance(found, str) else str(found)
        return self.document.error(what, line=self.document.line_of(place), expected=expected, found=shown)

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        return key in self._values

    def _take(self, key: str, kind: type | tuple[type, ...], expected: str) -> Any:
        self._asked.append(key)
        value = self._values.get(key)
        if value is None:
            return None
        # bool is an int to Python; it is not one to the person who wrote the file
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.fail(key, f"`{key}` is of the wrong kind", expected=expected, found=value)
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """A string; without a default it must be there."""
        value = self._take(key, str, "a string")
        if value is None:
            if default is None:
                raise self.fail(None, f"`{key}` is missing", expected=f'{key} = "…"')
            return default
        assert isinstance(value, str)
        return value

    def integer(self, key: str) -> int | None:
        """A whole number, or None where the key is absent."""
        value: int | None = self._take(key, int, "a whole number")
        return value

    def flag(self, key: str) -> bool | None:
        """True or false, or None where the key is absent."""
        value: bool | None = self._take(key, bool, "true or false")
        return value

    def texts(self, key: str) -> tuple[str, ...] | None:
        """A list of strings, or None where the key is absent."""
        value = self._take(key, list, "a list of strings")
        if value is None:
            return None
        for item in value:
            if not isinstance(item, str):
                raise self.fail(key, f"`{key}` is of the wrong kind", expected="a list of strings", found=item)
        return tuple(value)

    def text_table(self, key: str) -> dict[str, str] | None:
        """A table of strings, or None where the key is absent."""
        value = self._take(key, dict, "a table of strings")
        if value is None:
            return None
        for name, item in value.items():
            if not isinstance(item, str):
                raise self.fail(key, f"`{key}.{name}` is of the wrong kind", expected="a string", found=item)
        return dict(value)

    def number_table(self, key: str) -> dict[str, float] | None:
        """A table of numbers, or None where the key is absent."""
        value = self._take(key, dict, "a table of numbers")
        if value is None:
            return None
        for name, item in value.items():
            if isinstance(item, bool) or not isinstance(item, int | float):
                raise self.fail(key, f"`{key}.{name}` is of the wrong kind", expected="a number", found=item)
        return {name: float(item) for name, item in value.items()}

    def choice(self, key: str, kind: type[E], default: E | None = None) -> E:
        """One word of a closed vocabulary."""
        value = self.text(key, None if default is None else default.value)
        try:
            return kind(value)
        except ValueError:
            expected = ", ".join(word.value for word in kind)
            raise self.fail(key, f"`{key}` is none of the known words", expected=expected, found=value) from None

    def table(self, key: str) -> Table | None:
        """A table within, or None where the key is absent."""
        value = self._take(key, dict, "a table")
        return None if value is None else Table(self.document, (*self.where, key), value)

    def tables(self, key: str) -> Iterator[Table]:
        """A list of tables (``[[key]]``, or inline ones); none where the key is absent."""
        value = self._take(key, list, "a list of tables") or []
        for number, item in enumerate(value):
            if not isinstance(item, dict):
                raise self.fail(key, f"`{key}` is of the wrong kind", expected="a list of tables", found=item)
            yield Table(self.document, (*self.where, key, number), item)

    def named_tables(self, key: str) -> Iterator[tuple[str, Table]]:
        """The tables ``[key.NAME]``, in file order; none where the key is absent."""
        value = self._take(key, dict, "tables by name") or {}
        for name, item in value.items():
            if not isinstance(item, dict):
                raise self.fail(key, f"`{key}.{name}` is of the wrong kind", expected="a table", found=item)
            yield name, Table(self.document, (*self.where, key, name), item)

    def finish(self) -> None:
        """Complain of the first key that was never asked for: a typo must not pass for a setting."""
        for key in self._values:
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, 1)
                expected = f"perhaps `{near[0]}`" if near else "one of " + ", ".join(sorted(set(self._asked)))
                raise self.fail(key, f"`{key}` is not a key that is known here", expected=expected, found=key)


class Document:
    """A parsed TOML text.

    Args:
        text: the text.
        name: the file's name, for messages.
        error: the class that complaints are raised as.
        mend: the command that mends such a file.

    Raises:
        HardtackError: as ``error``, where the text is not TOML.
    """

    def __init__(self, text: str, name: str, error: type[HardtackError], mend: str) -> None:
        self.name = name
        self._class = error
        self._mend = mend
        self._text = text
        self._lines: dict[tuple[str | int, ...], int] | None = None
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as problem:
            message = str(problem)
            at = re.search(r"\(at line (\d+), column (\d+)\)", message)
            line = int(at[1]) if at else len(text.splitlines())
            found = text.splitlines()[line - 1].strip() if 0 < line <= len(text.splitlines()) else "the end of the file"
            what = f"not valid TOML: {message.split(' (at')[0]}"
            raise self.error(what, line=line, expected="TOML", found=found) from None
        self.root = Table(self, (), values)

    def error(self, what: str, *, line: int | None, expected: str = "", found: str = "") -> HardtackError:
        """The error for a line of this file."""
        where = self.name if line is None else f"{self.name}:{line}"
        return self._class(what, where=where, expected=expected, found=found, mend=self._mend)

    def line_of(self, place: tuple[str | int, ...]) -> int | None:
        """The line, from 1, of a table or key; the nearest table around it where the key has no line of its own."""
        if self._lines is None:
            self._lines = _lines(self._text)
        while place:
            if place in self._lines:
                return self._lines[place]
            place = place[:-1]
        return None


def _lines(text: str) -> dict[tuple[str | int, ...], int]:
    """Where each table header, key and one-line inline table of an array begins. It may miss, not lie."""
    found: dict[tuple[str | int, ...], int] = {}
    counts: dict[tuple[str | int, ...], int] = {}
    table: tuple[str | int, ...] = ()
    array: tuple[str | int, ...] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if array is not None:
            if stripped.startswith("]"):
                array = None
            elif stripped.startswith("{"):
                item = (*array, counts.get(array, 0))
                counts[array] = counts.get(array, 0) + 1
                found[item] = number
            continue
        if header := _HEADER.match(line):
            table = ()
            parts = [a or b or c for a, b, c in _PART.findall(header[2])]
            for depth, part in enumerate(parts):
                table = (*table, part)
                if header[1] == "[[" and depth == len(parts) - 1:
                    found.setdefault(table, number)
                    counts[table] = counts.get(table, -1) + 1
                    table = (*table, counts[table])
                elif table in counts:
                    table = (*table, counts[table])
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            name = [a or b or c for a, b, c in _PART.findall(key[1] + key[2])]
            found.setdefault((*table, *name), number)
            if stripped.endswith("["):
                array = (*table, *name)
    return found
