"""What comes after a transformer: pooling, Dense and Normalize modules, and classification heads, all in float32.

Pooling, but for the largest value, is a weighted sum over the tokens: a pooling is a way to weigh them.
The formulas are sentence-transformers' (``pooling.py``, ``dense.py``, ``normalize.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hardtack.runtime.families import TOKENS
from hardtack.runtime.families.pieces import Constants, Node, activation, ids_input, index, ints, numbers, op, ov
from hardtack.runtime.families.precise import precise_product
from hardtack.runtime.layout import Layout
from hardtack.runtime.weights import Weights
from hardtack.spec.words import Pooling


def embedding(layout: Layout, weights: Weights, tokens: Node, inputs: list[Node]) -> list[Node]:
    """Token vectors ``(B, T, H)``, or ``(B, 1, H)``, → the outputs of an embedder's graph, vectors ``(B, dim)`` first.

    ``inputs`` are the graph's, ids and mask first; where a prompt's tokens do not count, ``pooling_mask`` is added.
    """
    if layout.pooling is None:
        raise ValueError("an embedder with a transformer has a pooling")
    if not layout.first_alone:
        name_tokens(tokens)
    counted = None
    if not layout.include_prompt:
        inputs.append(counted := ids_input("pooling_mask"))
    vector = pool(tokens, inputs[1], layout.pooling, pad_left=layout.tokenizing.pad_left, counted=counted)
    precise = _Precise()
    for dense, tensors in zip(layout.dense, weights.dense, strict=True):
        constants = Constants(tensors).rooted("linear.weight").under("linear")
        vector = precise.linear(vector, constants, dense.inputs, dense.outputs, bias=dense.bias)
        vector = activation(dense.activation, str(layout.directory / dense.weights))(vector)
    return [normalize(vector) if layout.normalize else vector, *precise.outputs]


def name_tokens(tokens: Node) -> None:
    """Say that these are the vectors of an embedder's tokens, ``(B, T, H)``."""
    tokens.set_friendly_name(TOKENS)


def unpooled(graph: Any) -> Any:
    """What lies before the pooling of an embedder's graph, as an ``openvino.Model``; None where it is not to be had.

    That is, where the graph was not drawn here, or not :attr:`~hardtack.runtime.layout.Layout.whole`.

    The nodes are the graph's own: nothing is copied.
    """
    tokens = next((node for node in graph.get_ops() if node.get_friendly_name() == TOKENS), None)
    if tokens is None:
        return None
    inputs = [each for each in graph.get_parameters() if each.get_friendly_name() != "pooling_mask"]
    return ov.Model([tokens], inputs, f"{graph.get_friendly_name()}, unpooled")


def classification(
    tokens: Node, dense: Constants, out: Constants, size: int, labels: int, squash: Callable[[Node], Node] = op.tanh
) -> list[Node]:
    """Token vectors ``(B, T, H)`` → the outputs of a classifier's graph, its logits ``(B, labels)`` first.

    The first token's vector through a dense layer, ``squash``, and a layer of one output a label: what transformers
    calls a pooler and a classifier (BERT), or a classification head (RoBERTa, MPNet).
    """
    precise = _Precise()
    hidden = squash(precise.linear(first_token(tokens), dense, size, size))
    return [precise.linear(hidden, out, size, labels), *precise.outputs]


def scores(vector: Node, head: Constants, size: int, labels: int, divisor: float) -> list[Node]:
    """Vectors ``(B, H)`` → the outputs of a graph whose logits are one product, divided by a temperature."""
    precise = _Precise()
    logits = precise.linear(vector, head, size, labels, bias=False)
    return [op.divide(logits, numbers(divisor)), *precise.outputs]


def wanted(layout: Layout, x: Node, *, axis: int = 1) -> Node:
    """Of what enters a last layer, what it is to compute: the first token, where nothing reads another.

    That spares 10 of the layer's 12 products of H × H: queries, the output of the attention, the feed-forward part.
    Keys and values are those of all tokens.

    Args:
        layout: what is drawn.
        x: with the tokens along ``axis``: ``(B, T, H)``, or a bias of the scores.
        axis: which that is.
    """
    return op.slice(x, ints(0), ints(1), ints(1), ints(axis)) if layout.first_alone else x


def first_token(tokens: Node) -> Node:
    """The vector of each text's first token: ``(B, T, H)`` → ``(B, H)``."""
    return op.gather(tokens, index(0), ints(1))


def normalize(vector: Node) -> Node:
    """To length one, as ``torch.nn.functional.normalize`` does; a vector of zeros stays one."""
    norm = op.sqrt(op.reduce_sum(op.multiply(vector, vector), ints(-1), True))
    return op.divide(vector, op.maximum(norm, numbers(1e-12)))


def pool(
    tokens: Node, attention_mask: Node, pooling: Pooling, *, pad_left: bool = False, counted: Node | None = None
) -> Node:
    """Token vectors ``(B, T, H)`` and mask ``(B, T)`` → one vector a text, ``(B, H)``; a text of no tokens gives 0.

    Args:
        tokens: what is pooled.
        attention_mask: which of them are text.
        pooling: how.
        pad_left: padding may be left of the text.
        counted: which of the text's tokens count; None: all. A weight by place is of the place in the whole text.
    """
    if pooling is Pooling.CLS and not pad_left and counted is None:
        return first_token(tokens)
    text = op.convert(attention_mask, ov.Type.f32)
    mask = text if counted is None else op.convert(counted, ov.Type.f32)
    if pooling is Pooling.MAX:
        away = op.equal(op.unsqueeze(mask, ints(2)), numbers(0.0))
        return op.reduce_max(op.select(away, numbers(float("-inf")), tokens), ints(1), False)
    by_place = pooling is Pooling.WEIGHTED_MEAN
    weight = _share(op.multiply(_place(text), mask)) if by_place else _WEIGHTS[pooling](mask)
    return op.reduce_sum(op.multiply(tokens, op.unsqueeze(weight, ints(2))), ints(1), False)


def _count(mask: Node) -> Node:
    return op.maximum(op.reduce_sum(mask, ints(1), True), numbers(1e-9))


def _place(mask: Node) -> Node:
    """1 for the first token of a text, 2 for the second, …; 0 for padding on either side."""
    return op.multiply(op.cumsum(mask, index(1)), mask)


def _where_place(mask: Node, place: Node) -> Node:
    return op.convert(op.equal(_place(mask), place), ov.Type.f32)


def _share(weight: Node) -> Node:
    return op.divide(weight, _count(weight))


_WEIGHTS: Mapping[Pooling, Callable[[Node], Node]] = {
    Pooling.CLS: lambda mask: _where_place(mask, numbers(1.0)),
    Pooling.LASTTOKEN: lambda mask: _where_place(mask, _count(mask)),
    Pooling.MEAN: _share,
    Pooling.MEAN_SQRT_LEN: lambda mask: op.divide(mask, op.sqrt(_count(mask))),
}


class _Precise:
    """Linear layers in float32, and what has to be an output of the graph for that: see the module ``precise``."""

    def __init__(self) -> None:
        self.outputs: list[Node] = []

    def linear(self, x: Node, constants: Constants, inputs: int, outputs: int, *, bias: bool = True) -> Node:
        y = precise_product(x, constants("weight", outputs, inputs))
        self.outputs += [x, y]
        return op.add(y, constants("bias", outputs)) if bias else y
