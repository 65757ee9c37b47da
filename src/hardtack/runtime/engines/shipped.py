"""Graphs that a repository ships, OpenVINO IR or ONNX, brought to the shape of those that families draw.

Inputs and outputs are known by their names. What sentence-transformers does after the transformer (pooling, Dense,
Normalize) is drawn behind the graph, in float32, by the same pieces as for a family's. Reading ONNX uses OpenVINO's
frontend library and not its converter. Weights that lie beside an ONNX file are read from its own folder only
(OpenVINO takes ``..`` and a leading slash off such names).
"""

from __future__ import annotations

from typing import Any

from hardtack.errors import UnsupportedModel
from hardtack.runtime.families import heads
from hardtack.runtime.families.pieces import Node, ids_input, op, ov
from hardtack.runtime.layout import Layout
from hardtack.runtime.weights import Weights
from hardtack.spec.words import Task

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_TOKENS = ("last_hidden_state", "token_embeddings")
_WHOLE = "sentence_embedding"
_LOGITS = "logits"


def read_shipped(layout: Layout, weights: Weights, core: Any) -> Any:
    """Read a model's own graph; inputs and first output as :mod:`hardtack.runtime.engines.interface` tables them.

    Args:
        layout: what the model is; the graph is the first of ``layout.weights``.
        weights: of its Dense modules.
        core: OpenVINO's.

    Raises:
        UnsupportedModel: the file is no graph, or has other inputs and outputs than those of an encoder.
    """
    file = layout.directory / layout.weights[0]
    try:
        graph = core.read_model(str(file))
    except RuntimeError as problem:
        raise _odd(layout, "a graph that OpenVINO reads", str(problem).strip().splitlines()[-1]) from problem
    inputs = _inputs(layout, graph)
    results = _embedding(layout, weights, graph, inputs) if layout.task is Task.EMBED else _logits(layout, graph)
    return ov.Model(results, inputs, layout.family)


def is_int8(graph: Any) -> bool:
    """Whether a graph's products are quantised: it has fake-quantised numbers, or weights of eight bits."""
    eight = (ov.Type.i8, ov.Type.u8)
    return any(
        node.get_type_name() == "FakeQuantize"
        or (node.get_type_name() == "Constant" and node.get_element_type() in eight and node.get_byte_size() > 1)
        for node in graph.get_ops()
    )


def _inputs(layout: Layout, graph: Any) -> list[Node]:
    """The graph's inputs, ids and mask first, each of int64 and any shape."""
    found = {}
    for parameter in graph.get_parameters():
        names = parameter.output(0).get_names()
        name = next((name for name in _INPUTS if name in names), None)
        if name is None:
            raise _odd(layout, "inputs " + ", ".join(_INPUTS), ", ".join(sorted(names)) or "an input without a name")
        fresh = ids_input(name)
        given = parameter.get_element_type()
        parameter.output(0).replace(fresh.output(0) if given == ov.Type.i64 else op.convert(fresh, given).output(0))
        found[name] = fresh
    if not {"input_ids", "attention_mask"} <= found.keys():
        raise _odd(layout, "inputs input_ids and attention_mask", ", ".join(found) or "no inputs")
    return [found[name] for name in _INPUTS if name in found]


def _embedding(layout: Layout, weights: Weights, graph: Any, inputs: list[Node]) -> list[Node]:
    tokens = _output(graph, *_TOKENS)
    if tokens is not None:
        return heads.embedding(layout, weights, tokens, inputs)
    whole = _output(graph, _WHOLE)
    if whole is None:
        raise _odd(layout, "an output " + " or ".join((*_TOKENS, _WHOLE)), _names(graph))
    return [heads.normalize(whole) if layout.normalize else whole]  # pooled, and through its Dense modules, already


def _logits(layout: Layout, graph: Any) -> list[Node]:
    logits = _output(graph, _LOGITS)
    if logits is None:
        raise _odd(layout, f"an output {_LOGITS}", _names(graph))
    return [logits]


def _output(graph: Any, *names: str) -> Node | None:
    for name in names:
        for result in graph.get_results():
            source = result.input_value(0)
            if name in source.get_names():
                return op.convert(source, ov.Type.f32)
    return None


def _names(graph: Any) -> str:
    return ", ".join(sorted(name for result in graph.get_results() for name in result.input_value(0).get_names()))


def _odd(layout: Layout, expected: str, found: str) -> UnsupportedModel:
    return UnsupportedModel(
        "The graph that the model brings cannot be used.", where=str(layout.directory / layout.weights[0]),
        expected=expected, found=found, mend="pip install 'hardtack[torch]'  # and HARDTACK_ENGINE=torch",
    )  # fmt: skip
