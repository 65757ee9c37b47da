"""Texts in, labels out: what every classifier is asked and answers, and the one with a head that was trained for it.

A head's labels are the model's own and the only ones it knows. Labels that a lock or a call names are chosen from by
likelihood: :mod:`.likelihood`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from hardtack.errors import Misused
from hardtack.runtime.arguments import rows_of
from hardtack.runtime.batching import Progress, encoder_feed, run_sorted
from hardtack.runtime.loaded import Loaded, in_thread
from hardtack.runtime.reranker import sigmoid, softmax
from hardtack.runtime.tokens import as_texts

Scores = Mapping[str, Mapping[str, float]]
Labels = Sequence[str] | Mapping[str, Sequence[str]]
GROUP = "label"
"""The group of labels that come without a group's name."""


class Classified(dict[str, str]):
    """The answer: group → label. Equal to a plain dict of the same; ``scores`` beside it.

    Attributes:
        scores: group → label → p; p adds up to one over a group unless the model's labels do not exclude each other.
    """

    scores: Scores

    def __init__(self, answers: Mapping[str, str], scores: Scores) -> None:
        super().__init__(answers)
        self.scores = scores


class Classifier(Loaded):
    """A model that gives labels: by a head, below, or by likelihood, in :mod:`.likelihood`."""

    @overload
    def classify(  # type: ignore[overload-overlap]  # a str is a Sequence[str] too; the first that fits is taken
        self, inputs: str, *, labels: Labels | None = None, prompt: str | Mapping[str, str] | None = None,
        batch_size: int | None = None, progress: Progress | None = None,
    ) -> Classified: ...  # fmt: skip

    @overload
    def classify(
        self, inputs: Sequence[str], *, labels: Labels | None = None, prompt: str | Mapping[str, str] | None = None,
        batch_size: int | None = None, progress: Progress | None = None,
    ) -> list[Classified]: ...  # fmt: skip

    def classify(
        self,
        inputs: str | Sequence[str],
        *,
        labels: Labels | None = None,
        prompt: str | Mapping[str, str] | None = None,
        batch_size: int | None = None,
        progress: Progress | None = None,
    ) -> Classified | list[Classified]:
        """Give each text its labels.

        Args:
            inputs: one text, or a sequence of them.
            labels: instead of the lock's: a list (one group, ``label``), or lists by group, answered in order.
            prompt: instead of the lock's: a text with ``{text}`` and the names of earlier groups, or texts by group.
            batch_size: texts that run together at most; None: as suits the engine.
            progress: called with how many answers are there and how many there will be.

        Returns:
            A :class:`Classified` for one text, a list of them for several.

        Raises:
            Misused: an input that is not text, labels or a prompt that cannot be used, or any for a model that has
                labels of its own.
        """
        answers = self._classify(as_texts(inputs), labels, prompt, batch_size, progress)
        return answers[0] if isinstance(inputs, str) else answers

    @overload
    async def aclassify(self, inputs: str, **arguments: Any) -> Classified: ...

    @overload
    async def aclassify(self, inputs: Sequence[str], **arguments: Any) -> list[Classified]: ...

    async def aclassify(self, inputs: str | Sequence[str], **arguments: Any) -> Classified | list[Classified]:
        """As :meth:`classify`, in a thread; cancelling stops the waiting, not the work."""
        return await in_thread(self.classify, inputs, **arguments)

    def _classify(
        self,
        texts: Sequence[str],
        labels: Labels | None,
        prompt: str | Mapping[str, str] | None,
        batch_size: int | None,
        progress: Progress | None,
    ) -> list[Classified]:
        raise NotImplementedError


class HeadClassifier(Classifier):
    """A sequence classifier with labels of its own, ``id2label``; one group, ``label``."""

    def _classify(
        self,
        texts: Sequence[str],
        labels: Labels | None,
        prompt: str | Mapping[str, str] | None,
        batch_size: int | None,
        progress: Progress | None,
    ) -> list[Classified]:
        if labels is not None or prompt is not None:
            raise Misused(
                "a model with labels of its own takes no others", where=self.key,
                expected=", ".join(self.layout.labels), found="labels= or prompt=", mend="classify(text)",
            )  # fmt: skip
        logits = run_sorted(
            self._engine,
            [len(text) for text in texts],
            lambda numbers: self._tokens.texts([texts[number] for number in numbers]),
            encoder_feed(self._engine.info.inputs, self.layout.tokenizing),
            len(self.layout.labels),
            budget=self._budget.of_rows(rows_of(batch_size, self._budget.rows)),
            longest=self.max_seq_length,
            progress=progress,
        )
        # as transformers' TextClassificationPipeline decides it
        independent = logits.shape[1] == 1 or self.layout.config.get("problem_type") == "multi_label_classification"
        return [answer_of({GROUP: (self.layout.labels, row)}) for row in (sigmoid if independent else softmax)(logits)]


def answer_of(groups: Mapping[str, tuple[Sequence[str], NDArray[np.float32]]]) -> Classified:
    """The likeliest label of each group.

    Args:
        groups: group → its labels and their chances, ``(labels,)`` float32, in order.
    """
    scores = {name: dict(zip(labels, map(float, row), strict=True)) for name, (labels, row) in groups.items()}
    return Classified({name: labels[int(row.argmax())] for name, (labels, row) in groups.items()}, scores)
