"""The forward of every family once more, in plain numpy: what the drawn graphs are held against where torch is not.

Written from the papers' and transformers' formulas, one text at a time and without padding, so that it shares neither
code nor masks with what it judges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Values = Mapping[str, Array]


def bert(w: Values, config: Mapping[str, Any], ids: list[int], types: list[int]) -> Array:
    """Token vectors ``(T, H)`` of BERT."""
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: len(ids)]
    return _bert_layers(w, config, x + w["embeddings.token_type_embeddings.weight"][types])


def roberta(w: Values, config: Mapping[str, Any], ids: list[int]) -> Array:
    """Token vectors ``(T, H)`` of RoBERTa: positions begin at the padding's id plus one."""
    first = config["pad_token_id"] + 1
    x = w["embeddings.word_embeddings.weight"][ids]
    x = x + w["embeddings.position_embeddings.weight"][first : first + len(ids)]
    return _bert_layers(w, config, x + w["embeddings.token_type_embeddings.weight"][0])


def mpnet(w: Values, config: Mapping[str, Any], ids: list[int]) -> Array:
    """Token vectors ``(T, H)`` of MPNet."""
    eps, heads = config["layer_norm_eps"], config["num_attention_heads"]
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][2 : 2 + len(ids)]
    x = _norm(w, "embeddings.LayerNorm", x, eps)
    bias = _relative(w["encoder.relative_attention_bias.weight"], len(ids), 128, both_ways=True)
    for n in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{n}."
        q, k, v = (_linear(w, f"{layer}attention.attn.{name}", x) for name in "qkv")
        mixed = attention(q, k, v, heads, bias, math.sqrt(x.shape[1] / heads))
        x = _norm(w, f"{layer}attention.LayerNorm", x + _linear(w, f"{layer}attention.attn.o", mixed), eps)
        x = _bert_feed_forward(w, layer, x, config)
    return x


def t5_encoder(w: Values, config: Mapping[str, Any], ids: list[int]) -> Array:
    """Token vectors ``(T, H)`` of T5's encoder."""
    return _t5_stack(w, config, "encoder", config["num_layers"], ids, None)


def t5_score(w: Values, config: Mapping[str, Any], ids: list[int], label: list[int]) -> float:
    """The log-probability of a label's tokens after a text, by T5."""
    given = [config["decoder_start_token_id"], *label[:-1]]
    encoded = t5_encoder(w, config, ids)
    states = _t5_stack(w, config, "decoder", config["num_decoder_layers"], given, encoded)
    if config["tie_word_embeddings"]:
        states = states / math.sqrt(config["d_model"])
    logits = states @ w.get("lm_head.weight", w["shared.weight"]).T
    chances = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return float(sum(chances[n, token] for n, token in enumerate(label)))


def bert_head(w: Values, tokens: Array) -> Array:
    """Logits of a BertForSequenceClassification."""
    return _linear(w, "classifier", np.tanh(_linear(w, "pooler.dense", tokens[0])))


def roberta_head(w: Values, tokens: Array) -> Array:
    """Logits of a RobertaForSequenceClassification or MPNetForSequenceClassification."""
    return _linear(w, "classifier.out_proj", np.tanh(_linear(w, "classifier.dense", tokens[0])))


def normalize(vector: Array) -> Array:
    """To length one."""
    return vector / np.linalg.norm(vector)


def attention(q: Array, k: Array, v: Array, heads: int, bias: Array | float, divisor: float) -> Array:
    """Attention of several heads over ``(T, heads·D)``, no padding."""
    q, k, v = (x.reshape(len(x), heads, -1).transpose(1, 0, 2) for x in (q, k, v))
    scores = np.exp(q @ k.transpose(0, 2, 1) / divisor + bias)
    mixed: Array = scores / scores.sum(2, keepdims=True) @ v
    return mixed.transpose(1, 0, 2).reshape(q.shape[1], -1)


