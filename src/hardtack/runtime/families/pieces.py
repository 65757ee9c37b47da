"""The pieces that families are drawn from: constants by name, linear layers, norms, attention, activations.

Every function takes and gives nodes of an OpenVINO graph. B is texts, T tokens, H the hidden size, N heads, D the size
of a head. Nothing here knows a model's name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardtack.errors import NotDrawn, UnsupportedModel
from hardtack.runtime.by_name import ByName
from hardtack.runtime.engines.openvino_import import import_openvino

ov = import_openvino()
op = ov.opset13

Node = Any
"""An ``openvino.Node``; openvino ships no types that a strict checker can use."""

MASKED = -1e9
"""Added to a score that must not count. Its exponential is 0 in every precision, and unlike float32's lowest number it
does not become minus infinity in bf16, from which a text without any token would get NaN instead of a plain vector."""

_STORED_TYPES = {"F32": ov.Type.f32, "F16": ov.Type.f16, "BF16": ov.Type.bf16, "F64": ov.Type.f64, "I8": ov.Type.i8}


class Constants(ByName):
    """Tensors as constants of a graph, by name below a prefix, each checked against the shape the config asks for."""

    def __call__(self, name: str, *shape: int) -> Node:
        """A tensor as a float32 node, without copying it.

        Raises:
            UnsupportedModel: it is not there, has another shape, or is not stored as numbers that can be float32.
        """
        stored = self.stored(name, shape)
        if stored.dtype not in _STORED_TYPES:
            raise UnsupportedModel(
                "A tensor of weights is stored as something that is not executed.",
                where=str(stored.file),
                expected=", ".join(_STORED_TYPES),
                found=f"{self.prefix + name}: {stored.dtype}",
            )
        # With a shape and a type the tensor takes a read-only array as it is; without, it wants a writable one.
        tensor = ov.Tensor(stored.array, ov.Shape(shape), _STORED_TYPES[stored.dtype])
        constant = ov.op.Constant(tensor, shared_memory=True)
        return constant if stored.dtype == "F32" else op.convert(constant, ov.Type.f32)


def linear(x: Node, constants: Constants, inputs: int, outputs: int, *, bias: bool = True) -> Node:
    """A ``torch.nn.Linear``: ``x @ weight.T + bias``."""
    y = op.matmul(x, constants("weight", outputs, inputs), False, True)
    return op.add(y, constants("bias", outputs)) if bias else y


def layer_norm(x: Node, constants: Constants, size: int, eps: float) -> Node:
    """Layer normalisation over the last axis; its tensors may have TensorFlow's names, gamma and beta."""
    weight, bias = ("gamma", "beta") if "gamma" in constants else ("weight", "bias")
    y = op.mvn(x, ints(-1), True, eps, "inside_sqrt")
    return op.add(op.multiply(y, constants(weight, size)), constants(bias, size))


def rms_norm(x: Node, constants: Constants, size: int, eps: float) -> Node:
    """Root mean square normalisation; drawn in the form that OpenVINO fuses into one float32 operation."""
    variance = op.reduce_mean(op.power(x, numbers(2.0)), ints(-1), True)
    root = op.sqrt(op.add(variance, numbers(eps)))
    return op.multiply(op.multiply(x, op.divide(numbers(1.0), root)), constants("weight", size))


def split_heads(x: Node, heads: int, size: int) -> Node:
    """``(B, T, N·D)`` → ``(B, N, T, D)``."""
    return op.transpose(op.reshape(x, ints(0, 0, heads, size), True), ints(0, 2, 1, 3))


def merge_heads(x: Node, heads: int, size: int) -> Node:
    """``(B, N, T, D)`` → ``(B, T, N·D)``."""
    return op.reshape(op.transpose(x, ints(0, 2, 1, 3)), ints(0, 0, heads * size), True)


def attention(q: Node, k: Node, v: Node, bias: Node, scale: float) -> Node:
    """``softmax(q @ k.T · scale + bias) @ v`` over ``(B, N, T, D)``; bias broadcasts to ``(B, N, T, T)``."""
    return op.scaled_dot_product_attention(q, k, v, bias, numbers(scale))


