"""RoBERTa, XLM-R and CamemBERT: multilingual e5, bge-m3's kin, bge rerankers.

BERT's layers under other embeddings: positions count only what is not padding, and begin after the padding's id
(``create_position_ids_from_input_ids`` in transformers' ``modeling_roberta.py``).
"""

from __future__ import annotations

from typing import Any

from hardtack.runtime.families import heads
from hardtack.runtime.families.bert import encoder
from hardtack.runtime.families.config import number, refuse_unless, whole
from hardtack.runtime.families.pieces import Constants, Node, embed, ids_input, index, ints, layer_norm, op, ov
from hardtack.runtime.layout import Layout
from hardtack.runtime.weights import Weights
from hardtack.spec.words import Task


def draw(layout: Layout, weights: Weights) -> Any:
    """The graph of a RoBERTa embedder, reranker or classifier; raises as :func:`hardtack.runtime.families.draw`."""
    refuse_unless(layout, "position_embedding_type", "absolute", None)
    refuse_unless(layout, "is_decoder", False)
    refuse_unless(layout, "type_vocab_size", 1)
    inputs = [ids, mask] = [ids_input("input_ids"), ids_input("attention_mask")]
    size, eps = whole(layout, "hidden_size"), number(layout, "layer_norm_eps", 1e-12)
    constants = Constants(weights.body).rooted("embeddings.word_embeddings.weight")
    table = constants.under("embeddings")

    words = embed(table("word_embeddings.weight", whole(layout, "vocab_size"), size), ids)
    rows = table("position_embeddings.weight", whole(layout, "max_position_embeddings"), size)
    summed = op.add(words, embed(rows, positions(ids, whole(layout, "pad_token_id", 1))))
    summed = op.add(summed, table("token_type_embeddings.weight", 1, size))
    tokens = encoder(layout, layer_norm(summed, table.under("LayerNorm"), size, eps), mask, constants.under("encoder"))

    if layout.task is Task.EMBED:
        results = heads.embedding(layout, weights, tokens, inputs)
    else:
        head = Constants(weights.body).rooted("classifier.out_proj.weight").under("classifier")
        results = heads.classification(tokens, head.under("dense"), head.under("out_proj"), size, len(layout.labels))
    return ov.Model(results, inputs, layout.family)


def positions(ids: Node, pad_id: int) -> Node:
    """Rows of the position table: ``pad_id + 1`` for the first token that is not padding, ``pad_id`` for padding."""
    real = op.convert(op.not_equal(ids, ints(pad_id)), ov.Type.i64)
    return op.add(op.multiply(op.cumsum(real, index(1)), real), ints(pad_id))
