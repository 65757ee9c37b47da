"""Where in a TOML text each table and key begins: ``tomllib`` gives values and keeps no places.

A walk over the tokens of a text that ``tomllib`` has already accepted; it reads no values and checks nothing.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field

Place = tuple[str | int, ...]

# Strings and comments whole, so that what only looks like a header or a key inside them is neither.
_TOKEN = re.compile(
    r'''(?P<skip>\#[^\n]*|[ \t\r]+)
    |(?P<word>"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|[^\s\[\]{}=,.\#"']+)
    |(?P<mark>[\[\]{}=,.\n])''',
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Start:
    """Where a statement, a header or a ``key = value`` outside of any value, begins; lines count from 1."""

    line: int
    place: Place
    is_header: bool


@dataclass
class _Frame:
    """An open table or array: where it is, and how many items of an array, or words of a key, have been read."""

    place: Place
    is_array: bool = False
    items: int = 0
    key: list[str] = field(default_factory=list)
    in_value: bool = False

    @property
    def here(self) -> Place:
        """The place of the value that is being read."""
        return (*self.place, self.items) if self.is_array else (*self.place, *self.key)


def find_lines(text: str) -> tuple[dict[Place, int], list[Start]]:
    """The line, from 1, of every table, key and table in an array; and every statement, in order.

    A table that no line opens has the line of its first key.

    Args:
        text: valid TOML.
    """
    found: dict[Place, int] = {}
    starts: list[Start] = []
    counts: dict[Place, int] = {}  # of each [[array]], the index of its last table
    frames = [_Frame(())]
    header: list[str] | None = None
    brackets = 0
    line = 1
    for token in _TOKEN.finditer(text):
        word, mark = token["word"], token["mark"]
        top = frames[-1]
        if header is not None:
            if word:
                header.append(_unquoted(word))
            elif mark == "[":
                brackets += 1
            elif mark == "]":
                frames = [_Frame(_open(header, brackets == 2, line, found, counts))]
                starts.append(Start(line, frames[0].place, True))
                header = None
        elif mark == "[" and not top.is_array and not top.in_value:
            header, brackets = [], 1
        elif word and not top.is_array and not top.in_value:
            top.key.append(_unquoted(word))
        elif mark == "=":
            for end in range(len(top.place) + 1, len(top.here) + 1):
                found.setdefault(top.here[:end], line)
            if len(frames) == 1:
                starts.append(Start(line, top.here, False))
            top.in_value = True
        elif mark in ("[", "{"):
            found.setdefault(top.here, line)
            frames.append(_Frame(top.here, is_array=mark == "["))
        elif mark in ("]", "}"):
            if len(frames) > 1:  # else it is the second of a header's "]]"
                frames.pop()
        elif mark == "," or (mark == "\n" and len(frames) == 1):
            top.items += 1
            top.key, top.in_value = [], False
        line += token[0].count("\n")
    return found, starts


def _open(header: list[str], in_array: bool, line: int, found: dict[Place, int], counts: dict[Place, int]) -> Place:
    """Note a table header, and return the place of the table that it opens."""
    place: Place = ()
    for part in header[:-1]:
        place = (*place, part)
        found.setdefault(place, line)
        if place in counts:
            place = (*place, counts[place])
    place = (*place, header[-1])
    if in_array:
        found.setdefault(place, line)
        counts[place] = counts.get(place, -1) + 1
        place = (*place, counts[place])
    found[place] = line
    return place


def _unquoted(word: str) -> str:
    if word[0] not in "\"'":
        return word
    text: str = tomllib.loads(f"key = {word}")["key"]
    return text
