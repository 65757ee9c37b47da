"""What a repository says about itself: the front matter of its README.md, and its config.json.

A card that cannot be read is an empty card, since it decides no bytes. Only plain words and lists of them are taken.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Keys of the metadata block: https://github.com/huggingface/hub-docs/blob/main/modelcard.md
_KEYS = (
    "license",
    "license_name",
    "license_link",
    "language",
    "tags",
    "pipeline_tag",
    "library_name",
    "base_model",
    "datasets",
)
_CONFIG_KEYS = ("architectures", "model_type", "auto_map")
_FRONT_MATTER = re.compile(r"\ufeff?\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", re.DOTALL)
_LARGEST_CARD = 1 << 20

# The Hub guesses the task from the head's class; these are the heads of the families that hardtack draws.
_TASK_OF_HEAD = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "ForConditionalGeneration": "text2text-generation",
    "LMHeadModel": "text-generation",
    "Model": "feature-extraction",
}


@dataclass(frozen=True)
class Card:
    """``data`` is the front matter, ``config`` what the Hub repeats of config.json; the others follow from them."""

    data: Mapping[str, str | list[str]] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    library_name: str | None = None
    pipeline_tag: str | None = None
    tags: tuple[str, ...] = ()


def read_card(readme: bytes | None, config: bytes | None, names: frozenset[str]) -> Card:
    """The card of a repository.

    Args:
        readme: the content of README.md, if there is one.
        config: the content of config.json, if there is one.
        names: the paths of all files.
    """
    data = _front_matter(readme or b"")
    settings = _settings(config or b"")
    library, task = data.get("library_name"), data.get("pipeline_tag")
    if not isinstance(library, str):
        library = "sentence-transformers" if "modules.json" in names else "transformers" if settings else None
    if not isinstance(task, str):
        task = "sentence-similarity" if "modules.json" in names else _guessed_task(settings)
    formats = ("safetensors",) if any(name.endswith(".safetensors") for name in names) else ()
    model_type = settings.get("model_type")
    tags = [
        *([library] if library else []),
        *formats,
        *([model_type] if isinstance(model_type, str) else []),
        *([task] if task else []),
        *_words(data.get("tags")),
        *_words(data.get("language")),
        *(f"dataset:{name}" for name in _words(data.get("datasets"))),
        *(f"base_model:{name}" for name in _words(data.get("base_model"))),
        *(f"license:{name}" for name in _words(data.get("license"))),
    ]
    return Card(data, settings, library, task, tuple(dict.fromkeys(tags)))


def _front_matter(readme: bytes) -> dict[str, str | list[str]]:
    match = _FRONT_MATTER.match(readme[:_LARGEST_CARD].decode(errors="replace"))
    if match is None:
        return {}
    # Loaded here, since only a mirror needs it; by name, since it carries no types. huggingface_hub requires it.
    yaml = importlib.import_module("yaml")
    try:
        # BaseLoader makes nothing but strings, lists and dictionaries: no objects, and Norwegian is "no", not False.
        loaded = yaml.load(match[1], Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError):
        return {}
    if not isinstance(loaded, dict):
        return {}
    plain: dict[str, str | list[str]] = {}
    for key in _KEYS:
        value = loaded.get(key)
        if isinstance(value, str | list) and value and all(isinstance(item, str) for item in value):
            plain[key] = value
    return plain


def _settings(config: bytes) -> dict[str, Any]:
    try:
        loaded = json.loads(config)
    except (ValueError, RecursionError):
        return {}
    return {key: loaded[key] for key in _CONFIG_KEYS if key in loaded} if isinstance(loaded, dict) else {}


def _guessed_task(settings: Mapping[str, Any]) -> str | None:
    heads = settings.get("architectures")
    head = heads[0] if isinstance(heads, list) and heads else None
    if not isinstance(head, str):
        return None
    return next((task for suffix, task in _TASK_OF_HEAD.items() if head.endswith(suffix)), None)


def _words(value: str | list[str] | None) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else value
