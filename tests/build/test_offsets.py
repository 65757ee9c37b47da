"""Activations counted from their least step on: the same answers, and no zero point left for OpenVINO to work out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardtack.build.offsets import begin_at_zero
from hardtack.runtime.engines.openvino_import import import_openvino

INNER, OUTER = 6, 4


def products(seed: int, low: float, high: float, *, biased: bool, readers: int = 1, by_column: bool = False) -> Any:
    """``x`` quantised, times int8 weights, as NNCF leaves it; ``readers`` products read the same activation."""
    ov = import_openvino()
    from openvino import opset13 as op

    rng = np.random.default_rng(seed)
    x = op.parameter([-1, -1, INNER], np.float32, "x")
    shape = (1, 1, INNER) if by_column else ()
    ends = [np.full(shape, end, np.float32) for end in (low, high)]
    steps = op.fake_quantize(x, *(op.constant(end) for end in (*ends, *ends)), 256)
    made = []
    for _ in range(readers):
        table = op.convert(op.constant(rng.integers(-127, 128, (OUTER, INNER)).astype(np.int8)), "f32")
        scaled = op.multiply(table, op.constant(rng.random((OUTER, 1), np.float32) / 50))
        product = op.matmul(steps, scaled, False, True)
        bias = op.constant(rng.standard_normal((1, 1, OUTER)).astype(np.float32))
        made.append(op.add(product, bias) if biased else product)
    return ov.Model(made, [x], "products")


def answers(made: Any, x: np.ndarray) -> list[np.ndarray]:
    compiled = import_openvino().Core().compile_model(made, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [np.array(row) for row in compiled(x).values()]


def ends_of(made: Any) -> list[float]:
    return [
        float(node.input_value(place).get_node().get_data().reshape(-1)[0])
        for node in made.get_ordered_ops() if node.get_type_name() == "FakeQuantize" for place in (3, 4)
    ]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 200), st.floats(0.01, 10), st.booleans(), st.integers(1, 3)
)  # fmt: skip
def test_the_answers_are_the_same(seed: int, below: int, width: float, biased: bool, readers: int) -> None:
    step = width / 255  # zero is a step, as NNCF sees to
    low, high = -below * step, (255 - below) * step
    plain, moved = (products(seed, low, high, biased=biased, readers=readers) for _ in range(2))
    assert begin_at_zero(moved) == 1
    assert ends_of(moved) == pytest.approx([0, width], rel=1e-5)
    x = np.random.default_rng(seed).uniform(low * 1.2, high * 1.2, (2, 3, INNER)).astype(np.float32)
    for ours, theirs in zip(answers(moved, x), answers(plain, x), strict=True):
        # one step of one number: where x lies between two steps, either is right
        np.testing.assert_allclose(ours, theirs, atol=step * 127 / 50 * 1.01)


def test_on_its_steps_they_are_the_same_to_seven_digits() -> None:
    step = 1 / 64
    plain, moved = (products(3, -90 * step, 165 * step, biased=True) for _ in range(2))
    begin_at_zero(moved)
    x = (np.random.default_rng(3).integers(-90, 166, (4, 5, INNER)) * step).astype(np.float32)
    for ours, theirs in zip(answers(moved, x), answers(plain, x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-6)


def test_what_is_put_in_is_named_after_its_reader_and_not_by_chance() -> None:
    """Names are part of a build's bytes, and OpenVINO counts its own in the order in which nodes are made."""
    for biased in (True, False):
        made = products(0, -1.0, 1.55, biased=biased, readers=3)
        begin_at_zero(made)
        for node in made.get_ordered_ops():
            ends = {"FakeQuantize": (3, 4), "Add": (1,)}.get(node.get_type_name(), ())
            for place in ends:
                assert node.input_value(place).get_node().get_friendly_name().startswith(node.get_friendly_name())


def test_a_bias_takes_it_where_there_is_one() -> None:
    biased, bare = (products(0, -1.0, 1.55, biased=given) for given in (True, False))
    before = [len(made.get_ops()) for made in (biased, bare)]
    assert [begin_at_zero(made) for made in (biased, bare)] == [1, 1]
    added = [sum(node.get_type_name() == "Add" for node in made.get_ops()) for made in (biased, bare)]
    assert added == [1, 1]
    assert [len(made.get_ops()) for made in (biased, bare)] == [before[0], before[1] + 2]
    assert begin_at_zero(biased) == 0  # once is enough


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda: products(0, 0.0, 2.55, biased=True), id="it begins at zero"),
        pytest.param(lambda: products(0, -1.0, 1.55, biased=True, by_column=True), id="each column has its own"),
    ],
)
def test_other_activations_are_left_alone(made: Any) -> None:
    graph = made()
    before = ends_of(graph)
    assert begin_at_zero(graph) == 0
    assert ends_of(graph) == before


def test_what_others_read_too_is_left_alone() -> None:
    ov = import_openvino()
    from openvino import opset13 as op

    graph = products(0, -1.0, 1.55, biased=True)
    steps = next(node for node in graph.get_ops() if node.get_type_name() == "FakeQuantize")
    answer = graph.get_results()[0].input_value(0).get_node()
    both = ov.Model([answer, op.relu(steps)], graph.get_parameters(), "both")
    assert begin_at_zero(both) == 0
