"""From a model directory to its :class:`~hardtack.runtime.layout.Layout`.

Reads small JSON files only, in the way transformers and sentence-transformers read them. What is not understood is an
:class:`~hardtack.errors.UnsupportedModel` that names the file and the key; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hardtack.errors import NotDrawn, UnsupportedModel
from hardtack.runtime.families import FAMILIES
from hardtack.runtime.json_files import optional, read_object, unsupported
from hardtack.runtime.layout import Layout, Overrides, Tokenizing
from hardtack.runtime.sentence_modules import MODULES, SentenceModules, first_folder, read_modules
from hardtack.runtime.weight_files import find_weights
from hardtack.spec.words import Pooling, Similarity, Task, WeightsKind

_CONFIG = "config.json"
_TOKENIZER = "tokenizer.json"
_SENTENCE_CONFIG = "config_sentence_transformers.json"

_TASKS: Mapping[str, tuple[Task, ...]] = {
    "bert": (Task.EMBED, Task.RERANK, Task.CLASSIFY),
    "roberta": (Task.EMBED, Task.RERANK, Task.CLASSIFY),
    "distilbert": (Task.EMBED, Task.RERANK, Task.CLASSIFY),
    "llama": (Task.EMBED, Task.RERANK, Task.CLASSIFY),
    "mpnet": (Task.EMBED, Task.RERANK, Task.CLASSIFY),
    "t5": (Task.EMBED, Task.CLASSIFY),
    "static": (Task.EMBED,),
}
"""What a family can be loaded for."""

_ANY_TASK = (Task.EMBED, Task.RERANK, Task.CLASSIFY)
_GRAPHS = (WeightsKind.OPENVINO, WeightsKind.ONNX)

_PAIR_TEMPLATES: Mapping[str, str] = {"llama_bidirec": "question:{query} \n \n passage:{passage}"}
"""``model_type`` → how a pair is put into one text, where no file of the model says so but its documentation does:
https://huggingface.co/nvidia/llama-nemotron-rerank-1b-v2 (once Llama-3.2-NV-RerankQA-1B-v2)."""

_PAD_IDS: Mapping[str, int] = {"bert": 0, "distilbert": 0, "roberta": 1, "mpnet": 1, "t5": 0, "static": 0, "llama": 0}
"""Where the config does not say; transformers' defaults."""

_FIRST_POSITION: Mapping[str, int] = {"roberta": 2, "mpnet": 2}
"""Rows of the position table that no token uses: positions count from the padding's id, plus one."""

_ACTIVATIONS: Mapping[str, str] = {
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
    "torch.nn.modules.linear.Identity": "identity",
}

_NO_LIMIT = 1_000_000
"""transformers writes 10^30 for a tokenizer that has no limit of its own."""


