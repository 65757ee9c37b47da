"""Weights in a quantised graph, as NNCF leaves them: *constant of eight bits → convert → times a scale*."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Scaled:
    """Weights of eight bits and what they are multiplied with, as outputs of two constants of the graph.

    Attributes:
        table: the weights, i8 or u8.
        scale: broadcasts to them.
        dtype: what they are converted to, by OpenVINO's name.
    """

    table: Any
    scale: Any
    dtype: str


def scaled(value: Any) -> Scaled | None:
    """The weights that a node's input is, or None of anything else."""
    if not is_kind(value, "Multiply"):
        return None
    converted, scale = value.get_node().input_value(0), value.get_node().input_value(1)
    if not (is_kind(converted, "Convert") and is_kind(scale, "Constant")):
        return None
    table = converted.get_node().input_value(0)
    if not (is_kind(table, "Constant") and table.get_element_type().get_type_name() in ("i8", "u8")):
        return None
    return Scaled(table, scale, converted.get_element_type().get_type_name())


def is_kind(value: Any, kind: str) -> bool:
    """Whether a value comes from a node of a kind, by OpenVINO's name."""
    return bool(value.get_node().get_type_name() == kind)
