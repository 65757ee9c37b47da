"""Embedding tables that stay int8 in memory: rows are looked up first and scaled after.

A quantised graph comes with *scale (whole table) → look up*. OpenVINO works out what is constant when it compiles, so
that the table of a 250,002-piece vocabulary would stand in memory in fp32, four times its size. Turned around, *look up
→ scale (those rows)*, the answers are the same to the bit and the table stays what it is in the file.
"""

from __future__ import annotations

from typing import Any

from hardtack.runtime.engines.openvino_import import import_openvino


def look_up_first(graph: Any) -> int:
    """Turn every look-up in a scaled int8 table around, in place.

    Args:
        graph: an ``openvino.Model``.

    Returns:
        How many there were.
    """
    import_openvino()
    from openvino import opset13 as op

    turned = 0
    for gather in graph.get_ordered_ops():
        found = _scaled_table(gather)
        if found is None:
            continue
        table, scale, dtype = found
        ids, axis = gather.input_value(1), gather.input_value(2)
        name = gather.get_friendly_name()
        rows = op.convert(op.gather(table, ids, axis), dtype)
        made = op.multiply(rows, op.gather(scale, ids, axis))
        for port, label in ((rows, "rows"), (made, "scaled")):
            port.set_friendly_name(f"{name}/{label}")
        for target in gather.output(0).get_target_inputs():
            target.replace_source_output(made.output(0))
        turned += 1
    return turned


def _scaled_table(node: Any) -> tuple[Any, Any, str] | None:
    """Of a look-up along the first axis in *constant → convert → times a scale for each row*: table, scale, dtype."""
    if node.get_type_name() != "Gather" or not _is(node.input_value(2), "Constant"):
        return None
    times = node.input_value(0).get_node()
    if times.get_type_name() != "Multiply":
        return None
    converted, scale = times.input_value(0), times.input_value(1)
    if not (_is(converted, "Convert") and _is(scale, "Constant")):
        return None
    table = converted.get_node().input_value(0)
    if not (_is(table, "Constant") and table.get_element_type().get_type_name() in ("i8", "u8")):
        return None
    shape = tuple(scale.get_shape())
    by_row = len(shape) == len(table.get_shape()) and shape[0] == table.get_shape()[0]
    along_first = int(node.input_value(2).get_node().get_data().reshape(-1)[0]) == 0
    return (table, scale, converted.get_element_type().get_type_name()) if by_row and along_first else None


def _is(value: Any, kind: str) -> bool:
    return bool(value.get_node().get_type_name() == kind)
