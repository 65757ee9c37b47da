"""Which of sentence-transformers' arguments are supported, taken and ignored, or refused. Data, and one check.

The documentation prints these tables, and a test holds them to the signatures of the installed library.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Literal

from hardtack.errors import Misused

Standing = Literal["supported", "ignored", "refused"]

ENCODE: Mapping[str, Standing] = {
    "inputs": "supported",
    "prompt_name": "supported",
    "prompt": "supported",
    "batch_size": "supported",
    "show_progress_bar": "ignored",
    "output_value": "refused",
    "precision": "supported",
    "convert_to_numpy": "refused",
    "convert_to_tensor": "refused",
    "device": "refused",
    "normalize_embeddings": "supported",
    "truncate_dim": "supported",
    "pool": "refused",
    "chunk_size": "refused",
}
"""``SentenceTransformer.encode``, ``encode_query``, ``encode_document``. *Refused*: any value but the default."""

PREDICT: Mapping[str, Standing] = {
    "inputs": "supported",
    "prompt_name": "refused",
    "prompt": "refused",
    "batch_size": "supported",
    "show_progress_bar": "ignored",
    "activation_fn": "supported",
    "apply_softmax": "supported",
    "convert_to_numpy": "refused",
    "convert_to_tensor": "refused",
    "device": "refused",
    "pool": "refused",
    "chunk_size": "refused",
}
"""``CrossEncoder.predict``."""

RANK: Mapping[str, Standing] = {
    "query": "supported",
    "documents": "supported",
    "top_k": "supported",
    "return_documents": "supported",
    "prompt_name": "refused",
    "prompt": "refused",
    "batch_size": "supported",
    "show_progress_bar": "ignored",
    "activation_fn": "supported",
    "device": "refused",
    "pool": "refused",
    "chunk_size": "refused",
}
"""``CrossEncoder.rank``."""

CONSTRUCTORS: Mapping[str, str] = {
    "model_name_or_path": "`load_embedder(which)`: a key, a repository of the lock, or a path",
    "activation_fn": "`predict(…, activation_fn=…)`; else what the model's own files say",
    "backend": "`engine` in hardtack.toml, `HARDTACK_ENGINE`",
    "cache_folder": "`HARDTACK_PANTRY`, `HF_HUB_CACHE`, `HF_HOME`",
    "config_kwargs": "nothing: the config is locked",
    "default_prompt_name": "the model's own files; `prompts` in hardtack.toml",
    "device": "`HARDTACK_DEVICE`",
    "keep_in_fp32_modules": "nothing: poolings and heads are always in float32",
    "local_files_only": "always so under the policy strict; `HARDTACK_POLICY=online` allows the Hub",
    "max_length": "`max-length` in hardtack.toml",
    "model_card_data": "nothing: models are run here, not trained",
    "model_kwargs": "`precision` in hardtack.toml, for a dtype; nothing for the rest",
    "modules": "nothing: a model is what its directory says",
    "num_labels": "nothing: the config is locked",
    "processor_kwargs": "`max-length` in hardtack.toml; nothing for the rest",
    "prompts": "`prompts` in hardtack.toml",
    "revision": "`revision` in hardtack.toml; the lock holds the commit",
    "similarity_fn_name": "`similarity` in hardtack.toml",
    "token": "`HF_TOKEN`, to lock and to pull",
    "truncate_dim": "`encode(…, truncate_dim=…)`",
    "trust_remote_code": "`trust_remote_code=True` or `HARDTACK_ALLOW_CODE`, and `trust-remote-code` in hardtack.toml",
    "use_auth_token": "`HF_TOKEN`, to lock and to pull",
}
"""What ``SentenceTransformer(…)`` and ``CrossEncoder(…)`` take, and where hardtack is told the same."""

DEFAULTS: Mapping[str, Any] = {
    "output_value": "sentence_embedding",
    "convert_to_numpy": True,
    "convert_to_tensor": False,
}
"""Values of refused arguments that say what is so anyhow; None for the others."""

INSTEAD: Mapping[str, str] = {
    "output_value": "hardtack gives one vector a text; SentenceTransformer(directory) gives those of the tokens",
    "convert_to_numpy": "torch.from_numpy(rows)  # hardtack answers in numpy",
    "convert_to_tensor": "torch.from_numpy(rows)  # hardtack answers in numpy",
    "device": "HARDTACK_DEVICE=…  # a model stays where it was loaded",
    "pool": "hardtack embed  # or several processes, one model each",
    "chunk_size": "hardtack embed  # or several processes, one model each",
    "prompt": "put the prompt before the query yourself",
    "prompt_name": "put the prompt before the query yourself",
}
"""What to write in the place of a refused argument."""


def settle(function: str, table: Mapping[str, Standing], others: Mapping[str, Any], device: str) -> None:
    """Go through the arguments of a call that are not supported.

    Args:
        function: for the message.
        table: one of the above.
        others: every argument of the call that the function itself does not take.
        device: where the model is; naming that very device asks for nothing.

    Raises:
        Misused: an argument that is refused and says what is not so anyhow, or that sentence-transformers has not.
    """
    for name, value in others.items():
        if name not in table:
            near = difflib.get_close_matches(name, table, 1)
            raise Misused(
                f"{function} has no argument `{name}`", where=f"{function}({name}=…)",
                expected=f"perhaps `{near[0]}`" if near else ", ".join(sorted(table)), found=name,
                mend=f"help(…{function})",
            )  # fmt: skip
        if table[name] == "ignored" or value == DEFAULTS.get(name) or (name == "device" and str(value) == device):
            continue
        raise Misused(
            f"{function} does not take `{name}`", where=f"{function}({name}=…)",
            expected=repr(DEFAULTS.get(name)), found=repr(value), mend=INSTEAD[name],
        )  # fmt: skip


def rows_of(batch_size: int | None, usual: int) -> int:
    """The greatest number of rows in a batch that a call asks for.

    Raises:
        Misused: it is not a whole number of 1 or more.
    """
    if batch_size is None:
        return usual
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise Misused(
            "a batch has at least one row", where="batch_size", expected="a whole number, 1 or more",
            found=repr(batch_size), mend="batch_size=32",
        )  # fmt: skip
    return batch_size
