"""Llama: a causal one as an embedder or a classifier, and the bidirectional one that NVIDIA's rerankers are.

Pre-norm layers whose norm only scales, rotary positions, fewer heads for keys and values than for queries, a gated
feed-forward (transformers' ``modeling_llama.py``). ``llama_bidirec`` is the same with every token seeing every other,
pooled, scored and divided by a temperature; its repositories bring code for that, which is not needed here.
"""

from __future__ import annotations

from typing import Any

from hardtack.runtime.families import heads
from hardtack.runtime.families.config import flag, number, refuse_unless, text, where, whole
from hardtack.runtime.families.pieces import (
    Constants,
    Node,
    activation,
    attention,
    embed,
    ids_input,
    ints,
    length,
    linear,
    mask_bias,
    merge_heads,
    not_ahead,
    op,
    ov,
    places,
    rms_norm,
    split_heads,
)
from hardtack.runtime.families.rotary import rotary_table, rotate
from hardtack.runtime.layout import Layout
from hardtack.runtime.weights import Weights
from hardtack.spec.words import Pooling, Task

BIDIRECTIONAL = "llama_bidirec"
"""The ``model_type`` whose tokens see each other both ways."""

_POOLINGS = {"avg": Pooling.MEAN, "last": Pooling.LASTTOKEN}
"""What ``pooling`` of a bidirectional config may say."""


def draw(layout: Layout, weights: Weights) -> Any:
    """The graph of a Llama embedder, reranker or classifier; raises as :func:`hardtack.runtime.families.draw`."""
    refuse_unless(layout, "pretraining_tp", 1)
    ids, mask = ids_input("input_ids"), ids_input("attention_mask")
    inputs = [ids, mask]
    constants = Constants(weights.body).rooted("embed_tokens.weight")
    tokens = _layers(layout, constants, ids, mask)
    if layout.task is Task.EMBED:
        results = heads.embedding(layout, weights, tokens, inputs)
    else:
        score = Constants(weights.body).rooted("score.weight").under("score")
        pooled = heads.pool(tokens, *_pooling(layout, ids, mask))
        divisor = number(layout, "temperature", 1.0) if layout.config.get("model_type") == BIDIRECTIONAL else 1.0
        results = heads.scores(pooled, score, whole(layout, "hidden_size"), len(layout.labels), divisor)
    return ov.Model(results, inputs, layout.family)


def _pooling(layout: Layout, ids: Node, mask: Node) -> tuple[Node, Pooling]:
    """Which tokens a classifier's head sees, and how."""
    if layout.config.get("model_type") == BIDIRECTIONAL:
        refuse_unless(layout, "pooling", *_POOLINGS)
        return mask, _POOLINGS[text(layout, "pooling", "avg")]
    # `LlamaForSequenceClassification` takes the last token that is not the padding's id, whatever the mask says
    pad = layout.config.get("pad_token_id")
    if pad is None:
        return mask, Pooling.LASTTOKEN
    return op.multiply(mask, op.convert(op.not_equal(ids, ints(pad)), ov.Type.i64)), Pooling.LASTTOKEN


def _layers(layout: Layout, constants: Constants, ids: Node, mask: Node) -> Node:
    """``(B, T)`` → ``(B, T, H)``."""
    size, inner = whole(layout, "hidden_size"), whole(layout, "intermediate_size")
    count = whole(layout, "num_attention_heads")
    shared = whole(layout, "num_key_value_heads", count)
    head = whole(layout, "head_dim", size // count)
    eps = number(layout, "rms_norm_eps", 1e-6)
    act = activation(text(layout, "hidden_act", "silu"), where(layout, "hidden_act"))
    own_bias, inner_bias = flag(layout, "attention_bias", False), flag(layout, "mlp_bias", False)
    bias = mask_bias(mask)
    if layout.config.get("model_type") != BIDIRECTIONAL:
        bias = op.add(bias, not_ahead(ids))
    # Padding on the left counts as places too, as in transformers: only distances between tokens matter.
    cos, sin = (op.gather(table, places(ids), ints(0)) for table in rotary_table(layout, head))
    x = embed(constants("embed_tokens.weight", whole(layout, "vocab_size"), size), ids)
    for n in range(whole(layout, "num_hidden_layers")):
        layer = constants.under(f"layers.{n}")
        own = layer.under("self_attn")
        normed = rms_norm(x, layer.under("input_layernorm"), size, eps)
        q = split_heads(linear(normed, own.under("q_proj"), size, count * head, bias=own_bias), count, head)
        k, v = (
            split_heads(linear(normed, own.under(name), size, shared * head, bias=own_bias), shared, head)
            for name in ("k_proj", "v_proj")
        )
        k, v = (_repeat(each, count // shared, count, head) for each in (rotate(k, cos, sin, head), v))
        mixed = merge_heads(attention(rotate(q, cos, sin, head), k, v, bias, head**-0.5), count, head)
        x = op.add(x, linear(mixed, own.under("o_proj"), count * head, size, bias=own_bias))
        normed, mlp = rms_norm(x, layer.under("post_attention_layernorm"), size, eps), layer.under("mlp")
        wide = act(linear(normed, mlp.under("gate_proj"), size, inner, bias=inner_bias))
        wide = op.multiply(wide, linear(normed, mlp.under("up_proj"), size, inner, bias=inner_bias))
        x = op.add(x, linear(wide, mlp.under("down_proj"), inner, size, bias=inner_bias))
    return rms_norm(x, constants.under("norm"), size, eps)


def _repeat(x: Node, times: int, heads_: int, head: int) -> Node:
    """Each head of keys or values for the ``times`` heads of queries that share it: ``(B, N, T, D)``."""
    if times == 1:
        return x
    shape = op.concat([length(x, 0), ints(heads_ // times, times), length(x, 2), ints(head)], 0)
    wide = op.broadcast(op.unsqueeze(x, ints(2)), shape)
    return op.reshape(wide, ints(0, heads_, -1, head), True)
