from __future__ import annotations

from typing import Any

import pytest

from hardtack.errors import Misused
from hardtack.runtime.classifier import HeadClassifier
from hardtack.spec.words import Task
from tests.runtime.fakes import NumpyEngine, a_layout, an_identity, mean_of_rows, the_tokens


def a_head(**config: Any) -> HeadClassifier:
    layout = a_layout(Task.CLASSIFY, config={"vocab_size": 20} | config, labels=("good", "bad"))
    return HeadClassifier(an_identity(), layout, NumpyEngine(2, mean_of_rows(2)), the_tokens(layout))


def test_a_classifier_with_a_head() -> None:
    model = a_head()
    answer = model.classify("red")
    assert sum(answer.scores["label"].values()) == pytest.approx(1)
    assert answer == {"label": max(answer.scores["label"], key=answer.scores["label"].__getitem__)}
    assert model.classify(["red", "red"]) == [answer, answer]
    independent = a_head(problem_type="multi_label_classification").classify("red")
    assert independent == answer
    assert sum(independent.scores["label"].values()) != pytest.approx(1)


def test_a_head_takes_no_other_labels() -> None:
    with pytest.raises(Misused):
        a_head().classify("red", labels=["a"], prompt="{text}")
