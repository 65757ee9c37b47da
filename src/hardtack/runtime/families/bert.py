"""BERT: MiniLM, bge, e5, gte and most small embedders and cross-encoders.

Learned absolute positions, post-norm layers, exact names as in transformers' ``modeling_bert.py``.
"""

from __future__ import annotations

from typing import Any

from hardtack.runtime.families import heads
from hardtack.runtime.families.config import number, refuse_unless, text, where, whole
from hardtack.runtime.families.pieces import (
    Constants,
    Node,
    activation,
    attention,
    embed,
    ids_input,
    ints,
    layer_norm,
    length,
    linear,
    mask_bias,
    merge_heads,
    op,
    ov,
    split_heads,
)
from hardtack.runtime.layout import Layout
from hardtack.runtime.weights import Weights
from hardtack.spec.words import Task


def draw(layout: Layout, weights: Weights) -> Any:
    """The graph of a BERT embedder, reranker or classifier; raises as :func:`hardtack.runtime.families.draw`."""
    refuse_unless(layout, "position_embedding_type", "absolute", None)
    refuse_unless(layout, "is_decoder", False)
    ids, mask = ids_input("input_ids"), ids_input("attention_mask")
    inputs = [ids, mask]
    size, eps = whole(layout, "hidden_size"), number(layout, "layer_norm_eps", 1e-12)
    constants = Constants(weights.body).rooted("embeddings.word_embeddings.weight")
    table = constants.under("embeddings")

    words = embed(table("word_embeddings.weight", whole(layout, "vocab_size"), size), ids)
    places = table("position_embeddings.weight", whole(layout, "max_position_embeddings"), size)
    places = op.slice(places, ints(0), length(ids), ints(1), ints(0))
    types = table("token_type_embeddings.weight", whole(layout, "type_vocab_size", 2), size)
    if whole(layout, "type_vocab_size", 2) > 1:
        type_ids = ids_input("token_type_ids")
        inputs.append(type_ids)
        types = embed(types, type_ids)
    summed = op.add(op.add(words, types), places)
    tokens = encoder(layout, layer_norm(summed, table.under("LayerNorm"), size, eps), mask, constants.under("encoder"))

    if layout.task is Task.EMBED:
        results = heads.embedding(layout, weights, tokens, inputs)
    else:
        results = heads.classification(
            tokens,
            constants.under("pooler.dense"),
            Constants(weights.body).rooted("classifier.weight").under("classifier"),
            size,
            len(layout.labels),
        )
    return ov.Model(results, inputs, layout.family)


def encoder(layout: Layout, x: Node, mask: Node, constants: Constants) -> Node:
    """BERT's layers, which RoBERTa shares: ``(B, T, H)`` and mask ``(B, T)`` → ``(B, T, H)``.

    Where a head reads the first token alone, the last layer computes no other: ``(B, 1, H)``.
    """
    size, eps = whole(layout, "hidden_size"), number(layout, "layer_norm_eps", 1e-12)
    count, inner = whole(layout, "num_attention_heads"), whole(layout, "intermediate_size")
    act = activation(text(layout, "hidden_act", "gelu"), where(layout, "hidden_act"))
    bias = mask_bias(mask)
    layers = whole(layout, "num_hidden_layers")
    for number_of_layer in range(layers):
        layer = constants.under(f"layer.{number_of_layer}")
        own = layer.under("attention.self")
        asked = heads.wanted(layout, x) if number_of_layer == layers - 1 else x
        q, k, v = (
            split_heads(linear(tokens, own.under(name), size, size), count, size // count)
            for tokens, name in ((asked, "query"), (x, "key"), (x, "value"))
        )
        mixed = merge_heads(attention(q, k, v, bias, (size // count) ** -0.5), count, size // count)
        mixed = linear(mixed, layer.under("attention.output.dense"), size, size)
        x = layer_norm(op.add(mixed, asked), layer.under("attention.output.LayerNorm"), size, eps)
        wide = act(linear(x, layer.under("intermediate.dense"), size, inner))
        narrow = linear(wide, layer.under("output.dense"), inner, size)
        x = layer_norm(op.add(narrow, x), layer.under("output.LayerNorm"), size, eps)
    return x
