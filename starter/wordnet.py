"""WordNet 3.0 as training text: words, definitions, examples, and which lies under which.

Reads the data files of Debian's package ``wordnet-base`` (licence: WordNet 3.0, permissive, see README.md). Knows the
format of https://wordnet.princeton.edu/documentation/wndb5wn and refuses nothing: a line it cannot read is a broken
installation and raises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
_MARKER = re.compile(r"\((?:a|p|ip)\)$")


@dataclass(frozen=True)
class Synset:
    """One meaning.

    Attributes:
        id: part of speech and offset, such as ``n00001740``.
        words: what can be said for it, spaces for underscores.
        definition: what it means.
        examples: sentences with it.
        above: ids of its hypernyms.
        related: ids of its other neighbours (parts, similar meanings, attributes).
    """

    id: str
    words: tuple[str, ...]
    definition: str
    examples: tuple[str, ...]
    above: tuple[str, ...]
    related: tuple[str, ...]


def read(directory: Path) -> list[Synset]:
    """Every synset of WordNet, in file order.

    Args:
        directory: where ``data.noun`` and its kin lie, ``/usr/share/wordnet`` on Debian.
    """
    return [
        _synset(line)
        for part in _PARTS
        for line in (directory / f"data.{part}").read_text("latin-1").splitlines()
        if not line.startswith(" ")
    ]


def _synset(line: str) -> Synset:
    head, _, gloss = line.partition("|")
    fields = head.split()
    part = "a" if fields[2] == "s" else fields[2]
    count = int(fields[3], 16)
    words = tuple(_MARKER.sub("", fields[4 + 2 * k]).replace("_", " ") for k in range(count))
    start = 4 + 2 * count
    pointers = [fields[start + 1 + 4 * k : start + 5 + 4 * k] for k in range(int(fields[start]))]
    above = tuple(kind + offset for symbol, offset, kind, _ in pointers if symbol in {"@", "@i"})
    related = tuple(kind + offset for symbol, offset, kind, _ in pointers if symbol[0] in "%#&=*>^$")
    examples = tuple(re.findall(r'"([^"]{12,})"', gloss))
    definition = re.sub(r'\s*;?\s*"[^"]*"?.*$', "", gloss.strip()).strip(" ;")
    return Synset(part + fields[0], words, definition, examples, above, related)