def read_layout(
    directory: Path,
    task: Task,
    *,
    overrides: Overrides | None = None,
    weights: WeightsKind | None = None,
    foreign: bool = False,
    ashore: bool = False,
) -> Layout:
    """Read what a model directory says it is.

    Args:
        directory: as ``save_pretrained`` of transformers, sentence-transformers or model2vec writes it.
        task: what it is to be loaded for.
        overrides: what is to be otherwise than the files say.
        weights: the kind of weights that is locked; None: as there is.
        foreign: torch's libraries will load it: the architecture may be any, and where the modules are not understood
            here the layout has no pooling.
        ashore: a build has all the numbers: weights of the kind that is locked may be missing.

    Raises:
        UnsupportedModel: a file that is missing, or says something that is not understood; names file and key. It is
            a :class:`~hardtack.errors.NotDrawn` where another library may understand it.
        Mismatch: a file is not JSON.
        DiskError: a file cannot be read.
    """
    modules, understood = _modules(directory, foreign, ashore)
    static = modules is not None and modules.static
    folder = modules.folder if modules else "."
    config_file = directory / ("." if static else folder) / _CONFIG
    config = read_object(config_file)
    family = "static" if static else FAMILIES.get(str(config.get("model_type")))
    if foreign:
        weights = weights or WeightsKind.SAFETENSORS
        if weights in _GRAPHS:
            raise unsupported(config_file, "", "weights that torch reads", f"{weights}, as the lock says")
    stored, files = find_weights(directory, folder, weights, drawn=family is not None, ashore=ashore)
    if family is None:
        family = _without_family(config_file, config, known=foreign or stored in _GRAPHS)
    if stored in _GRAPHS and config.get("is_encoder_decoder"):
        raise unsupported(config_file, "is_encoder_decoder", "an encoder, for a graph that is shipped", "true")
    if task not in _TASKS.get(family, _ANY_TASK):
        raise unsupported(config_file, "model_type", f"a model to {task}", f"{family}, which can {_tasks(family)}")
    if task is not Task.EMBED and modules is not None and (modules.pooling or modules.dense or modules.normalize):
        raise unsupported(directory / MODULES, "", "a Transformer alone", "modules of an embedder")
    if modules is None:  # a bare transformer embeds by mean pooling; model2vec says in its config what it does
        modules = SentenceModules(
            static=family == "static",
            normalize=family == "static" and optional(config_file, config, "normalize", bool, False),
        )
    sentence_file = directory / _SENTENCE_CONFIG
    sentence = read_object(sentence_file)
    kind = sentence.get("model_type", "SentenceTransformer")
    if task is Task.EMBED and kind != "SentenceTransformer":
        raise unsupported(sentence_file, "model_type", "SentenceTransformer", repr(kind))
    prompts = _prompts(sentence_file, sentence)
    default_prompt = sentence.get("default_prompt_name")
    if default_prompt is not None and default_prompt not in prompts:
        raise unsupported(sentence_file, "default_prompt_name", "one of its prompts", repr(default_prompt))
    layout = Layout(
        directory=directory,
        task=task,
        family=family,
        config=MappingProxyType(config),
        weights=files,
        stored=stored,
        tokenizing=_tokenizing(directory, modules, family, config),
        pooling=_pooling(modules, task, family) if understood else None,
        dense=modules.dense,
        normalize=modules.normalize,
        similarity=_similarity(sentence_file, sentence),
        prompts=MappingProxyType(prompts),
        default_prompt=default_prompt,
        labels=_labels(config_file, config) if task is not Task.EMBED and family != "t5" else (),
        activation=_activation(directory, config, sentence) if task is Task.RERANK else None,
        include_prompt=modules.include_prompt,
        template=_PAIR_TEMPLATES.get(str(config.get("model_type"))) if task is Task.RERANK else None,
    )
    return layout if overrides is None else _overridden(layout, overrides)


def _tasks(family: str) -> str:
    return " and ".join(_TASKS[family])


def _modules(directory: Path, foreign: bool, ashore: bool) -> tuple[SentenceModules | None, bool]:
    """What ``modules.json`` says, and whether all of it is understood here."""
    try:
        return read_modules(directory, ashore=ashore), True
    except NotDrawn:
        if not foreign:
            raise
        return SentenceModules(folder=first_folder(directory)), False


def _without_family(file: Path, config: Mapping[str, Any], *, known: bool) -> str:
    """What stands for the family of a model that no family draws: its type, where something else knows it."""
    model_type = config.get("model_type")
    if not known or not isinstance(model_type, str):
        found = repr(model_type) if config else "no such file"
        raise unsupported(file, "model_type", "one of " + ", ".join(sorted(FAMILIES)), found)
    return model_type


def _tokenizing(directory: Path, modules: SentenceModules, family: str, config: Mapping[str, Any]) -> Tokenizing:
    folder = directory / modules.folder
    file = folder / _TOKENIZER
    if not file.is_file():
        raise unsupported(file, "", "a tokenizer in the tokenizers library's format", "no such file")
    name = str(Path(modules.folder) / _TOKENIZER)
    pad_id = optional(folder / _CONFIG, config, "pad_token_id", int, _PAD_IDS.get(family, 0))
    pad_id = max(pad_id, 0)  # some Llamas say -1 for none: what stands in the place of padding is masked anyhow
    if family == "static":
        # sentence-transformers leaves a static model's tokenizer as its file has it, but for the padding.
        truncation = optional(file, read_object(file), "truncation", dict, {})
        return Tokenizing(name, optional(file, truncation, "max_length", int, 0) or None, pad_id, special=False)
    sentence_file = folder / "sentence_bert_config.json"
    sentence = read_object(sentence_file)
    own_file = folder / "tokenizer_config.json"
    own = read_object(own_file)
    limits = [_positions(family, config)]
    limits.append(optional(sentence_file, sentence, "max_seq_length", int, 0) or _model_max_length(own_file, own))
    return Tokenizing(
        file=name,
        max_length=min((limit for limit in limits if limit), default=None),
        pad_id=pad_id,
        pad_left=optional(own_file, own, "padding_side", str, "right") == "left",
        lowercase=optional(sentence_file, sentence, "do_lower_case", bool, False),
    )


