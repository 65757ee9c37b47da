"""Sentences from a grammar in a text file.

``# name …`` opens a section and ``$slot = a | b`` defines a slot; every other line is a template, in which ``$slot``
stands for one of its values and ``(a|b|)`` for one of its parts. Parts and values may hold slots and brackets again.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path

_GROUP = re.compile(r"\(([^()]*)\)")
_SLOT = re.compile(r"\$(\w+)")


@dataclass(frozen=True)
class Grammar:
    """Templates by section, and the slots they share."""

    sections: dict[str, tuple[str, ...]]
    slots: dict[str, tuple[str, ...]]

    def sentence(self, section: str, rng: random.Random) -> str:
        """One sentence of a section."""
        text = rng.choice(self.sections[section])
        while found := _SLOT.search(text) or _GROUP.search(text):
            parts = self.slots[found[1]] if found[0].startswith("$") else found[1].split("|")
            text = text[: found.start()] + rng.choice(parts) + text[found.end() :]
        text = re.sub(r"\s+", " ", text).strip()
        return re.sub(r" ([,.])", r"\1", text)


def read(path: Path) -> Grammar:
    """The grammar in a file."""
    sections: dict[str, list[str]] = {}
    slots: dict[str, tuple[str, ...]] = {}
    current: list[str] = []
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("# "):
            current = sections.setdefault(line[2:].strip(), [])
        elif line.startswith("$") and " = " in line:
            name, _, values = line[1:].partition(" = ")
            slots[name] = tuple(v.strip() for v in values.split(" | "))
        elif line.strip():
            current.append(line.strip())
    return Grammar({k: tuple(v) for k, v in sections.items()}, slots)
