"""A look-up in an int8 table, turned around: the same answers to the bit, and no table in fp32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hardtack.build.tables import look_up_first
from hardtack.runtime.engines.openvino_import import import_openvino

ROWS, WIDTH = 50, 8
rng = np.random.default_rng(0)
TABLE = rng.integers(-127, 128, (ROWS, WIDTH)).astype(np.int8)


def graph(table: np.ndarray, scale: np.ndarray, *, axis: int = 0) -> Any:
    """Ids → rows of the scaled table, plus one, as NNCF leaves it."""
    ov = import_openvino()
    from openvino import opset13 as op

    ids = op.parameter([-1, -1], np.int64, "ids")
    scaled = op.multiply(op.convert(op.constant(table), "f32"), op.constant(scale))
    rows = op.gather(scaled, ids, op.constant(np.array([axis], np.int64)))
    return ov.Model([op.add(rows, op.constant(np.float32(1)))], [ids], "graph")


def answers(made: Any, ids: np.ndarray) -> np.ndarray:
    compiled = import_openvino().Core().compile_model(made, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled(ids)[0])


@pytest.mark.parametrize("table", [TABLE, (TABLE.astype(np.int16) + 128).astype(np.uint8)], ids=["int8", "uint8"])
def test_the_answers_are_the_same_to_the_bit(table: np.ndarray) -> None:
    scale = rng.random((ROWS, 1), np.float32)
    ids = rng.integers(0, ROWS, (3, 5))
    plain, turned = graph(table, scale), graph(table, scale)
    assert look_up_first(turned) == 1
    np.testing.assert_array_equal(answers(turned, ids), answers(plain, ids))


def test_nothing_is_left_to_work_out_over_the_whole_table() -> None:
    made = graph(TABLE, np.ones((ROWS, 1), np.float32))
    look_up_first(made)
    constants = [node for node in made.get_ordered_ops() if node.get_type_name() == "Constant"]
    (table,) = (node for node in constants if tuple(node.get_output_shape(0)) == (ROWS, WIDTH))
    readers = {target.get_node().get_type_name() for target in table.output(0).get_target_inputs()}
    assert readers == {"Gather"}
    assert look_up_first(made) == 0  # once is enough


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda: graph(TABLE, np.ones((1, 1), np.float32)), id="one scale for all rows"),
        pytest.param(lambda: graph(TABLE, np.ones((ROWS, 1), np.float32), axis=1), id="columns are looked up"),
        pytest.param(lambda: graph(TABLE.astype(np.float32), np.ones((ROWS, 1), np.float32)), id="a table in fp32"),
    ],
)
def test_other_look_ups_are_left_alone(made: Any) -> None:
    assert look_up_first(made()) == 0
