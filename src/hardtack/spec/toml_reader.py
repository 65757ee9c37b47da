"""A TOML text as typed values, each complaint with its file and line.

The reader knows neither manifest nor lock; it raises the error class it was given, and nothing else, whatever the text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from hardtack.errors import HardtackError
from hardtack.spec.toml_lines import Place, find_lines

E = TypeVar("E", bound=StrEnum)

_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_INT64 = 1 << 63  # TOML's whole numbers are of 64 bits; Python's have no end
_SHOWN_MOST = 200
_LISTED_MOST = 1000  # the keys that a table may have are listed whole; a name in a file may have no end
_BOM = "\ufeff"


class Table:
    """One TOML table that is read key by key; :meth:`finish` complains of what nobody asked for."""

    def __init__(self, document: Document, where: Place, values: Mapping[str, Any]) -> None:
        self.document = document
        self.where = where
        self._values = values
        self._asked: list[str] = []

    def fail(
        self, key: str | tuple[str, str] | None, what: str, *, expected: str = "", found: object = None
    ) -> HardtackError:
        """The error for a value of this table, with its line; to be raised by the caller.

        ``key`` may be a pair, for a value within a value; ``found`` is shown as it is, a string in quotes.
        """
        place = (*self.where, *((key,) if isinstance(key, str) else key or ()))
        text = "" if found is None else shown(repr(found) if isinstance(found, str) else found)
        return self.document.error(what, line=self.document.line_of(place), expected=expected, found=text)

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
        if value is not None and not -_INT64 <= value < _INT64:
            raise self.fail(key, f"`{key}` is too large", expected="a whole number of 64 bits", found=value)
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
                raise self.fail((key, name), f"`{key}.{name}` is of the wrong kind", expected="a string", found=item)
        return dict(value)

    def number_table(self, key: str) -> dict[str, float] | None:
        """A table of finite numbers, or None where the key is absent."""
        value = self._take(key, dict, "a table of numbers")
        if value is None:
            return None
        for name, item in value.items():
            if isinstance(item, bool) or not isinstance(item, int | float):
                raise self.fail((key, name), f"`{key}.{name}` is of the wrong kind", expected="a number", found=item)
            # an int is compared before it is turned into a float, which would overflow; nan passes no comparison
            if not -_INT64 <= item < _INT64:
                raise self.fail(
                    (key, name), f"`{key}.{name}` is no finite number", expected="a finite number", found=item
                )
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
                raise self.fail((key, name), f"`{key}.{name}` is of the wrong kind", expected="a table", found=item)
            yield name, Table(self.document, (*self.where, key, name), item)

    def finish(self) -> None:
        """Complain of the first key that was never asked for: a typo must not pass for a setting."""
        for key in self._values:
            if key not in self._asked:
                import difflib  # for a complaint only: where every key is known, a load does without

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
        self._lines: dict[Place, int] | None = None
        if text.startswith(_BOM):
            raise self.error("the file begins with a byte order mark", line=1, expected="UTF-8 without one")
        try:
            text.encode()
            values = tomllib.loads(text)
        except UnicodeEncodeError as problem:
            line = text.count("\n", 0, problem.start) + 1
            raise self.error("half a surrogate pair is no text", line=line, expected="Unicode text") from None
        except tomllib.TOMLDecodeError as problem:
            raise self._not_toml(str(problem)) from None
        except RecursionError:
            raise self.error("the values are nested too deep", line=None, expected="a few levels") from None
        except ValueError:  # Python's bound on the digits of an int; tomllib lets no other one through
            raise self.error("a number is too long", line=None, expected="a number of 64 bits") from None
        self.root = Table(self, (), values)

    def _not_toml(self, message: str) -> HardtackError:
        lines = self._text.split("\n")
        at = _AT.search(message)
        number = int(at[1]) if at and at[1] else None
        return self.error(
            f"not valid TOML: {message[: at.start()] if at else message}",
            line=len(lines) if number is None else number, expected="TOML",
            found="the end of the file" if number is None else shown(lines[number - 1].strip()),
        )  # fmt: skip

    def error(self, what: str, *, line: int | None, expected: str = "", found: str = "") -> HardtackError:
        """The error for a line of this file."""
        where = self.name if line is None else f"{self.name}:{line}"
        return self._class(
            shown(what), where=where, expected=shown(expected, _LISTED_MOST), found=found, mend=self._mend
        )

    def line_of(self, place: Place) -> int | None:
        """The line, from 1, of a table or key; of what is around it where it is not there."""
        if self._lines is None:
            self._lines, _ = find_lines(self._text)
        while place:
            if place in self._lines:
                return self._lines[place]
            place = place[:-1]
        return None


def shown(value: object, most: int = _SHOWN_MOST) -> str:
    """A value as a message shows it: nothing without end, and nothing that a terminal would obey."""
    try:
        text = str(value)
    except (ValueError, RecursionError):  # thousands of digits, thousands of levels
        return "a value too long to show"
    cut = text if len(text) <= most else text[:most] + "…"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)
