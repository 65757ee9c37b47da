"""Texts in, vectors out, as ``SentenceTransformer.encode`` gives them, without torch.

What of sentence-transformers' arguments is taken is data: :data:`ARGUMENTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hardtack.errors import Misused, UnsupportedModel
from hardtack.runtime import arguments
from hardtack.runtime.batching import Budget, Progress, encoder_feed, run_sorted, run_tokens
from hardtack.runtime.engines.interface import Unpooling
from hardtack.runtime.loaded import Loaded, in_thread
from hardtack.runtime.space import space_of
from hardtack.runtime.tokens import Tokenized, as_texts, check_texts
from hardtack.runtime.vectors import Floats, compare, normalize, quantize

ARGUMENTS = arguments.ENCODE
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")  # the names, and their order, are sentence-transformers'


class Embedder(Loaded):
    """A model that gives vectors."""

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return self._engine.info.width

    @cached_property
    def space(self) -> str:
        """The name of these vectors' space (:mod:`.space`): store it beside an index, and load with ``space=``."""
        return space_of(self.layout, self.commit or self.digest)

    @property
    def prompts(self) -> Mapping[str, str]:
        """The model's own prompts by name."""
        return self.layout.prompts

    @property
    def info(self) -> Mapping[str, Any]:
        """All of it as plain values, for reports: ready for JSON."""
        return {**super().info, "dim": self.dim, "space": self.space, "similarity": self.layout.similarity.value}

    def get_embedding_dimension(self) -> int:
        """Numbers in a vector, by sentence-transformers' name."""
        return self.dim

    def get_sentence_embedding_dimension(self) -> int:
        """Numbers in a vector, by sentence-transformers' older name, which vector stores still call."""
        return self.dim

    def encode(
        self,
        inputs: str | Sequence[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        precision: str = "float32",
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        progress: Progress | None = None,
        **others: Any,
    ) -> NDArray[Any]:
        """Give each text its vector.

        Args:
            inputs: one text, or a sequence of them.
            prompt_name: a name in :attr:`prompts`; that text is put before each input.
            prompt: the text itself; wins over ``prompt_name``. With neither, the model's default prompt.
            batch_size: texts that run together at most; None: as suits the engine.
            precision: ``float32``, ``int8``, ``uint8``, ``binary`` or ``ubinary``, as sentence-transformers quantises.
            normalize_embeddings: bring vectors to length one, after ``truncate_dim``.
            truncate_dim: keep only so many numbers of each vector.
            progress: called with how many texts are done and how many there are; nothing is ever drawn.
            **others: what else sentence-transformers takes: ignored or refused, as :data:`ARGUMENTS` says.

        Returns:
            ``(dim,)`` for one text, ``(n, dim)`` for n of them, ``(0, dim)`` for none; float32 unless ``precision``
            says otherwise.

        Raises:
            Misused: an argument that is refused, an input that is not text, or a prompt that the model does not have.
        """
        arguments.settle("encode", ARGUMENTS, others, self.device)
        dim = self._cut(truncate_dim)
        texts = as_texts(inputs)
        before = self._prompt(prompt, prompt_name)
        vectors = self._run(before, texts, batch_size, progress)
        if dim < self.dim:
            vectors = np.ascontiguousarray(vectors[:, :dim])
        if normalize_embeddings:
            vectors = normalize(vectors)
        answer = quantize(vectors, precision)
        one: NDArray[Any] = answer[0] if isinstance(inputs, str) else answer
        return one

    def tokenize(self, texts: Sequence[str], *, prompt: str = "") -> list[Tokenized]:
        """The tokens of texts, each with the prompt before it, as :meth:`encode` runs them: for whoever schedules."""
        return self._tokens.texts([prompt + text for text in texts] if prompt else texts)

    def encode_tokens(self, tokenized: Sequence[Tokenized], *, prompt: str = "") -> Floats:
        """Give texts that :meth:`tokenize` made tokens of, with this prompt, their vectors: ``(n, dim)``."""
        return self._run_tokens(
            [len(text) for text in tokenized],
            lambda numbers: [tokenized[number] for number in numbers],
            prompt,
            self._budget,
            None,
        )

    def encode_each_token(self, tokenized: Sequence[Tokenized]) -> list[Floats]:
        """Give each token of texts that :meth:`tokenize` made tokens of its vector, as the transformer leaves it.

        Neither pooled nor normalised. Special tokens, and those of a prompt, are among them. The first call makes
        ready what no other call needs.

        Returns:
            ``(tokens, hidden size)`` for each text.

        Raises:
            UnsupportedModel: the model comes as a graph that ends in one vector a text.
        """
        if not isinstance(self._engine, Unpooling):
            raise UnsupportedModel(
                "This engine gives one vector a text: those of its tokens are not to be had.", where=self.key,
                expected="engine openvino or torch", found=f"engine {self.engine.name}",
                mend="HARDTACK_ENGINE=openvino …",
            )  # fmt: skip
        engine = self._engine.unpooled()
        tokenizing = self.layout.tokenizing
        return run_tokens(
            engine,
            tokenized,
            encoder_feed(engine.info.inputs, tokenizing),
            budget=self._budget,
            longest=self.max_seq_length,
            left=tokenizing.pad_left,
        )

    def encode_query(self, inputs: str | Sequence[str], **arguments: Any) -> NDArray[Any]:
        """As :meth:`encode`, with the prompt called ``query`` if the model has one and the call names none."""
        if arguments.get("prompt") is None and arguments.get("prompt_name") is None and "query" in self.prompts:
            arguments["prompt_name"] = "query"
        return self.encode(inputs, **arguments)

    def encode_document(self, inputs: str | Sequence[str], **arguments: Any) -> NDArray[Any]:
        """As :meth:`encode`, with the prompt called ``document``, ``passage`` or ``corpus``, whichever comes first."""
        if arguments.get("prompt") is None and arguments.get("prompt_name") is None:
            arguments["prompt_name"] = next((name for name in _DOCUMENT_PROMPTS if name in self.prompts), None)
        return self.encode(inputs, **arguments)

    async def aencode(self, inputs: str | Sequence[str], **arguments: Any) -> NDArray[Any]:
        """As :meth:`encode`, in a thread, so that an event loop goes on; cancelling stops the waiting, not the work."""
        return await in_thread(self.encode, inputs, **arguments)

    async def aencode_query(self, inputs: str | Sequence[str], **arguments: Any) -> NDArray[Any]:
        """As :meth:`encode_query`, in a thread."""
        return await in_thread(self.encode_query, inputs, **arguments)

    async def aencode_document(self, inputs: str | Sequence[str], **arguments: Any) -> NDArray[Any]:
        """As :meth:`encode_document`, in a thread."""
        return await in_thread(self.encode_document, inputs, **arguments)

    def similarity(self, first: ArrayLike, second: ArrayLike) -> Floats:
        """Compare vectors the way this model's are meant to be: ``(n, dim)``, ``(m, dim)`` → ``(n, m)`` float32.

        Raises:
            Misused: the two sets are not of one dimension.
        """
        return compare(first, second, self.layout.similarity)

    def _cut(self, truncate_dim: int | None) -> int:
        if truncate_dim is None:
            return self.dim
        if isinstance(truncate_dim, bool) or not isinstance(truncate_dim, int) or truncate_dim < 1:
            raise Misused(
                "a vector has at least one number", where="truncate_dim", expected="a whole number, 1 or more",
                found=repr(truncate_dim), mend=f"truncate_dim={self.dim}",
            )  # fmt: skip
        return min(truncate_dim, self.dim)

    def _prompt(self, prompt: str | None, prompt_name: str | None) -> str:
        if prompt is not None:
            check_texts([prompt])
            return prompt
        name = self.layout.default_prompt if prompt_name is None else prompt_name
        if name is None:
            return ""
        if name not in self.prompts:
            raise Misused(
                f"the model has no prompt called {name!r}", where=self.key,
                expected=", ".join(sorted(self.prompts)) or "no prompt: this model has none", found=name,
                mend='encode(texts, prompt="…")',
            )  # fmt: skip
        return self.prompts[name]

    def _run(self, before: str, texts: Sequence[str], batch_size: int | None, progress: Progress | None) -> Floats:
        if before:
            texts = [before + text for text in texts]
        return self._run_tokens(
            [len(text) for text in texts],
            lambda numbers: self._tokens.texts([texts[number] for number in numbers]),
            before,
            self._budget.of_rows(arguments.rows_of(batch_size, self._budget.rows)),
            progress,
        )

    def _run_tokens(
        self,
        sizes: Sequence[int],
        tokenize: Callable[[Sequence[int]], Sequence[Tokenized]],
        before: str,
        budget: Budget,
        progress: Progress | None,
    ) -> Floats:
        alone = self._tokens.prompt_length(before) if before and not self.layout.include_prompt else 0
        return run_sorted(
            self._engine,
            sizes,
            tokenize,
            encoder_feed(self._engine.info.inputs, self.layout.tokenizing, prompt=alone),
            self.dim,
            budget=budget,
            longest=self.max_seq_length,
            progress=progress,
        )
