"""Pairs in, scores out, as ``CrossEncoder.predict`` and ``.rank`` give them, without torch.

What of sentence-transformers' arguments is taken is data: :data:`ARGUMENTS` (rank) and :data:`PREDICT_ARGUMENTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardtack.errors import Misused, UnsupportedModel
from hardtack.runtime import arguments
from hardtack.runtime.batching import Budget, Progress, encoder_feed, run_sorted
from hardtack.runtime.loaded import Loaded, in_thread
from hardtack.runtime.prompting import fill_pair
from hardtack.runtime.tokens import Pair, Tokenized, check_texts

ARGUMENTS = arguments.RANK
PREDICT_ARGUMENTS = arguments.PREDICT

Floats = NDArray[np.float32]
Activation = Callable[[Floats], Floats]
Document = str | Mapping[str, Any]


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + e⁻ˣ), without overflow at either end."""
    small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32, copy=False)


def identity(logits: Floats) -> Floats:
    """The logits as they are."""
    return logits


def softmax(logits: Floats) -> Floats:
    """Over the last axis; the greatest is subtracted first, so that nothing overflows."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    made: Floats = (raised / raised.sum(axis=-1, keepdims=True)).astype(np.float32, copy=False)
    return made


_BY_NAME: Mapping[str, Activation] = {"sigmoid": sigmoid, "identity": identity}


class Reranker(Loaded):
    """A model that says how well a document answers a query."""

    @property
    def num_labels(self) -> int:
        """Scores a pair is given: 1 for a reranker, more for models of entailment and the like."""
        return self._engine.info.width

    @property
    def info(self) -> Mapping[str, Any]:
        """All of it as plain values, for reports: ready for JSON."""
        return {**super().info, "labels": list(self.layout.labels), "activation": self._own_activation().__name__}

    def rank(
        self,
        query: str,
        documents: Sequence[Document],
        *,
        top_k: int | None = None,
        return_documents: bool = False,
        text: str = "description",
        batch_size: int | None = None,
        activation_fn: object = None,
        progress: Progress | None = None,
        **others: Any,
    ) -> list[dict[str, Any]]:
        """Sort documents by how well they answer a query, the best first; equal ones stay in their order.

        Args:
            query: the query.
            documents: texts, or mappings that have their text under the key ``text`` names.
            top_k: give only so many; None: all.
            return_documents: put each document, as it was given, under ``text`` in the answer.
            text: where a mapping keeps its text; a mapping without it is an error.
            batch_size: as in :meth:`predict`.
            activation_fn: as in :meth:`predict`.
            progress: as in :meth:`predict`.
            **others: what else sentence-transformers takes: ignored or refused, as :data:`ARGUMENTS` says.

        Returns:
            ``{"corpus_id": int, "score": float}`` a document, and ``"text"`` where wanted.

        Raises:
            Misused: an argument that is refused, a document without text, or a model with several scores a pair.
        """
        arguments.settle("rank", ARGUMENTS, others, self.device)
        if self.num_labels != 1:
            raise Misused(
                "a model with several scores a pair cannot rank", where=self.key, expected="1 score",
                found=f"{self.num_labels}: {', '.join(self.layout.labels)}", mend="reranker.predict(pairs)",
            )  # fmt: skip
        if top_k is not None and (isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 0):
            raise Misused(
                "`top_k` is no number of documents", where="top_k", expected="0 or more, or None", found=repr(top_k),
                mend="top_k=10",
            )  # fmt: skip
        if isinstance(documents, str | Mapping):
            raise Misused(
                "documents come in a sequence", where="documents", expected="a list of texts or mappings",
                found=type(documents).__name__, mend="rank(query, [document])",
            )  # fmt: skip
        documents = list(documents)
        pairs = [(query, _text_of(document, text, number)) for number, document in enumerate(documents)]
        check_texts([query])
        scores = self.predict(pairs, batch_size=batch_size, activation_fn=activation_fn, progress=progress)
        ranked = np.argsort(-scores, kind="stable")[:top_k]
        return [
            {"corpus_id": int(number), "score": float(scores[number])}
            | ({"text": documents[number]} if return_documents else {})
            for number in ranked
        ]

    def predict(
        self,
        inputs: Sequence[Sequence[str]] | Sequence[str],
        *,
        batch_size: int | None = None,
        activation_fn: object = None,
        apply_softmax: bool | None = False,
        progress: Progress | None = None,
        **others: Any,
    ) -> Any:
        """Score pairs.

        Args:
            inputs: a sequence of pairs of texts, or one pair.
            batch_size: pairs that run together at most; None: as suits the engine.
            activation_fn: what turns logits into scores: ``"sigmoid"``, ``"identity"``, a function of a float32 array
                ``(n, labels)``, or torch's own ``Sigmoid()`` and ``Identity()``. None: what the model's own files say,
                else sigmoid for one label and identity for more, as sentence-transformers does.
            apply_softmax: where there are several labels, make each pair's scores add up to one, after the activation.
            progress: called with how many pairs are done and how many there are.
            **others: what else sentence-transformers takes: ignored or refused, as :data:`PREDICT_ARGUMENTS` says.

        Returns:
            float32: ``(n,)`` for one label, ``(n, labels)`` for more; for one pair the number or row itself.

        Raises:
            Misused: an argument that is refused, or an input that is not pairs of texts.
        """
        arguments.settle("predict", PREDICT_ARGUMENTS, others, self.device)
        activation = self._own_activation() if activation_fn is None else _activation(activation_fn)
        items: list[Any] = [inputs] if isinstance(inputs, str) else list(inputs)
        single = bool(items) and isinstance(items[0], str)
        pairs = [_pair(item, number) for number, item in enumerate([items] if single else items)]
        scores = activation(self._run(pairs, batch_size, progress))
        if self.num_labels == 1:
            scores = scores.reshape(len(pairs))
        elif apply_softmax:
            scores = softmax(scores)
        return scores[0] if single else scores

    async def arank(self, query: str, documents: Sequence[Document], **arguments: Any) -> list[dict[str, Any]]:
        """As :meth:`rank`, in a thread, so that an event loop goes on; cancelling stops the waiting, not the work."""
        return await in_thread(self.rank, query, documents, **arguments)

    async def apredict(self, inputs: Sequence[Sequence[str]] | Sequence[str], **arguments: Any) -> Any:
        """As :meth:`predict`, in a thread."""
        return await in_thread(self.predict, inputs, **arguments)

    def tokenize(self, pairs: Sequence[Pair]) -> list[Tokenized]:
        """The tokens of pairs, as :meth:`predict` runs them: for whoever schedules."""
        if self.layout.template is None:
            return self._tokens.pairs(pairs)
        return self._tokens.texts([fill_pair(self.layout.template, pair) for pair in pairs])

    def logits(self, tokenized: Sequence[Tokenized]) -> Floats:
        """Raw scores of pairs that :meth:`tokenize` made tokens of: ``(n, labels)``."""
        return self._run_tokens(
            [len(pair) for pair in tokenized],
            lambda numbers: [tokenized[number] for number in numbers],
            self._budget,
            None,
        )

    def activate(self, logits: Floats) -> Floats:
        """Scores of raw ones, as the model's own files say: what :meth:`predict` does with no ``activation_fn``."""
        return self._own_activation()(logits)

    def _own_activation(self) -> Activation:
        name = self.layout.activation or ("sigmoid" if self.num_labels == 1 else "identity")
        if name not in _BY_NAME:
            raise UnsupportedModel(
                "the model's files name an activation that is not known", where=str(self.layout.directory),
                expected=", ".join(sorted(_BY_NAME)), found=name, mend='predict(pairs, activation_fn="identity")',
            )  # fmt: skip
        return _BY_NAME[name]

    def _run(self, pairs: Sequence[Pair], batch_size: int | None, progress: Progress | None) -> Floats:
        return self._run_tokens(
            [len(query) + len(document) for query, document in pairs],
            lambda numbers: self.tokenize([pairs[number] for number in numbers]),
            self._budget.of_rows(arguments.rows_of(batch_size, self._budget.rows)),
            progress,
        )

    def _run_tokens(
        self,
        sizes: Sequence[int],
        tokenize: Callable[[Sequence[int]], Sequence[Tokenized]],
        budget: Budget,
        progress: Progress | None,
    ) -> Floats:
        return run_sorted(
            self._engine,
            sizes,
            tokenize,
            encoder_feed(self._engine.info.inputs, self.layout.tokenizing),
            self.num_labels,
            budget=budget,
            longest=self.max_seq_length,
            progress=progress,
        )


