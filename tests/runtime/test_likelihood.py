from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hardtack.errors import Misused, UnsupportedModel
from hardtack.runtime import likelihood as module
from hardtack.runtime.classifier import Classified, Classifier, HeadClassifier
from hardtack.runtime.engines.interface import Feed
from hardtack.runtime.layout import Tokenizing
from hardtack.runtime.likelihood import LikelihoodClassifier, make_classifier
from hardtack.spec.lock import LabelGroup
from hardtack.spec.words import Task
from tests.runtime.fakes import VOCABULARY, NumpyEngine, a_layout, an_identity, mean_of_rows, t5_tokenizer, the_tokens

T5_INPUTS = ("input_ids", "attention_mask", "decoder_input_ids", "target_ids", "target_mask")
CATEGORY = LabelGroup("category", ("energy", "comfort"), "a {text} b")
PRIORITY = LabelGroup("priority", ("high", "low"), "a {text} c {category} b")


def mentions(feed: Feed) -> NDArray[np.float32]:
    """How often each label's tokens occur in the prompt, less one: a log-probability of sorts."""
    rows = np.empty((len(feed["input_ids"]), len(feed["target_ids"])), dtype=np.float32)
    for row, ids in enumerate(feed["input_ids"]):
        for label, (target, mask) in enumerate(zip(feed["target_ids"], feed["target_mask"], strict=True)):
            words = target[mask == 1][:-1]
            rows[row, label] = sum((ids == word).sum() for word in words) - 1.0
    return rows


def a_t5(*groups: LabelGroup, max_length: int | None = 16, **config: Any) -> LikelihoodClassifier:
    settings = {"is_encoder_decoder": True, "eos_token_id": 3, "decoder_start_token_id": 0, "vocab_size": 20} | config
    layout = a_layout(Task.CLASSIFY, family="t5", config=settings, tokenizing=Tokenizing("t", max_length, pad_id=0))
    made = make_classifier(
        an_identity(key="classify"), layout, NumpyEngine(0, mentions, T5_INPUTS),
        the_tokens(layout, t5_tokenizer(), cut=False), groups=groups,
    )  # fmt: skip
    assert isinstance(made, LikelihoodClassifier)
    return made


def feeds_of(model: Classifier) -> list[Feed]:
    engine = model._engine
    assert isinstance(engine, NumpyEngine)
    return engine.feeds


def prompts_of(model: Classifier) -> list[str]:
    words = {number: word for word, number in VOCABULARY.items()}
    return [
        " ".join(words[int(i)] for i, m in zip(ids, mask, strict=True) if m)
        for feed in feeds_of(model)
        for ids, mask in zip(feed["input_ids"], feed["attention_mask"], strict=True)
    ]


def test_groups_run_in_order_and_a_later_prompt_sees_an_earlier_answer() -> None:
    model = a_t5(CATEGORY, PRIORITY)
    answer = model.classify("red comfort low")
    assert answer == {"category": "comfort", "priority": "low"}
    assert list(answer) == ["category", "priority"]
    assert prompts_of(model) == ["a red comfort low b [SEP]", "a red comfort low c comfort b [SEP]"]


def test_scores_are_a_softmax_over_the_group() -> None:
    answer = a_t5(CATEGORY).classify("comfort")
    assert answer.scores == {
        "category": {"energy": pytest.approx(1 / (1 + np.e)), "comfort": pytest.approx(np.e / (1 + np.e))}
    }


def test_one_or_several_texts() -> None:
    model = a_t5(CATEGORY)
    assert isinstance(model.classify("energy"), Classified)
    assert model.classify(["energy", "comfort"]) == [{"category": "energy"}, {"category": "comfort"}]
    assert model.classify([]) == []


def test_the_answer_is_a_dict_and_survives_pickling() -> None:
    answer = a_t5(CATEGORY).classify("energy")
    again = pickle.loads(pickle.dumps(answer))
    assert again == answer == {"category": "energy"}
    assert again.scores == answer.scores


