"""Embedding tables that stay int8 in memory: rows are looked up first and scaled after.

A quantised graph comes with *scale (whole table) → look up*. OpenVINO works out what is constant when it compiles, so
that the table of a 250,002-piece vocabulary would stand in memory in fp32, four times its size. Turned around, *look up
→ scale (those rows)*, the answers are the same to the bit and the table stays what it is in the file.
"""

from __future__ import annotations

from typing import Any

from hardtack.build.scaled import Scaled, is_kind, scaled
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
        ids, axis = gather.input_value(1), gather.input_value(2)
        name = gather.get_friendly_name()
        rows = op.convert(op.gather(found.table, ids, axis), found.dtype)
        made = op.multiply(rows, op.gather(found.scale, ids, axis))
        for port, label in ((rows, "rows"), (made, "scaled")):
            port.set_friendly_name(f"{name}/{label}")
        for target in gather.output(0).get_target_inputs():
            target.replace_source_output(made.output(0))
        turned += 1
    return turned


def _scaled_table(node: Any) -> Scaled | None:
    """What a look-up along the first axis reads, where that has a scale for each row."""
    if node.get_type_name() != "Gather" or not is_kind(node.input_value(2), "Constant"):
        return None
    found = scaled(node.input_value(0))
    if found is None:
        return None
    shape, rows = tuple(found.scale.get_shape()), tuple(found.table.get_shape())
    by_row = len(shape) == len(rows) and shape[0] == rows[0]
    along_first = int(node.input_value(2).get_node().get_data().reshape(-1)[0]) == 0
    return found if by_row and along_first else None
