"""A model directory as a function of torch tensors: inputs by name → rows of the answer.

The transformer is loaded by transformers and what follows it by sentence-transformers; which tokens there are is
decided before, by our own tokenizer, as for every engine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardtack.errors import UnsupportedModel
from hardtack.runtime.engines.torch_modules import load_modules
from hardtack.runtime.layout import Layout
from hardtack.spec.words import Task, WeightsKind

_MADE_UP = ("pooler.dense.weight", "pooler.dense.bias", "position_ids")
"""What an embedder's checkpoint may lack: a pooler that sentence-transformers never asks, and plain numbers."""


Forward = Callable[[dict[str, Any]], Any]
"""Tensors by name → rows; modifies the mapping it is given."""


@dataclass(frozen=True)
class Functions:
    """A model that was loaded.

    Attributes:
        rows: inputs → the answer, a row a text.
        inputs: their names.
        width: columns of the answer; 0 where the feed decides.
        tokens: of an embedder, inputs → the vectors of the tokens, which are then pooled.
        hidden: the size of such a vector.
    """

    rows: Forward
    inputs: tuple[str, ...]
    width: int
    tokens: Forward | None = None
    hidden: int = 0


def load_forward(layout: Layout, place: Path, *, dtype: str, device: str, trusted: bool) -> Functions:
    """Load a model.

    Args:
        layout: what it is.
        place: the directory to load from; where ``trusted``, one that holds verified code only.
        dtype: torch's name of the numbers it is executed in.
        device: where.
        trusted: whether code in ``place`` may run.

    Raises:
        UnsupportedModel: the libraries cannot load it, or its weights are not all there.
    """
    with _offline():
        try:
            model = _load_model(layout, place, dtype, trusted)
            if layout.task is not Task.EMBED:
                return _heads(layout, model.to(device).eval())
            modules = load_modules(layout, place, trusted=trusted)
        except UnsupportedModel:
            raise
        # whatever a library, or a model's own code, may raise while it loads
        except Exception as problem:
            raise _cannot(layout, problem, trusted) from problem
    return _embedder(layout, model.to(device).eval(), [m.to(device).eval() for m in modules], device)


def _load_model(layout: Layout, place: Path, dtype: str, trusted: bool) -> Any:
    import torch
    import transformers

    from hardtack.runtime.engines.torch import task_class

    folder = str((place / layout.weights[0]).parent)
    model, report = getattr(transformers, task_class(layout)).from_pretrained(
        folder,
        dtype=getattr(torch, dtype),
        local_files_only=True,
        trust_remote_code=trusted,
        use_safetensors=layout.stored is not WeightsKind.PICKLE,
        output_loading_info=True,
    )
    missing = sorted(set(report["missing_keys"]))
    if layout.task is Task.EMBED:
        missing = [name for name in missing if not name.endswith(_MADE_UP)]
    odd = missing or sorted(map(str, report.get("mismatched_keys") or ()))
    if odd:
        raise UnsupportedModel(
            "The weights are not those of the architecture that the config names.", where=str(place / "config.json"),
            expected=f"{odd[0]} in {layout.weights[0]}" + (f", and {len(odd) - 1} more" if len(odd) > 1 else ""),
            found="a checkpoint without" if missing else "another shape", mend="hardtack pull",
        )  # fmt: skip
    return model.requires_grad_(False)


def _embedder(layout: Layout, model: Any, modules: list[Any], device: str) -> Functions:
    import torch

    inputs = _inputs(model, layout)

    def tokens(tensors: dict[str, Any]) -> Any:
        return model(**tensors)[0].float()

    def forward(tensors: dict[str, Any]) -> Any:
        counted = tensors.pop("pooling_mask", None)
        features = {**tensors, "token_embeddings": tokens(tensors)}
        if counted is not None:
            features["prompt_length"] = int((tensors["attention_mask"][0].sum() - counted[0].sum()).item())
        for module in modules:
            features = module(features)
        return features["sentence_embedding"]

    for module in modules:
        module.float().requires_grad_(False)
    if not layout.include_prompt:
        inputs = (*inputs, "pooling_mask")
    with torch.inference_mode():
        tried = {name: torch.ones((1, 2), dtype=torch.int64, device=device) for name in inputs}
        width = forward(tried).shape[1]
        hidden = tokens(tried).shape[2]
    return Functions(forward, inputs, int(width), tokens, int(hidden))


