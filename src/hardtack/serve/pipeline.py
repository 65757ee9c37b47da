"""The one way of every request, whatever its dialect: count, validate, schedule, answer, measure.

A dialect turns a body into a call of :class:`Service` and the result into a body. What is refused is a
:class:`~hardtack.serve.refusals.Refusal`, which each dialect says in its own words.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from hardtack.errors import HardtackError, UnsupportedModel
from hardtack.runtime.classifier import Classified
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.reranker import Reranker
from hardtack.runtime.tokens import Piece, Tokenized
from hardtack.runtime.vectors import normalize
from hardtack.serve.demands import dimensions_of, named_prompt, prompt_of, refuse_cut, refuse_more, tokenized
from hardtack.serve.limits import Limits
from hardtack.serve.metrics import Measures
from hardtack.serve.refusals import Kind, Refusal, refusal_of
from hardtack.serve.shelf import ANY_TASK, Shelf, Shelved, Slot
from hardtack.serve.work import Choice, Prompted, Question
from hardtack.spec.words import Task

Floats = NDArray[np.float32]
Check = Callable[[Sequence[Tokenized], int | None], None]
"""Refuses texts by their tokens and the most that the model takes of one."""


@dataclass(frozen=True)
class Embedded:
    """Vectors, one a text, each ``(dim,)`` float32, and the tokens they were made of.

    Where each token's was asked for, ``(tokens, hidden size)`` a text.
    """

    vectors: list[Floats]
    tokens: int
    model: Embedder


@dataclass(frozen=True)
class Scored:
    """Scores of pairs, ``(n, labels)`` float32, and the tokens they were made of."""

    scores: Floats
    tokens: int
    model: Reranker


@dataclass(frozen=True)
class Labelled:
    """Answers of a classifier, one a text, and the tokens they were made of."""

    answers: list[Classified]
    tokens: int


class Service:
    """What every dialect asks. Belongs to the event loop's thread; makes no answer in it that takes long.

    Args:
        shelf: the models.
        limits: what a request may be.
        measures: hears of everything.
        accept_token_ids: whether token ids are taken for text.
        lazy: whether it is ready before its models are in memory.
        keys: whether it asks for a key, for the page to know.
    """

    def __init__(
        self,
        shelf: Shelf,
        limits: Limits,
        measures: Measures,
        *,
        accept_token_ids: bool = False,
        lazy: bool = False,
        keys: bool = False,
    ) -> None:
        self.shelf = shelf
        self.limits = limits
        self.measures = measures
        self.accept_token_ids = accept_token_ids
        self.started = False
        """Whether all is loaded that is to be, and the service sealed if it is to be."""
        self.ending = False
        self.denied: Callable[[], Mapping[str, int]] | None = None
        """What the kernel refused to this process, where it is sealed."""
        self.keys = keys
        self._lazy = lazy
        self._loop = asyncio.get_running_loop()

    @property
    def ready(self) -> bool:
        """Whether requests should come here."""
        return self.started and not self.ending and (self._lazy or self.shelf.ready)

    @property
    def why_not_ready(self) -> str:
        """What stands in the way of that."""
        return "the service is ending" if self.ending else "models are being loaded"

    def about(self) -> list[dict[str, Any]]:
        """Every model there is, as plain values: which, whether in memory, and if so all about it."""
        return [
            {"key": offer.key, "task": offer.task.value, "repo": offer.repo, "commit": offer.commit}
            | {"loaded": slot.shelved is not None}
            | ({} if slot.shelved is None else dict(slot.shelved.model.info))
            | {"key": offer.key}
            for slot in self.shelf.slots.values()
            for offer in [slot.offer]
        ]

    async def embed(
        self,
        which: str | None,
        texts: Sequence[str],
        *,
        ids: Sequence[Sequence[int]] | None = None,
        truncate: bool = True,
        prompt_name: str | None = None,
        dimensions: int | None = None,
        normalized: bool | None = None,
    ) -> Embedded:
        """Vectors of texts.

        Args:
            which: the model; see :meth:`Shelf.find`.
            texts: the texts.
            ids: token ids instead of texts: this very model's, special tokens included.
            truncate: cut what is too long, rather than refuse it.
            prompt_name: one of the model's prompts; None: its default one.
            dimensions: numbers of a vector, where the model was trained to be cut.
            normalized: whether vectors are brought to length one; None: as the model has it.

        Raises:
            Refusal: any of it cannot be.
        """
        slot = self.shelf.find(which, [Task.EMBED])
        async with self._held(slot) as shelved:
            model = shelved.model
            assert isinstance(model, Embedder)
            size = dimensions_of(model, dimensions)
            if normalized is False and model.layout.normalize:
                raise Refusal(
                    Kind.INVALID, "this model's own last step is to normalize; its raw vectors are not to be had",
                    param="normalize",
                )  # fmt: skip
            before = prompt_of(model, prompt_name) if ids is None else ""
            given = tokenized(model, ids) if ids is not None else _prompted(before, texts)

            def payload(tokens: Tokenized) -> Prompted:
                return Prompted(tokens, before)

            check = None if truncate else refuse_cut
            vectors, tokens = await self._rows(slot, shelved, given, payload, check=check, group=before)
            if size < model.dim:
                vectors = [vector[:size] for vector in vectors]
            if (normalized and not model.layout.normalize) or (size < model.dim and model.layout.normalize):
                vectors = list(normalize(np.stack(vectors)))
            return Embedded(vectors, tokens, model)

    async def embed_all(
        self, which: str | None, texts: Sequence[str], *, truncate: bool = True, prompt_name: str | None = None
    ) -> Embedded:
        """The vector of each token of texts, neither pooled nor normalised.

        Args:
            which: the model; see :meth:`Shelf.find`.
            texts: the texts.
            truncate: cut what is too long, rather than refuse it.
            prompt_name: one of the model's prompts; None: its default one.

        Raises:
            Refusal: any of it cannot be.
        """
        slot = self.shelf.find(which, [Task.EMBED])
        async with self._held(slot) as shelved:
            model = shelved.model
            assert isinstance(model, Embedder)
            before = prompt_of(model, prompt_name)

            def check(counted: Sequence[Tokenized], longest: int | None) -> None:
                if not truncate:
                    refuse_cut(counted, longest)
                refuse_more(counted, self.limits.each_token)

            def payload(tokens: Tokenized) -> Prompted:
                return Prompted(tokens, before, pooled=False)

            try:
                vectors, tokens = await self._rows(
                    slot, shelved, _prompted(before, texts), payload, check=check, group=(before, "unpooled")
                )
            except UnsupportedModel as problem:
                raise Refusal(Kind.WRONG_TASK, f"{slot.offer.key!r}: {problem.what}", param="model") from problem
            return Embedded(vectors, tokens, model)

    async def score(
        self, which: str | None, pairs: Sequence[tuple[str, str]], *, truncate: bool = True, raw: bool = False,
        single: bool = True,
    ) -> Scored:  # fmt: skip
        """Scores of pairs.

        Args:
            which: the model; see :meth:`Shelf.find`.
            pairs: the pairs.
            truncate: cut what is too long, rather than refuse it.
            raw: the model's logits, as they are.
            single: whether it must be a model with one score a pair.

        Raises:
            Refusal: any of it cannot be.
        """
        slot = self.shelf.find(which, [Task.RERANK])
        async with self._held(slot) as shelved:
            model = shelved.model
            assert isinstance(model, Reranker)
            if single and model.num_labels != 1:
                raise Refusal(
                    Kind.WRONG_TASK,
                    f"{slot.offer.key!r} gives {model.num_labels} scores a pair and cannot rank; ask /predict",
                    param="model",
                )
            check = None if truncate else refuse_cut
            rows, tokens = await self._rows(slot, shelved, pairs, _as_it_is, check=check)
            scores = np.stack(rows)
            return Scored(scores if raw else model.activate(scores), tokens, model)

    async def classify(self, which: str | None, texts: Sequence[str], choice: Choice | None = None) -> Labelled:
        """Labels of texts.

        Args:
            which: the model; see :meth:`Shelf.find`.
            texts: the texts.
            choice: what to choose from; None: what the lock, or the model itself, says.

        Raises:
            Refusal: any of it cannot be.
        """
        slot = self.shelf.find(which, [Task.CLASSIFY])
        async with self._held(slot) as shelved:
            chosen = choice or Choice()
            small, guess = self._guess(texts)
            with shelved.scheduler.admit(len(texts), guess) as ticket:
                counted = await self._count(slot, shelved, texts, small)
                lengths = [len(each) for each in counted]
                payloads = [Question(text, chosen) for text in texts]
                answers = await shelved.scheduler.answer(ticket, payloads, lengths, chosen)
            return Labelled(answers, sum(lengths))

    async def spell(
        self, which: str | None, texts: Sequence[str], show: Callable[[list[Piece]], Any], *, special: bool,
        prompt_name: str | None = None,
    ) -> bytes:  # fmt: skip
        """The tokens of texts, spelled out, nothing cut; a list of what ``show`` makes of each text's, as JSON.

        Raises:
            Refusal: there is no such model, or it has no such prompt.
        """
        async with self._held(self.shelf.find(which, ANY_TASK)) as shelved:
            tokens = shelved.model.tokens
            if prompt_name is not None:
                texts = _prompted(named_prompt(shelved.model, prompt_name), texts)

            def call() -> bytes:  # the whole of it aside: a book has a million pieces
                return orjson.dumps([show(tokens.spell(text, special=special)) for text in texts])

            spelled: bytes = await self.shelf.aside(call, small=self._guess(texts)[0])
            return spelled

    async def decode(self, which: str | None, ids: Sequence[Sequence[int]], *, skip_special: bool) -> list[str]:
        """The texts of tokens.

        Raises:
            Refusal: there is no such model.
        """
        async with self._held(self.shelf.find(which, ANY_TASK)) as shelved:
            tokens = shelved.model.tokens
            small = sum(map(len, ids)) <= self.limits.small_tokens
            texts: list[str] = await self.shelf.aside(
                lambda: [tokens.decode(each, skip_special=skip_special) for each in ids], small=small
            )
            return texts

    @contextlib.asynccontextmanager
    async def _held(self, slot: Slot) -> AsyncIterator[Shelved]:
        try:
            shelved = await self.shelf.hold(slot)
        except HardtackError as problem:
            raise Refusal(Kind.FAILED, f"the model cannot be loaded: {problem.what}") from problem
        try:
            yield shelved
        except HardtackError as problem:
            raise refusal_of(problem) from problem
        finally:
            self.shelf.release(slot)

    async def _rows(
        self,
        slot: Slot,
        shelved: Shelved,
        items: Sequence[Any],
        payload: Callable[[Tokenized], Any],
        *,
        check: Check | None = None,
        group: Hashable = None,
    ) -> tuple[list[Floats], int]:
        small, guess = self._guess(items)
        with shelved.scheduler.admit(len(items), guess) as ticket:
            if items and isinstance(items[0], Tokenized):
                counted = list(items)
            else:
                counted = await self._count(slot, shelved, items, small)
            if check is not None:
                check(counted, shelved.model.max_seq_length)
            lengths = [len(each) for each in counted]
            payloads = [payload(each) for each in counted]
            return await shelved.scheduler.answer(ticket, payloads, lengths, group), sum(lengths)

    async def _count(self, slot: Slot, shelved: Shelved, items: Sequence[Any], small: bool) -> list[Tokenized]:
        began = self._loop.time()
        counted = await shelved.counting[small](items)
        key = slot.offer.key
        self.measures.counting.see(self._loop.time() - began, key)
        for each in counted:
            self.measures.length.see(len(each), key)
        return counted

    def _guess(self, items: Sequence[Any]) -> tuple[bool, int]:
        """Whether it is a small request, and its tokens, before anyone counted: a look at lengths costs nothing."""
        tokens = sum(map(_guess, items))
        return len(items) <= self.limits.small_texts and tokens <= 2 * self.limits.small_tokens, tokens


def _prompted(before: str, texts: Sequence[str]) -> Sequence[str]:
    return [before + text for text in texts] if before else texts


def _as_it_is(tokens: Tokenized) -> Tokenized:
    return tokens


def _guess(item: Any) -> int:
    if isinstance(item, str):
        # English has four characters a token; scripts beyond ASCII have fewer
        return 2 + (len(item) >> 2 if item.isascii() else len(item) >> 1)
    return len(item) if isinstance(item, Tokenized) else _guess(item[0]) + _guess(item[1])
