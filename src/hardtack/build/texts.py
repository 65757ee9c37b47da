"""The texts that a build is calibrated on, and those it is held to: ours, or the user's own.

Two sets that share no text. A file is JSONL (a row is a string, ``{"text": …}``, ``{"query": …, "document": …}`` or
``{"query": …, "documents": […]}``), or any other text file, a text a line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hardtack.errors import DiskError, ManifestError
from hardtack.spec.digest import hash_bytes

_OURS = Path(__file__).with_name("data")
CALIBRATION = _OURS / "calibration.jsonl"
GATE = _OURS / "gate.jsonl"
_LEAST = 16  # fewer texts say nothing about a first percentile, nor about the range of an activation
_GROUP = 11  # texts that make a query and ten documents where a file has no queries

Pair = tuple[str, str]


@dataclass(frozen=True)
class Question:
    """A query and documents that answer it more or less."""

    query: str
    documents: tuple[str, ...]


@dataclass(frozen=True)
class Texts:
    """A set of texts.

    Attributes:
        texts: all of them, queries too, in the file's order.
        questions: those that come as a query with documents.
        digest: ``sha256:`` of the file's bytes.
        path: the file.
    """

    texts: tuple[str, ...]
    questions: tuple[Question, ...]
    digest: str
    path: Path

    @property
    def mixed(self) -> tuple[str, ...]:
        """The texts, and each question's documents joined to one long text, so that lengths vary."""
        return (*self.texts, *(" ".join(question.documents) for question in self.questions))

    @property
    def ranked(self) -> tuple[Question, ...]:
        """Queries with documents: each question with the next one's besides, so that some fit well and some do not.

        Where a file has no queries, the first of every eleven texts is taken for one.
        """
        questions = self.questions
        if not questions:
            rest = iter(self.texts)
            while len(group := tuple(islice(rest, _GROUP))) > 1:
                questions += (Question(group[0], group[1:]),)
            return questions
        following = (*questions[1:], questions[0])
        return tuple(
            Question(one.query, one.documents + tuple(text for text in other.documents if text not in one.documents))
            for one, other in zip(questions, following, strict=True)
        )

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """(query, document) of :attr:`ranked`, all of them."""
        return tuple((question.query, document) for question in self.ranked for document in question.documents)


def read_texts(path: Path, *, key: str = "calibration") -> Texts:
    """Read a set of texts.

    Args:
        path: the file.
        key: the manifest's key that names it, for messages.

    Raises:
        ManifestError: it is not there, is not what the module says, or has fewer than 16 texts.
        DiskError: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise _wrong(path, key, "a file of texts", "no such file") from None
    except OSError as problem:
        raise DiskError(
            "a file of texts cannot be read", where=str(path), expected="a readable file",
            found=problem.strerror or str(problem), mend=f"ls -l {path}",
        ) from problem  # fmt: skip
    texts: list[str] = []
    questions: list[Question] = []
    for number, row in _rows(path, key, data):
        match row:
            case str(text) | {"text": str(text)}:
                texts.append(text)
            case {"query": str(query), "document": str(document)}:
                texts += [query, document]
                questions.append(Question(query, (document,)))
            case {"query": str(query), "documents": [*documents]} if documents and all(
                isinstance(document, str) for document in documents
            ):
                texts += [query, *documents]
                questions.append(Question(query, tuple(documents)))
            case _:
                raise _wrong(path, key, 'a string, {"text": …} or {"query": …, "documents": […]}', f"line {number}")
    if len(texts) < _LEAST:
        raise _wrong(path, key, f"{_LEAST} texts or more", f"{len(texts)}")
    return Texts(tuple(texts), _merged(questions), "sha256:" + hash_bytes(data).sha256, path)


def _rows(path: Path, key: str, data: bytes) -> Iterator[tuple[int, Any]]:
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError as problem:
        raise _wrong(path, key, "UTF-8", str(problem)) from None
    as_json = path.suffix in (".jsonl", ".ndjson", ".json")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line) if as_json else line
        except ValueError as problem:
            raise _wrong(path, key, "JSON, a value a line", f"line {number}: {problem}") from None


def _merged(questions: list[Question]) -> tuple[Question, ...]:
    """Rows of one query and one document each are one question with several."""
    merged: dict[str, tuple[str, ...]] = {}
    for question in questions:
        merged[question.query] = merged.get(question.query, ()) + question.documents
    return tuple(Question(query, documents) for query, documents in merged.items())


def _wrong(path: Path, key: str, expected: str, found: str) -> ManifestError:
    return ManifestError(
        f"the texts of `{key}` cannot be used", where=str(path), expected=expected, found=found,
        mend=f"${{EDITOR:-vi}} {path}",
    )  # fmt: skip