def _text_of(document: object, key: str, number: int) -> str:
    if isinstance(document, str):
        return document
    if not isinstance(document, Mapping):
        raise Misused(
            "a document is neither text nor mapping", where=f"document {number}", expected="str or a mapping",
            found=type(document).__name__, mend="rank(query, [text, …])",
        )  # fmt: skip
    value = document.get(key)
    if not isinstance(value, str):
        # str(document) would be ranked, braces and all, and nobody would notice
        found = f"the keys {', '.join(map(str, document)) or '(none)'}" if key not in document else type(value).__name__
        raise Misused(
            f"a document has no text under {key!r}", where=f"document {number}", expected=f"{key!r}: str", found=found,
            mend="rank(query, documents, text='…')",
        )  # fmt: skip
    return value


def _pair(item: object, number: int) -> Pair:
    if isinstance(item, str) or not isinstance(item, Sequence) or len(item) != 2:
        raise Misused(
            "an input is not a pair of texts", where=f"input {number}", expected="(query, document)",
            found=repr(item) if isinstance(item, str) else type(item).__name__,
            mend="predict([(query, document), …])",
        )  # fmt: skip
    check_texts(item)
    return (item[0], item[1])


def _activation(given: object) -> Activation:
    if isinstance(given, str):
        if given not in _BY_NAME:
            raise Misused(
                "an activation that is not known", where="activation_fn", expected=", ".join(sorted(_BY_NAME)),
                found=given, mend='activation_fn="sigmoid"',
            )  # fmt: skip
        return _BY_NAME[given]
    # code written for CrossEncoder passes torch's modules, which want tensors; these two are known by their names
    kind = type(given)
    if kind.__module__.startswith("torch.nn") and kind.__name__.lower() in _BY_NAME:
        return _BY_NAME[kind.__name__.lower()]
    if not callable(given):
        raise Misused(
            "an activation is a name or a function", where="activation_fn", expected="a function of an array",
            found=kind.__name__, mend='activation_fn="sigmoid"',
        )  # fmt: skip
    return lambda logits: np.asarray(given(logits), dtype=np.float32)
