from __future__ import annotations

import numpy as np
import pytest

from hardtack.build.ask import Answers
from hardtack.build.gate import judge, measure, spearman
from hardtack.runtime.golden import Drift
from hardtack.spec.gates import GATES
from hardtack.spec.words import Task

RNG = np.random.default_rng(0)


def rows(*values: list[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.asarray(values, dtype=np.float32)


@pytest.mark.parametrize(
    ("first", "second", "value"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3, 4], [1, 3, 2, 4], 0.8),
        ([1, 1, 2], [1, 2, 3], 0.8660254),  # equal values share a rank: scipy.stats.spearmanr says the same
        ([5, 5], [5, 5], 1.0),
        ([5, 5], [1, 2], 0.0),
    ],
)
def test_spearman(first: list[float], second: list[float], value: float) -> None:
    assert spearman(rows(first)[0], rows(second)[0]) == pytest.approx(value)


@pytest.mark.parametrize("task", list(GATES))
def test_every_key_of_a_gate_is_measured_and_nothing_is_lost_against_itself(task: Task) -> None:
    groups = (3, 2) if task is not Task.EMBED else ()
    columns = 1 if task is Task.RERANK else 5
    same = Answers(RNG.normal(size=(5, columns)).astype(np.float32), groups)
    figures = measure(task, same, same)
    assert set(figures) == set(GATES[task])
    perfect = {name: 0.0 if bound.most else 1.0 for name, bound in GATES[task].items()}
    assert figures == pytest.approx(perfect, abs=1e-6)
    assert judge(task, same, same, {}).good


def test_vectors_lose_by_their_angle_alone() -> None:
    reference = rows([1, 0], [0, 1], [1, 1], [0, 0])
    longer = Answers(reference * 3)
    assert measure(Task.EMBED, longer, Answers(reference))["cosine-min"] == pytest.approx(1)
    turned = Answers(rows([1, 1], [0, 1], [1, 1], [0, 0]))
    figures = measure(Task.EMBED, turned, Answers(reference))
    assert figures["cosine-min"] == pytest.approx(0.70710678)
    assert figures["cosine-mean"] == pytest.approx((3 + 0.70710678) / 4)
    assert figures["rank"] < 1


def test_a_vector_that_vanished_is_no_agreement() -> None:
    figures = measure(Task.EMBED, Answers(rows([0, 0], [0, 1], [1, 1])), Answers(rows([1, 0], [0, 1], [1, 1])))
    assert figures["cosine-min"] == 0


def test_a_reranker_is_measured_query_by_query() -> None:
    # two queries of three documents: in the first the best two change places, the second only moves as a whole
    reference = Answers(rows([3], [2], [1], [-1], [0], [1]), (3, 3))
    answers = Answers(rows([2], [3], [1], [8], [9], [10]), (3, 3))
    figures = measure(Task.RERANK, answers, reference)
    assert figures["rank"] == pytest.approx((0.5 + 1) / 2)
    assert figures["rank-min"] == pytest.approx(0.5)
    assert figures["top1"] == 0.5
    assert figures["ties"] == 0
    assert figures["drift"] == pytest.approx(9 / 4)


def test_scores_that_tie_are_a_loss_where_they_did_not() -> None:
    reference = Answers(rows([1.001], [1.002], [1.003], [5]), (4,))
    grid = Answers(rows([1], [1], [1], [5]), (4,))  # as scores on the grid of bf16 would
    assert measure(Task.RERANK, grid, reference)["ties"] == pytest.approx(3 / 6)
    assert not judge(Task.RERANK, grid, reference, {}).good
    twins = Answers(rows([1], [1], [2], [5]), (4,))
    assert measure(Task.RERANK, twins, twins)["ties"] == 0


def test_a_reranker_of_several_labels_is_ranked_by_each() -> None:
    reference = Answers(rows([1, 9], [2, 8], [3, 7]), (3,))
    answers = Answers(rows([1, 7], [2, 8], [3, 9]), (3,))
    assert measure(Task.RERANK, answers, reference)["rank"] == pytest.approx(0)


def test_a_classifier_is_measured_group_by_group() -> None:
    reference = Answers(rows([0.9, 0.1, 0.5, 0.3, 0.2], [0.2, 0.8, 0.1, 0.1, 0.8]), (2, 3))
    answers = Answers(rows([0.4, 0.6, 0.5, 0.3, 0.2], [0.2, 0.8, 0.1, 0.2, 0.7]), (2, 3))
    figures = measure(Task.CLASSIFY, answers, reference)
    assert figures["agreement"] == pytest.approx(3 / 4)
    assert figures["drift-mean"] == pytest.approx((0.5 + 0.1) / 2)
    assert 0.1 < figures["drift"] <= 0.5


def test_a_gate_holds_what_it_names_and_the_defaults() -> None:
    reference = Answers(RNG.normal(size=(50, 8)).astype(np.float32))
    near = Answers(reference.rows + RNG.normal(0, 0.1, reference.rows.shape).astype(np.float32))
    verdict = judge(Task.EMBED, near, reference, {"cosine-min": 0.999999})
    assert "cosine-min" in [figure.name for figure in verdict.missed]
    assert {figure.name: figure.limit for figure in verdict.figures} == {
        "cosine-min": 0.999999, "cosine-p1": 0.99, "cosine-mean": None, "rank": 0.98,
    }  # fmt: skip
    assert judge(Task.EMBED, near, reference, {"cosine-p1": 0.5, "rank": 0.5}).good


def test_golden_answers_count_too() -> None:
    same = Answers(RNG.normal(size=(5, 8)).astype(np.float32))
    verdict = judge(Task.EMBED, same, same, {}, Drift("cosine", 0.5, 0.98, good=False))
    assert not verdict.good
    assert str(verdict.missed[0]) == "golden 0.5000 (≥ 0.98)"
    assert str(judge(Task.RERANK, Answers(same.rows, (5,)), Answers(same.rows, (5,)), {},
                     Drift("difference", 0.2, 0.1, good=False)).missed[0]) == "golden 0.2000 (≤ 0.1)"  # fmt: skip