def mask_bias(attention_mask: Node) -> Node:
    """``(B, T)`` of 1 and 0 → ``(B, 1, 1, T)`` of 0 and :data:`MASKED`."""
    away = op.subtract(numbers(1.0), op.convert(attention_mask, ov.Type.f32))
    return op.unsqueeze(op.multiply(away, numbers(MASKED)), ints(1, 2))


def not_ahead(ids: Node) -> Node:
    """``(1, 1, T, T)`` for ids ``(B, T)``: 0 where the key is not after the query, else :data:`MASKED`."""
    place = places(ids)
    ahead = op.greater(op.unsqueeze(place, ints(0)), op.unsqueeze(place, ints(1)))
    return op.unsqueeze(op.multiply(op.convert(ahead, ov.Type.f32), numbers(MASKED)), ints(0, 1))


def embed(table: Node, ids: Node) -> Node:
    """Rows of a table ``(V, H)`` by ids ``(B, T)`` → ``(B, T, H)``."""
    return op.gather(table, ids, ints(0))


def length(x: Node, axis: int = 1) -> Node:
    """One dimension of a node, ``(1,)``."""
    return op.gather(op.shape_of(x), ints(axis), ints(0))


def places(ids: Node) -> Node:
    """0, 1, 2, … for the tokens of ids ``(B, T)``: ``(T,)``."""
    return op.range(index(0), op.squeeze(length(ids), ints(0)), index(1), "i64")


def ids_input(name: str) -> Node:
    """An input of the graph: token ids or a mask of them, ``(rows, tokens)``, int64."""
    parameter = op.parameter([-1, -1], ov.Type.i64, name=name)
    parameter.output(0).get_tensor().set_names({name})
    return parameter


def ints(*values: int) -> Node:
    """A constant ``(n,)`` of int64."""
    return _small(np.array(values, np.int64))


def index(value: int) -> Node:
    """A scalar of int64."""
    return _small(np.int64(value))


def numbers(value: float) -> Node:
    """A scalar of float32."""
    return _small(np.float32(value))


class _Drawing(threading.local):
    """What a thread has drawn so far of one graph."""

    constants: dict[tuple[str, tuple[int, ...], bytes], Node] | None = None


_drawing = _Drawing()


@contextmanager
def one_graph() -> Iterator[None]:
    """Until it ends, equal small constants are one node: a graph of a fifth less nodes, compiled 5 % sooner."""
    _drawing.constants = {}
    try:
        yield
    finally:
        _drawing.constants = None


def _small(value: NDArray[np.int64] | np.int64 | np.float32) -> Node:
    made = _drawing.constants
    if made is None:
        return op.constant(value)
    key = value.dtype.str, value.shape, value.tobytes()
    if key not in made:
        made[key] = op.constant(value)
    return made[key]


def _gelu_tanh(x: Node) -> Node:
    return op.gelu(x, "tanh")


def _quick_gelu(x: Node) -> Node:
    return op.multiply(x, op.sigmoid(op.multiply(x, numbers(1.702))))


ACTIVATIONS: Mapping[str, Callable[[Node], Node]] = {
    "gelu": lambda x: op.gelu(x, "erf"),
    "gelu_accurate": _gelu_tanh,
    "gelu_fast": _gelu_tanh,
    "gelu_new": _gelu_tanh,
    "gelu_python": lambda x: op.gelu(x, "erf"),
    "gelu_pytorch_tanh": _gelu_tanh,
    "identity": lambda x: x,
    "linear": lambda x: x,
    "quick_gelu": _quick_gelu,
    "relu": op.relu,
    "relu2": lambda x: op.multiply(op.relu(x), op.relu(x)),
    "sigmoid": op.sigmoid,
    "silu": lambda x: op.swish(x),
    "swish": lambda x: op.swish(x),
    "tanh": op.tanh,
}
"""By transformers' names (``ACT2FN`` in its ``activations.py``)."""


def activation(name: str, where: str) -> Callable[[Node], Node]:
    """The function that ``where`` asks for by name.

    Raises:
        UnsupportedModel: a name that is not in :data:`ACTIVATIONS`.
    """
    if name not in ACTIVATIONS:
        raise NotDrawn(
            "An activation function is not known.", where=where, expected=", ".join(sorted(ACTIVATIONS)), found=name
        )
    return ACTIVATIONS[name]
