"""From a model directory to a shape and its arrays: what of BERT, RoBERTa, XLM-R and MPNet this engine runs.

What it does not run is said as :class:`~hardtack.errors.NotDrawn`, from the config alone, so that another engine can
be chosen before a weight is read. Tensors that do not fit the config, or that hold anything but finite numbers, are
refused as :class:`~hardtack.errors.UnsupportedModel`, which no other engine would mend.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardtack.errors import NotDrawn
from hardtack.runtime.families.buckets import bucket
from hardtack.runtime.families.config import number, refuse_unless, text, where, whole
from hardtack.runtime.layout import Layout
from hardtack.runtime.native.named import Floats, Named
from hardtack.runtime.native.shape import LANES, PANEL, DenseShape, Shape, padded
from hardtack.runtime.native.tiling import NUMPY, Tiler, spread_heads
from hardtack.runtime.weights import Weights
from hardtack.spec.words import Pooling, Task, WeightsKind


@dataclass(frozen=True)
class Names:
    """What an architecture calls the parts of a layer, after ``encoder.layer.N.``, and of its classification head."""

    query: str
    key: str
    value: str
    out: str
    after_attention: str
    head: tuple[str, str]


_BERT = Names(
    "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
    "attention.output.LayerNorm", ("pooler.dense", "classifier"),
)  # fmt: skip
_ROBERTA = Names(
    _BERT.query, _BERT.key, _BERT.value, _BERT.out, _BERT.after_attention, ("classifier.dense", "classifier.out_proj")
)
_MPNET = Names(
    "attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o", "attention.LayerNorm", _ROBERTA.head
)
NAMES: Mapping[str, Names] = {"bert": _BERT, "roberta": _ROBERTA, "mpnet": _MPNET}
"""The families that this engine runs."""

_ACTIVATIONS = {
    "gelu": "gelu_erf",
    "gelu_python": "gelu_erf",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
_FARTHEST = 128
"""MPNet: the distance from which on all keys share a bucket; a constant in transformers' code."""
_LOG2_E = float(np.log2(np.e))
_DEEPEST = 48
"""Layers. XLM-R XXL has as many; beyond it nobody has looked at how errors of bf16 add up."""


def read_shape(layout: Layout) -> Shape:
    """The shape of a model, from its config.

    Raises:
        NotDrawn: this engine does not run it; the message says what is in the way.
    """
    if layout.family not in NAMES or layout.stored is not WeightsKind.SAFETENSORS:
        raise _not_run(layout, "model_type", ", ".join(NAMES) + " in safetensors", f"{layout.family}, {layout.stored}")
    refuse_unless(layout, "position_embedding_type", "absolute", None)
    refuse_unless(layout, "is_decoder", False)
    if layout.tokenizing.pad_left:
        raise _not_run(layout, "padding", "right", "left")
    size, heads = whole(layout, "hidden_size"), whole(layout, "num_attention_heads")
    activation = text(layout, "hidden_act", "gelu")
    if activation not in _ACTIVATIONS:
        raise _not_run(layout, "hidden_act", ", ".join(_ACTIVATIONS), activation)
    types = whole(layout, "type_vocab_size", 2) if layout.family == "bert" else 0
    if layout.family == "roberta":
        refuse_unless(layout, "type_vocab_size", 1)
    if heads < 1 or size % heads:
        raise _not_run(layout, "num_attention_heads", f"a divisor of {size}", str(heads))
    shape = Shape(
        size=size,
        heads=heads,
        head_size=size // heads,
        inner=whole(layout, "intermediate_size"),
        layers=whole(layout, "num_hidden_layers"),
        vocabulary=whole(layout, "vocab_size"),
        positions=whole(layout, "max_position_embeddings"),
        types=types if types > 1 else 0,
        activation=_ACTIVATIONS[activation],
        relative=layout.family == "mpnet",
        pooling="greatest" if layout.task is Task.EMBED and layout.pooling is Pooling.MAX else "sum",
        unit=layout.task is Task.EMBED and layout.normalize,
        epsilon=number(layout, "layer_norm_eps", 1e-12),
        dense=_head_shape(layout, size),
    )
    problem = shape.problem()
    if problem is None and shape.layers > _DEEPEST:
        problem = f"{shape.layers} layers, more than {_DEEPEST}"
    if problem is not None:
        raise _not_run(layout, "sizes", "those of an encoder", problem)
    return shape


def _head_shape(layout: Layout, size: int) -> tuple[DenseShape, ...]:
    if layout.task is not Task.EMBED:
        return (DenseShape(size, size, "tanh"), DenseShape(size, len(layout.labels), "identity"))
    if layout.pooling is None:
        raise _not_run(layout, "pooling", "a pooling", "none")
    return tuple(DenseShape(dense.inputs, dense.outputs, dense.activation) for dense in layout.dense)