def test_labels_are_teacher_forced() -> None:
    model = a_t5(LabelGroup("g", ("energy", "red light"), "{text}"))
    model.classify("a")
    (feed,) = feeds_of(model)
    energy, red, light = VOCABULARY["energy"], VOCABULARY["red"], VOCABULARY["light"]
    assert feed["decoder_input_ids"].tolist() == [[0, energy, 0], [0, red, light]]
    assert feed["target_ids"].tolist() == [[energy, 3, 0], [red, light, 3]]
    assert feed["target_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]


@pytest.mark.parametrize("text", ["{category}", "{text}", "{0}", "{", "}}{{", "{a.__class__}", "{priority!r:>9}"])
def test_braces_in_a_text_mean_nothing(text: str) -> None:
    model = a_t5(CATEGORY, PRIORITY)
    assert set(model.classify(f"energy {text}")) == {"category", "priority"}
    assert prompts_of(model)[0].count("energy") == 1


def test_labels_and_prompts_at_call_time() -> None:
    model = a_t5(CATEGORY)
    assert model.classify("red", labels=["red", "blue"], prompt="{text}") == {"label": "red"}
    assert model.classify("red", labels={"category": ["red", "blue"]}) == {"category": "red"}
    assert model.classify("energy", prompt="b {text} b") == {"category": "energy"}
    assert prompts_of(model)[-1] == "b energy b [SEP]"
    both = model.classify(
        "red on", labels={"x": ["red", "blue"], "y": ["on", "off"]}, prompt={"x": "{text}", "y": "{x} {text}"}
    )
    assert both == {"x": "red", "y": "on"}


@pytest.mark.parametrize(
    ("labels", "prompt"),
    [
        (["red", "blue"], None),  # no prompt
        ("red", "{text}"),  # one label, and no list of them
        ([], "{text}"),
        (["red", "red"], "{text}"),
        (["red", None], "{text}"),
        (["red", " "], "{text}"),  # tokenizes to nothing
        (["red", ""], "{text}"),
        (["red", "blue"], "no place for it"),
        (["red", "blue"], "{text} {text}"),
        (["red", "blue"], "{text} {category}"),
        (["red", "blue"], {"other": "{text}"}),
        ({"x": ["red"], "y": ["on"]}, "{text}"),
    ],
)
def test_labels_that_cannot_be_used(labels: Any, prompt: Any) -> None:
    with pytest.raises(Misused) as problem:
        a_t5(CATEGORY).classify("red", labels=labels, prompt=prompt)
    assert problem.value.mend


def test_an_unknown_blank_is_named_when_the_model_is_made() -> None:
    with pytest.raises(Misused) as problem:
        a_t5(LabelGroup("priority", ("high",), "{text} {catgory}"))
    assert problem.value.found == "{catgory}"
    with pytest.raises(Misused):  # a group cannot name itself or a later one
        a_t5(LabelGroup("x", ("high",), "{text} {y}"), LabelGroup("y", ("low",), "{text}"))


def test_a_model_without_labels_says_how_to_get_some() -> None:
    with pytest.raises(Misused) as problem:
        a_t5().classify("red")
    assert "labels" in problem.value.what


def test_a_long_text_is_cut_and_the_end_of_the_prompt_is_not() -> None:
    model = a_t5(LabelGroup("g", ("high", "low"), "a {text} b"), max_length=8)
    model.classify(["d " * 200_000, "d d d d d", "d d d d d d"])
    assert prompts_of(model) == ["a d d d d d b [SEP]"] * 3


def test_a_prompt_that_is_too_long_by_itself() -> None:
    with pytest.raises(Misused):
        a_t5(LabelGroup("g", ("high", "low"), "a " * 20 + "{text}"), max_length=8).classify("red")


def test_many_labels_go_through_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DECODER_TOKENS", 4)
    model = a_t5(LabelGroup("g", ("a", "b", "red", "on", "off"), "{text}"))
    assert model.classify(["on", "red"]) == [{"g": "on"}, {"g": "red"}]
    assert [feed["target_ids"].shape for feed in feeds_of(model)] == [(2, 2)] * 4 + [(1, 2)] * 2


def test_progress_counts_every_groups_answers() -> None:
    told: list[tuple[int, int]] = []
    a_t5(CATEGORY, PRIORITY).classify(["a", "b"], batch_size=1, progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_model_with_a_head_is_not_asked_for_likelihoods() -> None:
    layout = a_layout(Task.CLASSIFY, labels=("good", "bad"))
    given = (an_identity(), layout, NumpyEngine(2, mean_of_rows(2)), the_tokens(layout))
    assert isinstance(make_classifier(*given), HeadClassifier)
    with pytest.raises(UnsupportedModel):
        make_classifier(*given, groups=(CATEGORY,))


def test_what_is_not_text_is_refused() -> None:
    for bad in (None, [None], [["a"]], {"a": "b"}):
        with pytest.raises(Misused):
            a_t5(CATEGORY).classify(bad)  # type: ignore[arg-type]
