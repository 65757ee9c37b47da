"""MPNet: all-mpnet-base-v2 and multi-qa-mpnet.

BERT's layers with other names, RoBERTa's positions, and T5's relative bias on top, shared by all layers
(transformers' ``modeling_mpnet.py``).
"""

from __future__ import annotations

from typing import Any

from hardtack.runtime.families import heads
from hardtack.runtime.families.config import number, text, where, whole
from hardtack.runtime.families.pieces import (
    Constants,
    Node,
    activation,
    attention,
    embed,
    ids_input,
    layer_norm,
    linear,
    mask_bias,
    merge_heads,
    op,
    ov,
    split_heads,
)
from hardtack.runtime.families.relative import bias_table, look_up
from hardtack.runtime.families.roberta import positions
from hardtack.runtime.layout import Layout
from hardtack.runtime.weights import Weights
from hardtack.spec.words import Task

_PAD_ID = 1
"""Written into transformers' code, whatever the config says."""

_FARTHEST = 128
"""The distance from which on all keys share a bucket; a constant in transformers' code."""


def draw(layout: Layout, weights: Weights) -> Any:
    """The graph of an MPNet embedder, reranker or classifier; raises as :func:`hardtack.runtime.families.draw`."""
    inputs = [ids, mask] = [ids_input("input_ids"), ids_input("attention_mask")]
    size, eps = whole(layout, "hidden_size"), number(layout, "layer_norm_eps", 1e-12)
    constants = Constants(weights.body).rooted("embeddings.word_embeddings.weight")
    table = constants.under("embeddings")

    words = embed(table("word_embeddings.weight", whole(layout, "vocab_size"), size), ids)
    rows = table("position_embeddings.weight", whole(layout, "max_position_embeddings"), size)
    summed = op.add(words, embed(rows, positions(ids, _PAD_ID)))
    tokens = _encoder(layout, layer_norm(summed, table.under("LayerNorm"), size, eps), ids, mask, constants)

    if layout.task is Task.EMBED:
        results = heads.embedding(layout, weights, tokens, inputs)
    else:
        head = Constants(weights.body).rooted("classifier.out_proj.weight").under("classifier")
        results = heads.classification(tokens, head.under("dense"), head.under("out_proj"), size, len(layout.labels))
    return ov.Model(results, inputs, layout.family)


def _encoder(layout: Layout, x: Node, ids: Node, mask: Node, constants: Constants) -> Node:
    size, eps = whole(layout, "hidden_size"), number(layout, "layer_norm_eps", 1e-12)
    count, inner = whole(layout, "num_attention_heads"), whole(layout, "intermediate_size")
    act = activation(text(layout, "hidden_act", "gelu"), where(layout, "hidden_act"))
    constants = constants.under("encoder")
    buckets = whole(layout, "relative_attention_num_buckets", 32)
    learned = bias_table(constants, "relative_attention_bias.weight", buckets, count, _FARTHEST, both_ways=True)
    bias = op.add(mask_bias(mask), look_up(learned, ids, _FARTHEST))
    layers = whole(layout, "num_hidden_layers")
    for number_of_layer in range(layers):
        layer = constants.under(f"layer.{number_of_layer}")
        own = layer.under("attention.attn")
        asked = x
        if number_of_layer == layers - 1:
            asked, bias = heads.wanted(layout, x), heads.wanted(layout, bias, axis=2)
        q, k, v = (
            split_heads(linear(tokens, own.under(name), size, size), count, size // count)
            for tokens, name in ((asked, "q"), (x, "k"), (x, "v"))
        )
        mixed = merge_heads(attention(q, k, v, bias, (size // count) ** -0.5), count, size // count)
        mixed = linear(mixed, own.under("o"), size, size)
        x = layer_norm(op.add(mixed, asked), layer.under("attention.LayerNorm"), size, eps)
        wide = act(linear(x, layer.under("intermediate.dense"), size, inner))
        narrow = linear(wide, layer.under("output.dense"), inner, size)
        x = layer_norm(op.add(narrow, x), layer.under("output.LayerNorm"), size, eps)
    return x