def _model_max_length(file: Path, tokenizer_config: Mapping[str, Any]) -> int:
    """The tokenizer's own limit, 0 where there is none."""
    value = tokenizer_config.get("model_max_length")
    if value is None or (isinstance(value, int | float) and value >= _NO_LIMIT):
        return 0
    return optional(file, tokenizer_config, "model_max_length", int, 0)


def _positions(family: str, config: Mapping[str, Any]) -> int:
    """Tokens that the position table has rows for, 0 where there is no table."""
    rows = config.get("max_position_embeddings")
    return rows - _FIRST_POSITION.get(family, 0) if isinstance(rows, int) and rows > 0 else 0


def _pooling(modules: SentenceModules, task: Task, family: str) -> Pooling | None:
    return (modules.pooling or Pooling.MEAN) if task is Task.EMBED and family != "static" else None


def _prompts(file: Path, sentence: Mapping[str, Any]) -> dict[str, str]:
    prompts = optional(file, sentence, "prompts", dict, {})
    for name, prompt in prompts.items():
        if not isinstance(prompt, str | None):
            raise unsupported(file, f"prompts.{name}", "a string", repr(prompt))
    return {name: prompt for name, prompt in prompts.items() if prompt is not None}


def _similarity(file: Path, sentence: Mapping[str, Any]) -> Similarity:
    name = optional(file, sentence, "similarity_fn_name", str, str(Similarity.COSINE))
    if name not in set(Similarity):
        raise unsupported(file, "similarity_fn_name", "one of " + ", ".join(Similarity), repr(name))
    return Similarity(name)


def _labels(file: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    """``id2label`` in the order of the ids; transformers takes two labels where a config says nothing."""
    names = optional(file, config, "id2label", dict, {})
    if not names:
        return tuple(f"LABEL_{n}" for n in range(optional(file, config, "num_labels", int, 2)))
    try:
        return tuple(str(names[str(n)]) for n in range(len(names)))
    except KeyError as error:
        raise unsupported(file, "id2label", f"a label for each of 0 to {len(names) - 1}", repr(names)) from error


def _activation(directory: Path, config: Mapping[str, Any], sentence: Mapping[str, Any]) -> str | None:
    """What is done with a reranker's logits; sentence-transformers has written it to three places in its time."""
    nested = config.get("sentence_transformers")
    for file, key, value in (
        (_SENTENCE_CONFIG, "activation_fn", sentence.get("activation_fn")),
        (
            _CONFIG,
            "sentence_transformers.activation_fn",
            nested.get("activation_fn") if isinstance(nested, dict) else None,
        ),
        (_CONFIG, "sbert_ce_default_activation_function", config.get("sbert_ce_default_activation_function")),
    ):
        if value is not None:
            if value not in _ACTIVATIONS:
                raise unsupported(directory / file, key, "one of " + ", ".join(_ACTIVATIONS), repr(value))
            return _ACTIVATIONS[value]
    return None


def _overridden(layout: Layout, overrides: Overrides) -> Layout:
    tokenizing = layout.tokenizing
    if overrides.max_length is not None:
        limit = _positions(layout.family, layout.config)
        if not 0 < overrides.max_length <= (limit or _NO_LIMIT):
            raise UnsupportedModel(
                "The model cannot take texts of that length.",
                where="max-length",
                expected=f"1 to {limit or _NO_LIMIT} tokens",
                found=str(overrides.max_length),
            )
        tokenizing = replace(tokenizing, max_length=overrides.max_length)
    if overrides.pooling is not None and layout.pooling is None:
        raise UnsupportedModel(
            "The model has no pooling that could be another.",
            where="pooling",
            expected="an embedder with a transformer",
            found=f"{layout.family}, loaded to {layout.task}",
        )
    prompts = layout.prompts if overrides.prompts is None else MappingProxyType(dict(overrides.prompts))
    return replace(
        layout,
        tokenizing=tokenizing,
        prompts=prompts,
        default_prompt=layout.default_prompt if layout.default_prompt in prompts else None,
        pooling=layout.pooling if overrides.pooling is None else overrides.pooling,
        normalize=layout.normalize if overrides.normalize is None else overrides.normalize,
        similarity=layout.similarity if overrides.similarity is None else overrides.similarity,
    )
