r"""``space``: one name for everything that decides which vectors a text is given.

Vectors of two models cannot be compared, and nothing in a vector says whose it is; all-MiniLM-L6-v2 and e5-small both
have 384 numbers. So the space is stored beside an index, and a loader that is told ``space=`` refuses a model of
another one. How the numbers are executed (fp32, bf16, int8) is left out on purpose: those are the same vectors, nearly.

The canonical text is these lines in this order, each ended by ``\n``; values are JSON with sorted keys, no blanks and
non-ASCII escaped, and ``null`` where the model has none::

    hardtack-space 1
    model "<commit, else digest>"
    pooling "<mean|cls|lasttoken|…>"
    dense [["<weights>",<inputs>,<outputs>,<bias>,"<activation>"],…]
    normalize <true|false>
    prompts {"<name>":"<text>",…}
    default-prompt "<name>"
    max-length <tokens>

Its SHA-256, cut to 32 hexadecimal digits, is the space. No lock and no digest: no space, the empty string.
"""

from __future__ import annotations

import hashlib
import json

from hardtack.runtime.layout import Layout

_DIGITS = 32


def space_text(layout: Layout, model: str) -> str:
    """The canonical text; ``model`` is the commit, or the digest of a local directory."""
    values: tuple[tuple[str, object], ...] = (
        ("model", model),
        ("pooling", layout.pooling.value if layout.pooling else None),
        ("dense", [[d.weights, d.inputs, d.outputs, d.bias, d.activation] for d in layout.dense]),
        ("normalize", layout.normalize),
        ("prompts", dict(layout.prompts)),
        ("default-prompt", layout.default_prompt),
        ("max-length", layout.tokenizing.max_length),
    )
    lines = (f"{name} {json.dumps(value, sort_keys=True, separators=(',', ':'))}\n" for name, value in values)
    return "hardtack-space 1\n" + "".join(lines)


def space_of(layout: Layout, model: str) -> str:
    """The space of a model's vectors: 32 hexadecimal digits, or empty where ``model`` is."""
    return hashlib.sha256(space_text(layout, model).encode()).hexdigest()[:_DIGITS] if model else ""
