"""DistilBERT: BERT's layers with other names and no token types (transformers' ``modeling_distilbert.py``)."""

from __future__ import annotations

from typing import Any

from hardtack.runtime.families import heads
from hardtack.runtime.families.config import text, where, whole
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

_EPS = 1e-12
"""Written into transformers' code."""


def draw(layout: Layout, weights: Weights) -> Any:
    """The graph of a DistilBERT embedder, reranker or classifier; raises as :func:`hardtack.runtime.families.draw`."""
    inputs = [ids, mask] = [ids_input("input_ids"), ids_input("attention_mask")]
    size = whole(layout, "dim", 768)
    constants = Constants(weights.body).rooted("embeddings.word_embeddings.weight")
    table = constants.under("embeddings")
    words = embed(table("word_embeddings.weight", whole(layout, "vocab_size"), size), ids)
    # Sinusoidal positions (``sinusoidal_pos_embds``) are stored like learned ones.
    places = table("position_embeddings.weight", whole(layout, "max_position_embeddings", 512), size)
    places = op.slice(places, ints(0), length(ids), ints(1), ints(0))
    tokens = layer_norm(op.add(words, places), table.under("LayerNorm"), size, _EPS)
    tokens = _encoder(layout, tokens, mask, constants.under("transformer"), size)

    if layout.task is Task.EMBED:
        results = heads.embedding(layout, weights, tokens, inputs)
    else:
        head = Constants(weights.body).rooted("pre_classifier.weight")
        dense, out = head.under("pre_classifier"), head.under("classifier")
        results = heads.classification(tokens, dense, out, size, len(layout.labels), squash=op.relu)
    return ov.Model(results, inputs, layout.family)


def _encoder(layout: Layout, x: Node, mask: Node, constants: Constants, size: int) -> Node:
    count, inner = whole(layout, "n_heads", 12), whole(layout, "hidden_dim", 3072)
    act = activation(text(layout, "activation", "gelu"), where(layout, "activation"))
    bias = mask_bias(mask)
    layers = whole(layout, "n_layers", 6)
    for n in range(layers):
        layer = constants.under(f"layer.{n}")
        own = layer.under("attention")
        asked = heads.wanted(layout, x) if n == layers - 1 else x
        q, k, v = (
            split_heads(linear(tokens, own.under(name), size, size), count, size // count)
            for tokens, name in ((asked, "q_lin"), (x, "k_lin"), (x, "v_lin"))
        )
        mixed = merge_heads(attention(q, k, v, bias, (size // count) ** -0.5), count, size // count)
        mixed = linear(mixed, own.under("out_lin"), size, size)
        x = layer_norm(op.add(mixed, asked), layer.under("sa_layer_norm"), size, _EPS)
        wide = act(linear(x, layer.under("ffn.lin1"), size, inner))
        narrow = linear(wide, layer.under("ffn.lin2"), inner, size)
        x = layer_norm(op.add(narrow, x), layer.under("output_layer_norm"), size, _EPS)
    return x
