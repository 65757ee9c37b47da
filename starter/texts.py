"""Every text that the starter models learn from, and nothing that judges them."""

from __future__ import annotations

import csv
import json
import random
import re
from pathlib import Path

import grammar
from wordnet import Synset

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests/starter"
NEAR = 0.6  # share of words from which on two sentences count as the same


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def words(text: str) -> frozenset[str]:
    """The words of a text, in lower case."""
    return frozenset(re.findall(r"[a-z0-9]+", text.lower()))


class Judges:
    """The sentences of ``tests/starter``: nothing that comes near one may be learnt from."""

    def __init__(self, directory: Path = TESTS) -> None:
        rows = [json.loads(line) for name in ("home", "rerank") for line in _lines(directory / f"{name}.jsonl")]
        texts = [t for r in rows for t in (r.get("text"), r.get("query"), *r.get("documents", ())) if t]
        self._sets = [words(t) for t in texts]

    def know(self, text: str) -> bool:
        """Whether a text shares most of its words with one of theirs."""
        mine = words(text)
        return any(len(mine & other) > NEAR * len(mine | other) for other in self._sets)


def from_wordnet(synsets: list[Synset]) -> list[str]:
    """Words, definitions, examples."""
    return sorted({t for s in synsets for t in (s.definition, *s.examples, *s.words) if t})


def paragraphs(synsets: list[Synset], count: int, seed: int) -> list[str]:
    """Longer texts about one thing: a word, its definition, examples, and the same of its neighbours."""
    rng = random.Random(seed)
    by_id = {s.id: s for s in synsets}
    below: dict[str, list[str]] = {}
    for s in synsets:
        for above in s.above:
            below.setdefault(above, []).append(s.id)
    found = set()
    while len(found) < count:
        s = rng.choice(synsets)
        near = [*s.above, *s.related, *below.get(s.id, []), *(b for a in s.above for b in below[a])]
        near = [n for n in near if n in by_id and n != s.id]
        parts = [s, *(by_id[n] for n in rng.sample(near, min(len(near), rng.randint(1, 6))))]
        said = [
            rng.choice(("{w}: {d}.", "{w} is {d}.", "{d}.", "the {w}, {d}.")).format(w=p.words[0], d=p.definition)
            + "".join(f" {e}." for e in p.examples[:2])
            for p in parts
        ]
        found.add(" ".join(said))
    return sorted(found)


def spoken(real: Path) -> list[str]:
    """Questions to a bank (BANKING77's training part) and commands to a house, without their labels."""
    with (real / "eval/banking77/train.csv").open(encoding="utf-8", newline="") as file:
        bank = {row["text"].strip() for row in csv.DictReader(file)}
    house = {json.loads(line)["text"] for line in _lines(real / "eval/home-assistant-intents/en.jsonl")}
    return sorted(bank | house)


def generated(name: str, count: int, seed: int) -> list[tuple[str, str]]:
    """Different (sentence, section) pairs of one of our grammars, far from the judges, sections equally often."""
    rng, judges = random.Random(seed), Judges()
    book = grammar.read(HERE / f"{name}.grammar")
    sections = list(book.sections)
    found: dict[str, str] = {}
    for k in range(count):
        section = sections[k % len(sections)]
        text = book.sentence(section, rng)
        if text not in found and not judges.know(text):
            found[text] = section
    return list(found.items())
