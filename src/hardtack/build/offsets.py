"""Quantised activations that begin at zero: what their offset adds to a product is in its bias, once and for all.

NNCF lays the 256 steps of an activation between its least and its greatest number, so that eight bits are unsigned and
0 is some step between. OpenVINO then works out, whenever it compiles, what that zero point adds to each product: it
turns all weights into f32 and multiplies them (``MatMulTransformation``), which for a base-size reranker is 0.4 s of
0.8. Here the steps stay where they are and are only counted from the least number on, and each product is given what
that takes away: the offset times the sum of each row of its weights. The answers are the same but for f32's rounding.

https://github.com/openvinotoolkit/openvino/blob/master/src/common/low_precision_transformations/src/mat_mul.cpp
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardtack.build.scaled import is_kind, scaled
from hardtack.runtime.engines.openvino_import import import_openvino

_LOW, _HIGH = 3, 4
"""The inputs of a ``FakeQuantize`` that say what its least and its greatest step stand for."""


def begin_at_zero(graph: Any) -> int:
    """Move the offsets of quantised activations that only products read into what is added to those, in place.

    Args:
        graph: an ``openvino.Model``, as ``nncf.quantize`` leaves it.

    Returns:
        How many activations there were.
    """
    import_openvino()
    from openvino import opset13 as op

    moved = 0
    for steps in graph.get_ordered_ops():
        offset = _offset(steps)
        if not offset:
            continue
        products = [target.get_node() for target in steps.output(0).get_target_inputs()]
        sums = [_row_sums(product, steps) for product in products]
        if any(each is None for each in sums):
            continue
        for product, each in zip(products, sums, strict=True):
            assert each is not None
            _add(op, product, offset * each)
        greatest = steps.input_value(_HIGH).get_node().get_data()
        name = steps.get_friendly_name()
        _replace(op, steps.input(_LOW), np.zeros_like(greatest), f"{name}/least")
        _replace(op, steps.input(_HIGH), greatest - greatest.dtype.type(offset), f"{name}/greatest")
        moved += 1
    return moved


def _offset(node: Any) -> float:
    """The number that the least step of a whole activation stands for; 0 where that is it, or there are several."""
    if node.get_type_name() != "FakeQuantize" or not all(
        is_kind(node.input_value(i), "Constant") for i in (_LOW, _HIGH)
    ):
        return 0.0
    least = node.input_value(_LOW).get_node().get_data()
    return float(least.reshape(-1)[0]) if least.size == 1 else 0.0


def _row_sums(product: Any, steps: Any) -> NDArray[np.float64] | None:
    """Of *activation · (int8 → f32 · scale)ᵀ*: the sum of each row of the weights; None of anything else."""
    if product.get_type_name() != "MatMul" or product.input_value(0).get_node() != steps:
        return None
    weights = scaled(product.input_value(1))
    if weights is None or weights.table.get_element_type().get_type_name() != "i8":
        return None
    if not product.get_attributes()["transpose_b"]:
        return None
    table = weights.table.get_node().get_data()
    scales = np.broadcast_to(weights.scale.get_node().get_data().astype(np.float64), (len(table), 1))
    sums: NDArray[np.float64] = table.sum(axis=1, dtype=np.int64) * scales[:, 0]
    return sums


def _add(op: Any, product: Any, what: NDArray[np.float64]) -> None:
    """Add a number for each output to a product: to its bias, where it has one."""
    readers = list(product.output(0).get_target_inputs())
    reader = readers[0].get_node()
    if len(readers) == 1 and reader.get_type_name() == "Add" and is_kind(reader.input_value(1), "Constant"):
        bias = reader.input_value(1).get_node().get_data()
        moved = (bias.astype(np.float64) + what.reshape(bias.shape)).astype(np.float32)
        _replace(op, reader.input(1), moved, f"{reader.get_friendly_name()}/bias")
        return
    name = f"{product.get_friendly_name()}/offset"
    made = op.add(product, what.astype(np.float32))
    made.set_friendly_name(name)
    made.input_value(1).get_node().set_friendly_name(f"{name}/bias")
    for target in readers:
        target.replace_source_output(made.output(0))


def _replace(op: Any, port: Any, number: NDArray[Any], name: str) -> None:
    """Give an input another constant, by a name of its own: OpenVINO's is counted in the order in which nodes are made.

    That order is chance, since the readers of a node are a set; and names are part of a build's bytes.
    """
    made = op.constant(number)
    made.set_friendly_name(name)
    port.replace_source_output(made.output(0))