def read_arrays(
    layout: Layout, weights: Weights, shape: Shape, by: Tiler = NUMPY
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Every array of :func:`~hardtack.runtime.native.shape.sections` by its name, one at a time.

    Args:
        layout: what the model is.
        weights: its numbers.
        shape: as :func:`read_shape` gave it.
        by: who puts them into tile order.

    Raises:
        UnsupportedModel: a tensor is not there, has another shape, or holds something that is no finite number.
    """
    names = NAMES[layout.family]
    root = Named(weights.body).rooted("embeddings.word_embeddings.weight")
    yield from _embeddings(root.under("embeddings"), layout, shape, by)
    yield "relative", _relative(root, layout, shape)
    yield from _norm("embedded", root.under("embeddings.LayerNorm"), shape)
    for number_of_layer in range(shape.layers):
        layer, made = root.under(f"encoder.layer.{number_of_layer}"), f"layer.{number_of_layer}."
        yield from _attention(made, layer, names, shape, by)
        yield from _norm(f"{made}after_attention", layer.under(names.after_attention), shape)
        yield from _linear(f"{made}up", by, *layer.linear("intermediate.dense", shape.size, shape.inner))
        yield from _linear(f"{made}down", by, *layer.linear("output.dense", shape.inner, shape.size))
        yield from _norm(f"{made}after_inner", layer.under("output.LayerNorm"), shape)
    for place, (dense, (weight, bias)) in enumerate(zip(shape.dense, _head(layout, weights, shape), strict=True)):
        rows = np.zeros((dense.outputs, padded(dense.inputs, LANES)), np.float32)
        rows[:, : dense.inputs] = weight
        yield f"dense.{place}.rows", rows
        yield f"dense.{place}.bias", bias


def _embeddings(table: Named, layout: Layout, shape: Shape, by: Tiler) -> Iterator[tuple[str, NDArray[Any]]]:
    size = shape.size
    yield "words", by.round(table("word_embeddings.weight", shape.vocabulary, size))
    positions = table("position_embeddings.weight", shape.positions, size)
    types = np.zeros((0, size), np.float32)
    if shape.types:
        types = table("token_type_embeddings.weight", shape.types, size)
    elif layout.family != "mpnet":
        positions = positions + table("token_type_embeddings.weight", 1, size)
    yield "positions", by.round(positions)
    yield "types", by.round(types)


def _relative(root: Named, layout: Layout, shape: Shape) -> Floats:
    """MPNet's bias by distance, a line a head, in units of log₂: [positions + key - query]; the rest is padding."""
    line = 2 * shape.positions + 64
    if not shape.relative:
        return np.zeros((0, line), np.float32)
    buckets = whole(layout, "relative_attention_num_buckets", 32)
    learned = root("encoder.relative_attention_bias.weight", buckets, shape.heads)
    distance = np.clip(np.arange(line) - shape.positions, -_FARTHEST, _FARTHEST)
    bias = learned[bucket(distance, buckets, _FARTHEST, both_ways=True)] * np.float32(_LOG2_E)
    return np.ascontiguousarray(bias.T, np.float32)


def _attention(made: str, layer: Named, names: Names, shape: Shape, by: Tiler) -> Iterator[tuple[str, NDArray[Any]]]:
    """Queries, keys and values in one product; scores come out in units of log₂, divided by √d already."""
    scale = np.float32(_LOG2_E / np.sqrt(shape.head_size))
    wide = shape.head_panels * PANEL
    parts = []
    for name, factor in ((names.query, scale), (names.key, np.float32(1)), (names.value, np.float32(1))):
        weight, bias = layer.linear(name, shape.size, shape.size)
        parts.append([spread_heads(part * factor, shape.heads, wide, axis=0) for part in (weight, bias)])
    yield from _linear(f"{made}qkv", by, *(np.concatenate(each) for each in zip(*parts, strict=True)))
    weight, bias = layer.linear(names.out, shape.size, shape.size)
    yield from _linear(f"{made}out", by, spread_heads(weight, shape.heads, wide, axis=1), bias)


def _linear(made: str, by: Tiler, weight: Floats, bias: Floats) -> Iterator[tuple[str, NDArray[Any]]]:
    yield f"{made}.tiles", by.tiles(weight)
    yield f"{made}.bias", _line(bias)


def _norm(made: str, tensors: Named, shape: Shape) -> Iterator[tuple[str, NDArray[Any]]]:
    scale, shift = ("gamma", "beta") if "gamma" in tensors else ("weight", "bias")  # TensorFlow's names
    yield f"{made}.scale", _line(tensors(scale, shape.size))
    yield f"{made}.shift", _line(tensors(shift, shape.size))


def _line(values: Floats) -> Floats:
    made = np.zeros(padded(len(values)), np.float32)
    made[: len(values)] = values
    return made


def _head(layout: Layout, weights: Weights, shape: Shape) -> Iterator[tuple[Floats, Floats]]:
    """Weight ``(outputs, inputs)`` and bias of each layer of the head."""
    if layout.task is not Task.EMBED:
        dense, out = NAMES[layout.family].head
        inner, last = shape.dense
        root = Named(weights.body).rooted(f"{out}.weight")
        if layout.family == "bert":  # the pooler belongs to the body, and has its prefix
            yield (
                Named(weights.body)
                .rooted("embeddings.word_embeddings.weight")
                .linear(dense, inner.inputs, inner.outputs)
            )
        else:
            yield root.linear(dense, inner.inputs, inner.outputs)
        yield root.linear(out, last.inputs, last.outputs)
        return
    for each, tensors in zip(layout.dense, weights.dense, strict=True):
        named = Named(tensors).rooted("linear.weight").under("linear")
        bias = named("bias", each.outputs) if each.bias else np.zeros(each.outputs, np.float32)
        yield named("weight", each.outputs, each.inputs), bias


def _not_run(layout: Layout, key: str, expected: str, found: str) -> NotDrawn:
    return NotDrawn(
        "The native engine does not run this model.", where=where(layout, key), expected=expected, found=found,
    )  # fmt: skip
