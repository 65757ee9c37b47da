"""T5, its v1.1 and FLAN-T5: the encoder as an embedder, encoder and decoder as a scorer of labels.

Pre-norm layers whose norm only scales, no biases, no scaling of the attention's scores but a relative bias that the
first layer of each stack holds for all of them (transformers' ``modeling_t5.py``).

The scorer does not generate: it is given K labels, teacher-forced, and sums the log-probabilities of each one's tokens.
All of them meet a text in one attention over its keys and values, which are worked out once a text.
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
    ints,
    length,
    linear,
    mask_bias,
    merge_heads,
    not_ahead,
    numbers,
    op,
    ov,
    rms_norm,
    split_heads,
)
from hardtack.runtime.families.precise import precise_product
from hardtack.runtime.families.relative import bias_table, look_up
from hardtack.runtime.layout import Layout
from hardtack.runtime.weights import Weights
from hardtack.spec.words import Task

_FIRST_NORM = "encoder.block.0.layer.0.layer_norm.weight"
"""A name that every checkpoint of a T5 has just once, to find the prefix by."""


def draw(layout: Layout, weights: Weights) -> Any:
    """The graph of a T5 embedder or scorer; raises as :func:`hardtack.runtime.families.draw`."""
    constants = Constants(weights.body).rooted(_FIRST_NORM)
    ids, mask = ids_input("input_ids"), ids_input("attention_mask")
    stack = _Stack(layout, constants, "encoder")
    tokens = stack.encode(ids, mask)
    if layout.task is Task.EMBED:
        inputs = [ids, mask]
        return ov.Model(heads.embedding(layout, weights, tokens, inputs), inputs, layout.family)

    given, wanted, counted = (ids_input(name) for name in ("decoder_input_ids", "target_ids", "target_mask"))
    states = _Stack(layout, constants, "decoder").decode(given, tokens, mask)
    if _scales_outputs(layout):
        states = op.multiply(states, numbers(whole(layout, "d_model") ** -0.5))
    scores = _score(layout, constants, states, length(ids, 0), wanted, counted)
    # The states are an output for the sake of their precision: see hardtack.runtime.families.precise.
    return ov.Model([scores, states], [ids, mask, given, wanted, counted], layout.family)


class _Stack:
    """One of the two stacks of blocks."""

    def __init__(self, layout: Layout, constants: Constants, name: str) -> None:
        self.constants = constants.under(name)
        self.embeddings = _embeddings(layout, constants, f"{name}.embed_tokens.weight")
        self.size = whole(layout, "d_model")
        self.heads, self.head_size = whole(layout, "num_heads"), whole(layout, "d_kv")
        self.inner = whole(layout, "d_ff")
        self.eps = number(layout, "layer_norm_epsilon", 1e-6)
        self.gated, act = _feed_forward(layout)
        self.activation = activation(act, where(layout, "feed_forward_proj"))
        layers = whole(layout, "num_layers")
        self.layers = layers if name == "encoder" else whole(layout, "num_decoder_layers", layers)
        self.farthest = whole(layout, "relative_attention_max_distance", 128)
        self.bias = bias_table(
            self.constants.under("block.0.layer.0.SelfAttention"),
            "relative_attention_bias.weight",
            whole(layout, "relative_attention_num_buckets", 32),
            self.heads,
            self.farthest,
            both_ways=name == "encoder",
        )

    def encode(self, ids: Node, mask: Node) -> Node:
        """``(B, T)`` → ``(B, T, H)``."""
        x = embed(self.embeddings, ids)
        bias = op.add(mask_bias(mask), look_up(self.bias, ids, self.farthest))
        for n in range(self.layers):
            block = self.constants.under(f"block.{n}")
            x = self._attend_to_itself(x, block.under("layer.0"), bias)
            x = self._feed_forward(x, block.under("layer.1"))
        return self._norm(x, self.constants.under("final_layer_norm"))

    def decode(self, ids: Node, tokens: Node, mask: Node) -> Node:
        """Label ids ``(K, D)`` and encoded texts ``(B, T, H)`` → states ``(B·K, D, H)``, each label under each text."""
        texts, labels, width = length(tokens, 0), length(ids, 0), length(ids, 1)
        x = op.tile(embed(self.embeddings, ids), op.concat([texts, ints(1), ints(1)], 0))
        bias = op.add(not_ahead(ids), look_up(self.bias, ids, self.farthest))
        by_text = op.concat([texts, op.multiply(labels, width), ints(self.size)], 0)
        by_label = op.concat([op.multiply(texts, labels), width, ints(self.size)], 0)
        text_bias = mask_bias(mask)
        for n in range(self.layers):
            block = self.constants.under(f"block.{n}")
            x = self._attend_to_itself(x, block.under("layer.0"), bias)
            # As (B, K·D, H) all labels' tokens are queries against one text's keys: no key is worked out twice.
            x = op.reshape(x, by_text, False)
            x = self._attend_to_text(x, tokens, block.under("layer.1"), text_bias)
            x = self._feed_forward(op.reshape(x, by_label, False), block.under("layer.2"))
        return self._norm(x, self.constants.under("final_layer_norm"))

    def _attend_to_itself(self, x: Node, layer: Constants, bias: Node) -> Node:
        normed = self._norm(x, layer.under("layer_norm"))
        return op.add(x, self._attention(normed, normed, layer.under("SelfAttention"), bias))

    def _attend_to_text(self, x: Node, tokens: Node, layer: Constants, bias: Node) -> Node:
        normed = self._norm(x, layer.under("layer_norm"))
        return op.add(x, self._attention(normed, tokens, layer.under("EncDecAttention"), bias))

    def _attention(self, queries: Node, keys: Node, constants: Constants, bias: Node) -> Node:
        inner = self.heads * self.head_size
        q, k, v = (
            split_heads(linear(x, constants.under(name), self.size, inner, bias=False), self.heads, self.head_size)
            for x, name in ((queries, "q"), (keys, "k"), (keys, "v"))
        )
        mixed = merge_heads(attention(q, k, v, bias, 1.0), self.heads, self.head_size)
        return linear(mixed, constants.under("o"), inner, self.size, bias=False)

    def _feed_forward(self, x: Node, layer: Constants) -> Node:
        normed, dense = self._norm(x, layer.under("layer_norm")), layer.under("DenseReluDense")
        first = "wi_0" if self.gated else "wi"
        wide = self.activation(linear(normed, dense.under(first), self.size, self.inner, bias=False))
        if self.gated:
            wide = op.multiply(wide, linear(normed, dense.under("wi_1"), self.size, self.inner, bias=False))
        return op.add(x, linear(wide, dense.under("wo"), self.inner, self.size, bias=False))

    def _norm(self, x: Node, constants: Constants) -> Node:
        return rms_norm(x, constants, self.size, self.eps)


def _score(layout: Layout, constants: Constants, states: Node, texts: Node, wanted: Node, counted: Node) -> Node:
    """States ``(B·K, D, H)`` → ``(B, K)``: the sum of the log-probabilities of each label's counted tokens."""
    size, vocabulary = whole(layout, "d_model"), whole(layout, "vocab_size")
    # transformers ties the output to the shared embedding unless the checkpoint holds another one.
    name = "lm_head.weight" if "lm_head.weight" in constants else "shared.weight"
    # In bf16 a logit of 30 would be off by up to 0.06, and a label's score is a sum of them.
    chances = op.log_softmax(precise_product(states, constants(name, vocabulary, size)), -1)

    for_each_text = op.tile(wanted, op.concat([texts, ints(1)], 0))
    chosen = op.gather_elements(chances, op.unsqueeze(for_each_text, ints(2)), 2)
    chosen = op.reshape(chosen, op.concat([texts, op.shape_of(wanted)], 0), False)
    return op.reduce_sum(op.multiply(chosen, op.convert(counted, ov.Type.f32)), ints(2), False)


def _embeddings(layout: Layout, constants: Constants, own_name: str) -> Node:
    """A stack's own embeddings where the checkpoint has any, else those that both share."""
    name = own_name if own_name in constants else "shared.weight"
    return constants(name, whole(layout, "vocab_size"), whole(layout, "d_model"))


def _feed_forward(layout: Layout) -> tuple[bool, str]:
    """Whether the feed-forward is gated, and by which activation; as ``T5Config.__post_init__`` reads it."""
    name = text(layout, "feed_forward_proj", "relu")
    if name == "gated-gelu":
        return True, "gelu_new"
    return name.startswith("gated-"), name.removeprefix("gated-")


def _scales_outputs(layout: Layout) -> bool:
    """Whether the decoder's output is multiplied by 1/√d_model: not in v1.1 and FLAN-T5.

    Those are told by ``tie_word_embeddings: false``, which says nothing of their weights any more: transformers 5 ties
    them wherever the checkpoint allows it, and writes ``scale_decoder_outputs`` beside it (``T5Config.__post_init__``).
    """
    own = layout.config.get("scale_decoder_outputs")
    return own if isinstance(own, bool) else layout.config.get("tie_word_embeddings") is not False
