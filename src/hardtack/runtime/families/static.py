"""Static embeddings: a vector a token, averaged; sentence-transformers' StaticEmbedding and model2vec's files.

There is no transformer: a text's vector does not depend on the order of its tokens. A text of no tokens gets zeros, as
``torch.nn.EmbeddingBag`` gives.
"""

from __future__ import annotations

from typing import Any

from hardtack.errors import UnsupportedModel
from hardtack.runtime.families.heads import name_tokens, normalize, pool
from hardtack.runtime.families.pieces import Constants, embed, ids_input, ints, op, ov
from hardtack.runtime.layout import Layout
from hardtack.runtime.weights import Stored, Tensors, Weights
from hardtack.spec.words import Pooling

_NAMES = ("embedding.weight", "embeddings")
"""What sentence-transformers and model2vec call the table of vectors."""


def draw(layout: Layout, weights: Weights) -> Any:
    """The graph of a static embedder; raises as :func:`hardtack.runtime.families.draw`."""
    ids, mask = ids_input("input_ids"), ids_input("attention_mask")
    tensors = weights.body
    name = next((name for name in _NAMES if name in tensors), None)
    if name is None or len(tensors[name].shape) != 2:
        raise UnsupportedModel(
            "There is no table of vectors in the weights.",
            where=tensors.where,
            expected=" or ".join(f"{name} [tokens, dimensions]" for name in _NAMES),
            found=", ".join(f"{name} {list(stored.shape)}" for name, stored in tensors.items()) or "no tensors",
        )
    rows = ids
    if "mapping" in tensors:  # model2vec's vocabulary quantisation: several tokens share a vector
        mapping = _per_token(tensors, "mapping", ("I64", "I32"))
        least, most = (int(end) for end in (mapping.array.min(initial=0), mapping.array.max(initial=0)))
        if least < 0 or most >= tensors[name].shape[0]:
            raise UnsupportedModel(
                "A token is mapped to a vector that is not there.", where=str(mapping.file),
                expected=f"mapping within the {tensors[name].shape[0]} rows of {name}", found=f"{least} to {most}",
            )  # fmt: skip
        rows = op.gather(op.constant(mapping.array.astype("int64")), ids, ints(0))
    vectors = embed(Constants(tensors)(name, *tensors[name].shape), rows)
    if "weights" in tensors:
        scale = _per_token(tensors, "weights", ("F32", "F16", "F64"))
        each = op.gather(op.constant(scale.float32()), ids, ints(0))
        vectors = op.multiply(vectors, op.unsqueeze(each, ints(2)))
    name_tokens(vectors)
    mean = pool(vectors, mask, Pooling.MEAN)
    return ov.Model([normalize(mean) if layout.normalize else mean], [ids, mask], layout.family)


def _per_token(tensors: Tensors, name: str, dtypes: tuple[str, ...]) -> Stored:
    stored = tensors[name]
    if len(stored.shape) != 1 or stored.dtype not in dtypes:
        raise UnsupportedModel(
            "A tensor of a static embedding is not what model2vec writes.",
            where=str(stored.file),
            expected=f"{name} [tokens], {' or '.join(dtypes)}",
            found=f"{name} {list(stored.shape)}, {stored.dtype}",
        )
    return stored
