"""What may happen to vectors after an engine made them: cutting, normalising, quantising, comparing.

All of it as sentence-transformers does it (``util/tensor.py``, ``util/quantization.py``, ``util/similarity.py``), on
numpy arrays. Nothing here knows a model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hardtack.errors import Misused
from hardtack.spec.words import Similarity

Floats = NDArray[np.float32]
PRECISIONS = ("float32", "int8", "uint8", "binary", "ubinary")
_TINY = 1e-12  # torch.nn.functional.normalize's eps: a vector of zeros stays one


def normalize(vectors: Floats) -> Floats:
    """Rows brought to length one; a row of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    made: Floats = (vectors / np.maximum(lengths, _TINY)).astype(np.float32, copy=False)
    return made


def quantize(vectors: Floats, precision: str) -> NDArray[Any]:
    """Vectors in fewer bits.

    Args:
        vectors: ``(n, dim)`` float32.
        precision: ``float32`` (as they are), ``int8`` or ``uint8`` (each dimension's range over *these* vectors in 256
            steps), ``binary`` or ``ubinary`` (one bit a dimension, eight to a byte).

    Raises:
        Misused: another word, or ranges are wanted of a single vector.
    """
    if precision not in PRECISIONS:
        raise Misused(
            "a precision of vectors that is not known", where="precision", expected=", ".join(PRECISIONS),
            found=repr(precision), mend='precision="float32"',
        )  # fmt: skip
    if precision == "float32":
        return vectors
    if precision in ("binary", "ubinary"):
        bits = np.packbits(vectors > 0, axis=-1)
        return bits if precision == "ubinary" else (bits.astype(np.int16) - 128).astype(np.int8)
    kind = np.int8 if precision == "int8" else np.uint8
    if len(vectors) == 0:
        return np.zeros(vectors.shape, dtype=kind)
    if len(vectors) == 1:
        raise Misused(
            "the range of each dimension cannot be told from a single vector", where=f'precision="{precision}"',
            expected="two texts or more; a hundred and more to be of use", found="1",
            mend='precision="binary"',
        )  # fmt: skip
    low = vectors.min(axis=0)
    steps = (vectors.max(axis=0) - low) / np.float32(255)
    steps = np.where(steps == 0, np.float32(1), steps)
    values = np.clip(np.floor((vectors - low) / steps), 0, 255)
    made: NDArray[Any] = (values - 128 if precision == "int8" else values).astype(kind)
    return made


def compare(first: ArrayLike, second: ArrayLike, similarity: Similarity) -> Floats:
    """Every vector of one set against every one of the other: ``(n, dim)``, ``(m, dim)`` → ``(n, m)`` float32.

    A single vector counts as a set of one. Distances are negated, so that more is always nearer.

    Raises:
        Misused: the two sets are not of one dimension.
    """
    a = np.atleast_2d(np.asarray(first, dtype=np.float32))
    b = np.atleast_2d(np.asarray(second, dtype=np.float32))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise Misused(
            "vectors of two dimensions cannot be compared", where="similarity", expected=f"(m, {a.shape[-1]})",
            found=str(b.shape), mend="encode both with one model",
        )  # fmt: skip
    if similarity is Similarity.COSINE:
        a, b = normalize(a), normalize(b)
    if similarity in (Similarity.COSINE, Similarity.DOT):
        return a @ b.T
    rows = np.empty((len(a), len(b)), dtype=np.float32)
    for number, row in enumerate(a):  # one row at a time: the whole (n, m, dim) would not fit in memory
        if similarity is Similarity.MANHATTAN:
            rows[number] = -np.abs(b - row).sum(axis=1)
        else:
            rows[number] = -np.linalg.norm(b - row, axis=1)
    return rows
