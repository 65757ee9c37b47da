"""A large Unigram vocabulary of which only what the texts need is loaded, until it pays to load all of it.

``tokenizers`` takes 0.6 s and 0.5 GB to make its tables of XLM-R's 250,000 pieces, most of a reranker's cold start, and
a first query is cut into a dozen of them. A Unigram model weighs every way to cut a word into pieces that occur in it,
so a model of just those pieces (and of the worst score, by which an unknown character is weighed) cuts the word in the
same way. Reading the list of pieces takes a third of the time. Once more than :data:`ENOUGH` characters of new words
came by, the whole vocabulary is loaded, once, and nothing here is in the way any more.

https://github.com/huggingface/tokenizers/blob/main/tokenizers/src/models/unigram/model.rs
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

ENOUGH = 20_000
"""Characters of words not seen before, over the life of a tokenizer, that are looked up one by one."""

_LARGE = 4 * 2**20
"""Bytes of a ``tokenizer.json`` from which on this is worth it."""

_MOST_FIXED = 1000
"""Pieces that are always loaded, at most: the first ones, which the post-processor names by their numbers."""

_POST_PROCESSORS = ("TemplateProcessing", "RobertaProcessing", "BertProcessing")
"""Those whose way of naming pieces by number is known here."""

Numbers = NDArray[np.int64]
Pieces = list[tuple[str, float]]


class OnDemand:
    """The vocabulary of one tokenizer. Safe to call from several threads at once.

    Args:
        data: the bytes of ``tokenizer.json``, for when all of it is loaded.
        parts: the same, parsed.
        prepare: sets up every tokenizer that is made of them.
    """

    def __init__(self, data: bytes, parts: Mapping[str, Any], prepare: Callable[[Tokenizer], None]) -> None:
        self._data: bytes | None = data
        self._prepare = prepare
        self._shell = {name: part for name, part in parts.items() if name != "model"}
        self._model = {name: part for name, part in parts["model"].items() if name != "vocab"}
        self._pieces: Pieces = parts["model"]["vocab"]
        self._number = {piece: number for number, (piece, _) in enumerate(self._pieces)}
        self._longest = max(map(len, self._number))
        self._added = tuple(token["content"] for token in parts["added_tokens"])
        # in front, in the order of their numbers; the worst score decides what an unknown character costs
        worst = min(range(len(self._pieces)), key=lambda number: self._pieces[number][1])
        fixed = {*range(_fixed(parts) + 1), *(self._number[each] for each in self._added), worst}
        self._taken = dict.fromkeys(sorted(fixed))
        self._seen: set[str] = set()
        self._spent = 0
        self._growing = Lock()
        self._current: tuple[Tokenizer, Numbers | None] = self._made()

    @property
    def complete(self) -> bool:
        """Whether all of it is loaded, and nothing that comes need be looked up any more."""
        return self._data is None

    def for_texts(self, texts: Sequence[str]) -> tuple[Tokenizer, Numbers | None]:
        """A tokenizer that cuts these texts as the whole one does, and what its ids stand for; None: themselves."""
        with self._growing:
            if self._data is None:
                return self._current
            # an added token is cut out before words are found, which changes those beside it
            if any(added in text for text in texts for added in self._added):
                return self._complete()
            words = {word for text in texts for word in self._words(text)} - self._seen
            self._spent += sum(map(len, words))
            if self._spent > ENOUGH:
                return self._complete()
            known = len(self._taken)
            self._taken.update(dict.fromkeys(chain.from_iterable(map(self._found_in, words))))
            self._seen |= words
            if len(self._taken) > known:
                self._current = self._made()
            return self._current

    def whole(self) -> Tokenizer:
        """The tokenizer with its whole vocabulary."""
        with self._growing:
            return self._complete()[0] if self._data is not None else self._current[0]

    def _words(self, text: str) -> Iterable[str]:
        tokenizer = self._current[0]
        if tokenizer.normalizer is not None:
            text = tokenizer.normalizer.normalize_str(text)
        return (word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))

    def _found_in(self, word: str) -> Iterator[int]:
        number, longest = self._number, self._longest
        for start in range(len(word)):
            for end in range(start + 1, min(len(word), start + longest) + 1):
                found = number.get(word[start:end])
                if found is not None:
                    yield found

    def _made(self) -> tuple[Tokenizer, Numbers]:
        """A tokenizer of the pieces that are taken so far; their numbers in it are their places in that order."""
        taken = list(self._taken)
        model = {**self._model, "vocab": [self._pieces[number] for number in taken]}
        model["unk_id"] = taken.index(self._model["unk_id"])
        tokenizer: Tokenizer = Tokenizer.from_str(json.dumps({**self._shell, "model": model}))
        self._prepare(tokenizer)
        return tokenizer, np.array(taken, np.int64)

    def _complete(self) -> tuple[Tokenizer, Numbers | None]:
        assert self._data is not None
        tokenizer: Tokenizer = Tokenizer.from_buffer(self._data)
        self._prepare(tokenizer)
        self._current = tokenizer, None
        self._data = None
        self._number, self._pieces, self._seen, self._taken = {}, [], set(), {}
        return self._current


def on_demand(data: bytes, prepare: Callable[[Tokenizer], None]) -> OnDemand | None:
    """The vocabulary of a ``tokenizer.json``, if it is a large one of the kind that can be loaded in part."""
    if len(data) < _LARGE or b'"Unigram"' not in data:
        return None
    try:
        parts = json.loads(data)
    except ValueError:
        return None  # whoever loads all of it says what is wrong
    return OnDemand(data, parts, prepare) if _can(parts) else None


def _can(parts: Any) -> bool:
    """Whether these are parts that the reasoning above holds for."""
    model = parts.get("model") if isinstance(parts, dict) else None
    if not isinstance(model, dict) or model.get("type") != "Unigram" or model.get("byte_fallback"):
        return False
    vocabulary, unknown = model.get("vocab"), model.get("unk_id")
    if not vocabulary or not isinstance(unknown, int) or not parts.get("pre_tokenizer"):
        return False
    post = parts.get("post_processor")
    if post is not None and post.get("type") not in _POST_PROCESSORS:
        return False
    pieces = {row[0] for row in vocabulary}
    added: Sequence[Mapping[str, Any]] = parts.get("added_tokens") or ()
    return (
        len(pieces) == len(vocabulary)
        and all(token["content"] in pieces and token["content"] for token in added)
        and _fixed(parts) < _MOST_FIXED
    )


def _fixed(parts: Mapping[str, Any]) -> int:
    """The greatest number of a piece that the parts name by its number, not by its text."""
    post = parts.get("post_processor") or {}
    named = [each for token in post.get("special_tokens", {}).values() for each in token["ids"]]
    pairs = [post[name][1] for name in ("sep", "cls") if name in post]
    greatest: int = max([parts["model"]["unk_id"], *named, *pairs])
    return greatest
