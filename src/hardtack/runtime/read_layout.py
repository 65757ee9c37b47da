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

from hardtack.errors import UnsupportedModel
from hardtack.runtime.families import FAMILIES
from hardtack.runtime.json_files import optional, read_object, unsupported
from hardtack.runtime.layout import Layout, Overrides, Tokenizing
from hardtack.runtime.sentence_modules import MODULES, SentenceModules, read_modules
from hardtack.spec.words import Pooling, Similarity, Task

_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
_WEIGHTS_INDEX = "model.safetensors.index.json"
_TOKENIZER = "tokenizer.json"
_SENTENCE_CONFIG = "config_sentence_transformers.json"

_TASKS: Mapping[str, tuple[Task, ...]] = {
    "bert": (Task.EMBED, Task.RERANK, Task.CLASSIFY),
    "roberta": (Task.EMBED, Task.RERANK, Task.CLASSIFY),
    "mpnet": (Task.EMBED, Task.RERANK, Task.CLASSIFY),
    "t5": (Task.EMBED, Task.CLASSIFY),
    "static": (Task.EMBED,),
}
"""What a family can be loaded for."""

_PAD_IDS: Mapping[str, int] = {"bert": 0, "roberta": 1, "mpnet": 1, "t5": 0, "static": 0}
"""Where the config does not say; transformers' defaults."""

_FIRST_POSITION: Mapping[str, int] = {"roberta": 2, "mpnet": 2}
"""Rows of the position table that no token uses: positions count from the padding's id, plus one."""

_ACTIVATIONS: Mapping[str, str] = {
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
    "torch.nn.modules.linear.Identity": "identity",
}

_NO_LIMIT = 1_000_000
"""transformers writes 10^30 for a tokenizer that has no limit of its own."""


def read_layout(directory: Path, task: Task, *, overrides: Overrides | None = None) -> Layout:
    """Read what a model directory says it is.

    Args:
        directory: as ``save_pretrained`` of transformers, sentence-transformers or model2vec writes it.
        task: what it is to be loaded for.
        overrides: what is to be otherwise than the files say.

    Raises:
        UnsupportedModel: a file that is missing, or says something that is not understood; names file and key.
        Mismatch: a file is not JSON.
        DiskError: a file cannot be read.
    """
    modules = read_modules(directory)
    static = modules is not None and modules.static
    config_file = directory / (modules.folder if modules and not static else ".") / _CONFIG
    config = read_object(config_file)
    family = "static" if static else _family(config_file, config)
    if task not in _TASKS[family]:
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
        weights=_weights(directory, modules.folder),
        tokenizing=_tokenizing(directory, modules, family, config),
        pooling=(modules.pooling or Pooling.MEAN) if task is Task.EMBED and family != "static" else None,
        dense=modules.dense,
        normalize=modules.normalize,
        similarity=_similarity(sentence_file, sentence),
        prompts=MappingProxyType(prompts),
        default_prompt=default_prompt,
        labels=_labels(config_file, config) if task is not Task.EMBED and family != "t5" else (),
        activation=_activation(directory, config, sentence) if task is Task.RERANK else None,
    )
    return layout if overrides is None else _overridden(layout, overrides)


def _tasks(family: str) -> str:
    return " and ".join(_TASKS[family])


def _family(file: Path, config: Mapping[str, Any]) -> str:
    model_type = str(config.get("model_type"))
    if model_type not in FAMILIES:
        found = model_type if config else "no such file"
        raise unsupported(file, "model_type", "one of " + ", ".join(sorted(FAMILIES)), found)
    return FAMILIES[model_type]


def _weights(directory: Path, folder: str) -> tuple[str, ...]:
    """The one file, or the shards that its index names, relative to the model directory."""
    if (directory / folder / _WEIGHTS).is_file():
        names = [_WEIGHTS]
    else:
        index = directory / folder / _WEIGHTS_INDEX
        shards = optional(index, read_object(index), "weight_map", dict, {})
        names = sorted(set(map(str, shards.values())))
        if not names:
            raise unsupported(directory / folder / _WEIGHTS, "", "weights in safetensors", "no such file, and no index")
        for name in names:
            if Path(name).name != name or not (directory / folder / name).is_file():
                raise unsupported(index, "weight_map", "files beside it", name)
    return tuple(str(Path(folder) / name) for name in names)


def _tokenizing(directory: Path, modules: SentenceModules, family: str, config: Mapping[str, Any]) -> Tokenizing:
    folder = directory / modules.folder
    file = folder / _TOKENIZER
    if not file.is_file():
        raise unsupported(file, "", "a tokenizer in the tokenizers library's format", "no such file")
    name = str(Path(modules.folder) / _TOKENIZER)
    pad_id = optional(folder / _CONFIG, config, "pad_token_id", int, _PAD_IDS[family])
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
