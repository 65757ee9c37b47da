"""What each kind of model does with a request: count its tokens first, then answer rows of many requests at once.

Runs on threads; knows no queue and no HTTP. One text that a model cannot answer never spoils the batch it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hardtack.runtime.classifier import Classified, Classifier
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.manager import Model
from hardtack.runtime.reranker import Reranker
from hardtack.runtime.tokens import Tokenized

Item = TypeVar("Item")
Floats = NDArray[np.float32]

_WARM_ROWS = (1, 4, 32)
_WARM_WORDS = (1, 12, 28)
_MANY = 64


@dataclass(frozen=True)
class Choice:
    """What a classifier chooses from; texts with equal ones run together. None: the lock's.

    Attributes:
        labels: group → labels, in order.
        prompts: group → prompt.
    """

    labels: tuple[tuple[str, tuple[str, ...]], ...] | None = None
    prompts: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class Prompted:
    """One text for an embedder; those of equal prompt and pooling run together.

    Attributes:
        tokens: its tokens, its prompt's among them.
        prompt: that prompt.
        pooled: whether one vector is wanted, or one for each token.
    """

    tokens: Tokenized
    prompt: str = ""
    pooled: bool = True


@dataclass(frozen=True, slots=True)
class Question:
    """One text for a classifier."""

    text: str
    choice: Choice


class Worker(Protocol):
    """One model at work. Safe to call from several threads at once."""

    @property
    def model(self) -> Model:
        """The model."""
        ...

    def count(self, items: Sequence[Any]) -> list[Any]:
        """The tokens of each text or pair; for one that has none, what is wrong with it."""
        ...

    def run(self, payloads: Sequence[Any]) -> list[Any]:
        """The answer to each payload; for one that has none, what is wrong with it."""
        ...

    def warm(self) -> None:
        """Run what is run most, so that the first requests do not pay for new shapes."""
        ...

    def warm_many(self) -> None:
        """Run several batches at once, for which an engine may have more to make ready than for one."""
        ...


def worker_of(model: Model) -> Worker:
    """The worker for a model's kind."""
    if isinstance(model, Embedder):
        return EmbedWorker(model)
    return RerankWorker(model) if isinstance(model, Reranker) else ClassifyWorker(model)


class EmbedWorker:
    """Texts, prompt and all → tokens → vectors ``(dim,)``, or unpooled ones ``(tokens, hidden size)``."""

    def __init__(self, model: Embedder) -> None:
        self.model = model

    def count(self, items: Sequence[str]) -> list[Any]:
        """See :class:`Worker`."""
        return _each(self.model.tokenize, items)

    def run(self, payloads: Sequence[Prompted]) -> list[Any]:
        """See :class:`Worker`."""
        return _each(self._encode, payloads)

    def warm(self) -> None:
        """See :class:`Worker`."""
        for tokens in _warm(self.count, lambda words: words):
            self.run([Prompted(each) for each in tokens])

    def warm_many(self) -> None:
        """See :class:`Worker`."""
        self.run([Prompted(each) for each in self.count(["a a"] * _MANY)])

    def _encode(self, payloads: Sequence[Prompted]) -> Iterable[Floats]:
        tokens = [each.tokens for each in payloads]
        if not payloads[0].pooled:
            return self.model.encode_each_token(tokens)
        return self.model.encode_tokens(tokens, prompt=payloads[0].prompt)


class RerankWorker:
    """Pairs → tokens → raw scores ``(labels,)``."""

    def __init__(self, model: Reranker) -> None:
        self.model = model

    def count(self, items: Sequence[tuple[str, str]]) -> list[Any]:
        """See :class:`Worker`."""
        return _each(self.model.tokenize, items)

    def run(self, payloads: Sequence[Tokenized]) -> list[Any]:
        """See :class:`Worker`."""
        return _each(self.model.logits, payloads)

    def warm(self) -> None:
        """See :class:`Worker`."""
        for payloads in _warm(self.count, lambda words: (words, words)):
            self.run(payloads)

    def warm_many(self) -> None:
        """See :class:`Worker`."""
        self.run(self.count([("a", "a")] * _MANY))


class ClassifyWorker:
    """Questions of one choice → labels with their scores."""

    def __init__(self, model: Classifier) -> None:
        self.model = model

    def count(self, items: Sequence[str]) -> list[Any]:
        """See :class:`Worker`."""
        return _each(self.model.tokens.texts, items)

    def run(self, payloads: Sequence[Question]) -> list[Any]:
        """See :class:`Worker`."""
        return _each(self._classify, payloads)

    def warm(self) -> None:
        """See :class:`Worker`. A classifier that has no labels of its own is warmed by its first request."""
        if self.model.layout.labels or getattr(self.model, "groups", ()):
            self.run([Question("a", Choice())])

    def warm_many(self) -> None:
        """See :class:`Worker`."""
        if self.model.layout.labels or getattr(self.model, "groups", ()):
            self.run([Question("a", Choice())] * _MANY)

    def _classify(self, questions: Sequence[Question]) -> list[Classified]:
        choice = questions[0].choice
        labels: Mapping[str, Sequence[str]] | None = dict(choice.labels) if choice.labels is not None else None
        prompts = dict(choice.prompts) if choice.prompts is not None else None
        return self.model.classify([question.text for question in questions], labels=labels, prompt=prompts)


def _each(call: Callable[[Sequence[Item]], Iterable[Any]], items: Sequence[Item]) -> list[Any]:
    """What ``call`` makes of the items together; where that fails, of each one alone, or the exception it raises."""
    try:
        return list(call(items))
    except Exception as problem:  # noqa: BLE001 - it is the answer
        if len(items) == 1:
            return [problem]
    return [answer for item in items for answer in _each(call, [item])]


def _warm(count: Callable[[Sequence[Any]], list[Any]], make: Callable[[str], Any]) -> list[list[Any]]:
    return [count([make("a " * words)] * rows) for words in _WARM_WORDS for rows in _WARM_ROWS]
