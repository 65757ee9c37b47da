"""What a request asks of a model, held to what that model allows: cutting, prompts, dimensions, token ids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hardtack.runtime.embedder import Embedder
from hardtack.runtime.manager import Model
from hardtack.runtime.tokens import Tokenized
from hardtack.serve.refusals import Kind, Refusal


def refuse_cut(counted: Sequence[Tokenized], longest: int | None) -> None:
    """Refuse texts of which something was cut off, as they have more than ``longest`` tokens."""
    for number, each in enumerate(counted):
        if each.cut:
            raise Refusal(
                Kind.TOO_LARGE,
                f"input {number} must have {longest} tokens or fewer; `truncate: true` cuts it",
                param="inputs",
            )


def refuse_more(counted: Sequence[Tokenized], most: int) -> None:
    """Refuse texts that have more than ``most`` tokens in all."""
    tokens = sum(map(len, counted))
    if tokens > most:
        raise Refusal(
            Kind.TOO_LARGE, f"`inputs` have {tokens} tokens; one request for the vector of each may have {most}",
            param="inputs",
        )  # fmt: skip


def prompt_of(model: Embedder, name: str | None) -> str:
    """The text of one of a model's prompts; None: of its default one, where it has one."""
    name = model.layout.default_prompt if name is None else name
    return "" if name is None else named_prompt(model, name)


def named_prompt(model: Model, name: str) -> str:
    """The text of a prompt; only embedders have any."""
    prompts = model.prompts if isinstance(model, Embedder) else {}
    if name not in prompts:
        known = ", ".join(sorted(prompts)) or "none"
        raise Refusal(Kind.INVALID, f"the model has no prompt called {name!r}; it has: {known}", param="prompt_name")
    return prompts[name]


def dimensions_of(model: Embedder, wanted: int | None) -> int:
    """How many numbers of each vector are wanted, where the model was trained to be cut so; None: all."""
    if wanted is None or wanted == model.dim:
        return model.dim
    config = model.layout.config
    allowed = config.get("matryoshka_dimensions")
    # the two keys by which repositories, and vLLM, say that a model was trained so that its vectors may be cut
    if (isinstance(allowed, list) and wanted in allowed) or (
        config.get("is_matryoshka") is True and wanted < model.dim
    ):
        return wanted
    kept = ", ".join(map(str, allowed)) if isinstance(allowed, list) else str(model.dim)
    raise Refusal(
        Kind.INVALID, f"this model's vectors cannot be cut to {wanted} numbers; it allows: {kept}", param="dimensions"
    )


def tokenized(model: Embedder, ids: Sequence[Sequence[int]]) -> list[Tokenized]:
    """Token ids of this very model, special tokens included, as its tokenizer would have given them."""
    rows = model.layout.config.get("vocab_size")
    longest = model.max_seq_length
    made = []
    for number, each in enumerate(ids):
        if not each or (longest is not None and len(each) > longest):
            raise Refusal(
                Kind.TOO_LARGE if each else Kind.INVALID,
                f"input {number} has {len(each)} token ids; this model takes 1 to {longest}", param="input",
            )  # fmt: skip
        if isinstance(rows, int) and max(each) >= rows:
            raise Refusal(
                Kind.INVALID, f"input {number} has the token id {max(each)}; this model's end at {rows - 1}",
                param="input",
            )  # fmt: skip
        array = np.array(each, dtype=np.int64)
        made.append(Tokenized(array, np.zeros_like(array)))
    return made