def _heads(layout: Layout, model: Any) -> Functions:
    inputs = _inputs(model, layout)
    if layout.config.get("is_encoder_decoder"):
        label_inputs = ("decoder_input_ids", "target_ids", "target_mask")
        return Functions(_likelihoods(model), (*inputs, *label_inputs), 0)
    return Functions(lambda tensors: model(**tensors).logits, inputs, len(layout.labels))


def _likelihoods(model: Any) -> Forward:
    """Each text's log-likelihood of each label, as :mod:`hardtack.runtime.engines.interface` has it for T5."""
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    def forward(tensors: dict[str, Any]) -> Any:
        mask = tensors["attention_mask"]
        states = model.get_encoder()(input_ids=tensors["input_ids"], attention_mask=mask)[0]
        columns = []
        for given, wanted, counted in zip(
            tensors["decoder_input_ids"], tensors["target_ids"], tensors["target_mask"], strict=True
        ):
            logits = model(
                encoder_outputs=BaseModelOutput(last_hidden_state=states),
                attention_mask=mask,
                decoder_input_ids=given.expand(len(states), -1),
            ).logits
            chances = logits.float().log_softmax(-1).gather(2, wanted.expand(len(states), -1)[..., None])[..., 0]
            columns.append((chances * counted).sum(1))
        return torch.stack(columns, dim=1)

    return forward


def _inputs(model: Any, layout: Layout) -> tuple[str, ...]:
    """Ids, mask, and token types where the model has more than one."""
    has_types = int(layout.config.get("type_vocab_size") or 0) > 1
    if not has_types:
        return ("input_ids", "attention_mask")
    import inspect

    named = inspect.signature(model.forward).parameters
    return ("input_ids", "attention_mask", *(["token_type_ids"] if "token_type_ids" in named else []))


@contextmanager
def _offline() -> Iterator[None]:
    """Keep the libraries off the Hub, and quiet, while they load, whatever the environment said at their import.

    ``local_files_only`` alone is not enough: for pickled weights transformers asks the Hub in a thread whether it has
    safetensors (``auto_conversion``); ``DISABLE_SAFETENSORS_CONVERSION`` stops that.
    """
    import huggingface_hub.constants as constants
    import transformers

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    kept = os.environ.get("DISABLE_SAFETENSORS_CONVERSION")
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"
    said = transformers.utils.logging
    loud, drawing = said.get_verbosity(), said.is_progress_bar_enabled()
    said.set_verbosity_error()
    said.disable_progress_bar()
    try:
        yield
    finally:
        said.set_verbosity(loud)
        if drawing:
            said.enable_progress_bar()
        constants.HF_HUB_OFFLINE = before
        if kept is None:
            del os.environ["DISABLE_SAFETENSORS_CONVERSION"]
        else:
            os.environ["DISABLE_SAFETENSORS_CONVERSION"] = kept


def _cannot(layout: Layout, problem: Exception, trusted: bool) -> UnsupportedModel:
    said = next((line.strip() for line in str(problem).splitlines() if line.strip()), type(problem).__name__)
    if "trust_remote_code" in str(problem) and not trusted:
        return UnsupportedModel(
            "the model needs code of its own, and it may not run", where=str(layout.directory),
            expected="`trust-remote-code = true` in the manifest, and trust_remote_code=True or HARDTACK_ALLOW_CODE "
            "from the caller", found="no leave, or no lock that carries the code", mend="HARDTACK_ALLOW_CODE=KEY …",
        )  # fmt: skip
    return UnsupportedModel(
        "torch's libraries cannot load the model either", where=str(layout.directory),
        expected="a model that transformers knows", found=f"{type(problem).__name__}: {said[:300]}",
        mend="pip install --upgrade 'hardtack[torch]'",
    )  # fmt: skip