def _bert_layers(w: Values, config: Mapping[str, Any], x: Array) -> Array:
    eps, heads = config["layer_norm_eps"], config["num_attention_heads"]
    x = _norm(w, "embeddings.LayerNorm", x, eps)
    for n in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{n}."
        q, k, v = (_linear(w, f"{layer}attention.self.{name}", x) for name in ("query", "key", "value"))
        mixed = attention(q, k, v, heads, 0.0, math.sqrt(x.shape[1] / heads))
        mixed = _linear(w, f"{layer}attention.output.dense", mixed)
        x = _norm(w, f"{layer}attention.output.LayerNorm", x + mixed, eps)
        x = _bert_feed_forward(w, layer, x, config)
    return x


def _bert_feed_forward(w: Values, layer: str, x: Array, config: Mapping[str, Any]) -> Array:
    wide = _ACTIVATIONS[config["hidden_act"]](_linear(w, f"{layer}intermediate.dense", x))
    return _norm(w, f"{layer}output.LayerNorm", x + _linear(w, f"{layer}output.dense", wide), config["layer_norm_eps"])


def _t5_stack(
    w: Values, config: Mapping[str, Any], stack: str, layers: int, ids: list[int], encoded: Array | None
) -> Array:
    x = w["shared.weight"][ids]
    learned = w[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    bias = _relative(learned, len(ids), config["relative_attention_max_distance"], both_ways=encoded is None)
    if encoded is not None:
        bias = bias + np.triu(np.full((len(ids), len(ids)), -np.inf), 1)
    heads, eps = config["num_heads"], config["layer_norm_epsilon"]
    for n in range(layers):
        parts: list[tuple[str, Array | None, Array | float]] = [("SelfAttention", None, bias)]
        if encoded is not None:
            parts.append(("EncDecAttention", encoded, 0.0))
        for place, (name, others, part_bias) in enumerate(parts):
            layer = f"{stack}.block.{n}.layer.{place}."
            normed = _root_mean_square(x, w[f"{layer}layer_norm.weight"], eps)
            keys = normed if others is None else others
            q, k, v = (y @ w[f"{layer}{name}.{p}.weight"].T for p, y in (("q", normed), ("k", keys), ("v", keys)))
            x = x + attention(q, k, v, heads, part_bias, 1.0) @ w[f"{layer}{name}.o.weight"].T
        layer = f"{stack}.block.{n}.layer.{len(parts)}."
        normed = _root_mean_square(x, w[f"{layer}layer_norm.weight"], eps)
        dense = f"{layer}DenseReluDense."
        if config["feed_forward_proj"].startswith("gated-"):
            wide = _gelu_tanh(normed @ w[f"{dense}wi_0.weight"].T) * (normed @ w[f"{dense}wi_1.weight"].T)
        else:
            wide = np.maximum(normed @ w[f"{dense}wi.weight"].T, 0)
        x = x + wide @ w[f"{dense}wo.weight"].T
    return _root_mean_square(x, w[f"{stack}.final_layer_norm.weight"], eps)


def _relative(learned: Array, count: int, farthest: int, *, both_ways: bool) -> Array:
    bias = np.empty((learned.shape[1], count, count))
    for query in range(count):
        for key in range(count):
            bias[:, query, key] = learned[_bucket(key - query, len(learned), farthest, both_ways=both_ways)]
    return bias


def _bucket(distance: int, buckets: int, farthest: int, *, both_ways: bool) -> int:
    first = 0
    if both_ways:
        buckets //= 2
        first = buckets if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    exact = buckets // 2
    if distance < exact:
        return first + distance
    coarse = math.log(distance / exact) / math.log(farthest / exact) * (buckets - exact)
    return first + min(exact + int(coarse), buckets - 1)


def _linear(w: Values, name: str, x: Array) -> Array:
    y: Array = x @ w[f"{name}.weight"].T + w[f"{name}.bias"]
    return y


def _norm(w: Values, name: str, x: Array, eps: float) -> Array:
    centred = x - x.mean(1, keepdims=True)
    scaled: Array = centred / np.sqrt((centred**2).mean(1, keepdims=True) + eps)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def _root_mean_square(x: Array, weight: Array, eps: float) -> Array:
    scaled: Array = x / np.sqrt((x**2).mean(1, keepdims=True) + eps)
    return scaled * weight


def _gelu_tanh(x: Array) -> Array:
    y: Array = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return y


def _gelu(x: Array) -> Array:
    y: Array = x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    return y


_ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "gelu": _gelu,
    "gelu_new": _gelu_tanh,
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
}
