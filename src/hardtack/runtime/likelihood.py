"""Texts in, labels out, by likelihood: which of its labels would an encoder-decoder (T5 and its kind) say?

A label's score is the sum of the log-probabilities of its tokens and the end token given the prompt, teacher-forced;
softmax over the group's labels gives ``p``. Nothing is generated and no output is parsed, so the answer is always one
of the labels and never a fallback that looks like one. Longer labels have lower sums: labels of like length compare
best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from hardtack.errors import Misused, UnsupportedModel
from hardtack.runtime.arguments import rows_of
from hardtack.runtime.batching import Budget, Progress, encoder_feed, pad, run_sorted
from hardtack.runtime.classifier import GROUP, Classified, Classifier, HeadClassifier, Labels, answer_of
from hardtack.runtime.engines.interface import Feed
from hardtack.runtime.prompting import check_prompt, fill, fit
from hardtack.runtime.reranker import softmax
from hardtack.runtime.tokens import Ids, Tokenized
from hardtack.spec.lock import LabelGroup

_DECODER_TOKENS = 256
"""Label tokens in a batch at most: each costs a row of logits as wide as the vocabulary, 33 MB in all for T5.

From here on more of them at once gain nothing: 2,048 took 4 % less CPU time, and eight times as much memory.
"""


class LikelihoodClassifier(Classifier):
    """An encoder-decoder that is asked how likely it would say each label.

    Args:
        groups: the lock's groups of labels, in order; see :class:`Loaded` for the rest. The tokenizer must not cut.
    """

    def __init__(self, *given: Any, groups: Sequence[LabelGroup] = (), **named: Any) -> None:
        super().__init__(*given, **named)
        self.groups = tuple(groups)
        _check_groups(self.groups)

    @property
    def info(self) -> Mapping[str, Any]:
        """All of it as plain values, for reports: ready for JSON."""
        return {**super().info, "labels": {group.name: list(group.values) for group in self.groups}}

    def log_likelihoods(
        self, prompts: Sequence[str], labels: Sequence[str], *, batch_size: int | None = None,
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:  # fmt: skip
        """Log-probability of each label after each prompt: ``(n, labels)`` float32, natural logarithm.

        Prompts are taken as they are, cut by nothing.

        Raises:
            Misused: a label that has no tokens, or no two labels that differ.
        """
        targets = [self._target(label) for label in labels]
        # the labels of a group go through in parts where there are so many that even one text's would not fit
        longest = max(len(target) for target in targets)
        part = max(1, _DECODER_TOKENS // longest)
        together = max(1, _DECODER_TOKENS // (longest * min(part, len(targets))))
        rows = min(rows_of(batch_size, self._budget.rows), together)
        columns = []
        for start in range(0, len(targets), part):
            some = targets[start : start + part]
            columns.append(self._score(prompts, some, self._budget.of_rows(rows), progress))
        return np.concatenate(columns, axis=1)

    def _score(
        self, prompts: Sequence[str], targets: Sequence[Ids], budget: Budget, progress: Progress | None
    ) -> NDArray[np.float32]:
        config, tokenizing = self.layout.config, self.layout.tokenizing
        length = max(len(target) for target in targets)
        begin = config.get("decoder_start_token_id")
        start = np.array([tokenizing.pad_id if begin is None else begin], dtype=np.int64)
        decoder = {
            # teacher forcing: each position sees the start and the label's tokens before it
            "decoder_input_ids": pad([np.concatenate((start, t[:-1])) for t in targets], length, 0, left=False),
            "target_ids": pad(targets, length, tokenizing.pad_id, left=False),
            "target_mask": pad([np.ones(len(t), np.int64) for t in targets], length, 0, left=False),
        }
        encoder = encoder_feed(self._engine.info.inputs, tokenizing)

        def feed(texts: Sequence[Tokenized], width: int) -> Feed:
            return {**encoder(texts, width), **decoder}

        return run_sorted(
            self._engine,
            [len(prompt) for prompt in prompts],
            lambda numbers: self._tokens.texts([prompts[number] for number in numbers]),
            feed,
            len(targets),
            budget=budget,
            longest=self.max_seq_length,
            progress=progress,
        )

    def _target(self, label: str) -> Ids:
        ids = self._tokens.texts([label])[0].ids
        end = self.layout.config.get("eos_token_id", 1)
        if not len(ids) or ids[-1] != end:
            ids = np.append(ids, np.int64(end))
        if len(ids) < 2:
            raise Misused(
                "a label has no tokens", where=self.key, expected="a label the tokenizer makes something of",
                found=repr(label), mend="hardtack lock  # after mending the labels in hardtack.toml",
            )  # fmt: skip
        return ids

    def _classify(
        self,
        texts: Sequence[str],
        labels: Labels | None,
        prompt: str | Mapping[str, str] | None,
        batch_size: int | None,
        progress: Progress | None,
    ) -> list[Classified]:
        groups = self._groups(labels, prompt)
        answers: list[dict[str, str]] = [{} for _ in texts]
        rows: list[dict[str, tuple[Sequence[str], NDArray[np.float32]]]] = [{} for _ in texts]
        total = len(texts) * len(groups)
        for number, group in enumerate(groups):
            prompts = [
                fit(fill(group.prompt, text, answers[row]), self._tokens, self.max_seq_length)
                for row, text in enumerate(texts)
            ]
            report = None if progress is None else _after(progress, number * len(texts), total)
            likely = self.log_likelihoods(prompts, group.values, batch_size=batch_size, progress=report)
            for row, chances in enumerate(softmax(likely)):
                rows[row][group.name] = (group.values, chances)
                answers[row][group.name] = group.values[int(likely[row].argmax())]
        return [answer_of(row) for row in rows]

    def _groups(self, labels: Labels | None, prompt: str | Mapping[str, str] | None) -> tuple[LabelGroup, ...]:
        own = {group.name: group for group in self.groups}
        if isinstance(labels, str):
            _refuse_labels("a list of labels", repr(labels))
        if labels is None:
            values = {name: group.values for name, group in own.items()}
        elif isinstance(labels, Mapping):
            values = {name: tuple(each) for name, each in labels.items()}
        else:
            values = {GROUP: tuple(labels)}
        if not values:
            raise Misused(
                "the model has no labels to choose from", where=self.key,
                expected="labels in the lock, or labels= and prompt=", found="none",
                mend="hardtack lock  # after adding [models.KEY.labels.NAME] to hardtack.toml",
            )  # fmt: skip
        if isinstance(prompt, str) and len(values) > 1:
            _refuse_labels(f"a prompt for each of {', '.join(values)}", "one prompt")
        prompts = dict.fromkeys(values, prompt) if isinstance(prompt, str) else dict(prompt or {})
        if strange := sorted(set(prompts) - set(values)):
            _refuse_labels(f"prompts for {', '.join(values)}", f"a prompt for {strange[0]}")
        groups = []
        for name, each in values.items():
            text = prompts.get(name) or (own[name].prompt if name in own else "")
            if not text:
                _refuse_labels(f"a prompt for {name!r}", "none, and the lock has none for it")
            groups.append(LabelGroup(name, each, text))
        _check_groups(groups)
        return tuple(groups)


def make_classifier(*given: Any, groups: Sequence[LabelGroup] = (), **named: Any) -> Classifier:
    """The kind of classifier that a layout calls for; arguments as for the classes.

    Raises:
        UnsupportedModel: zero-shot labels for a model that has a head, or a model with neither.
    """
    classifier = LikelihoodClassifier(*given, groups=groups, **named)
    layout = classifier.layout
    if layout.config.get("is_encoder_decoder"):
        return classifier
    if groups or not layout.labels:
        raise UnsupportedModel(
            "zero-shot labels need an encoder-decoder", where=str(layout.directory),
            expected="a T5, or a classifier and no labels in hardtack.toml", found=layout.family,
            mend="hardtack lock  # after taking the labels out of hardtack.toml",
        )  # fmt: skip
    return HeadClassifier(*given, **named)


def _check_groups(groups: Sequence[LabelGroup]) -> None:
    earlier: list[str] = []
    for group in groups:
        if not group.values or any(not isinstance(value, str) for value in group.values):
            _refuse_labels(f"labels, which are texts, for {group.name!r}", repr(group.values))
        if len(set(group.values)) < len(group.values):
            _refuse_labels(f"labels of {group.name!r} that differ", ", ".join(group.values))
        check_prompt(group.name, group.prompt, earlier)
        earlier.append(group.name)


def _refuse_labels(expected: str, found: str) -> NoReturn:
    raise Misused(
        "the labels cannot be used", where="labels", expected=expected, found=found,
        mend="classify(text, labels=[…], prompt='… {text} …')",
    )  # fmt: skip


def _after(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _: progress(before + done, total)
