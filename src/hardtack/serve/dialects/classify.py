"""Zero-shot labels over HTTP: ``/v1/classify`` in Jina's form, with our groups of labels beside it.

https://api.jina.ai/redoc#tag/classify
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hardtack.runtime.classifier import Classified
from hardtack.serve.dialects.openai import OPENAI
from hardtack.serve.exchange import Answer, Asked, Endpoint, answer_json, texts_of
from hardtack.serve.fields import TEXT, TEXTS, Field, Shape, either, is_list, is_text, many, refuse
from hardtack.serve.work import Choice

if TYPE_CHECKING:
    from hardtack.serve.service import Service

_GROUP = "label"
_LABELS = many(TEXT, "labels", most=256)


def _groups(of: Shape, what: str) -> Shape:
    """An object of group → value."""

    def read(value: Any, name: str) -> dict[str, Any]:
        if not value or len(value) > 16:
            refuse(f"`{name}` must have 1 to 16 groups", name)
        return {group: of.read(each, f"{name}.{group}") for group, each in value.items()}

    schema = {"type": "object", "additionalProperties": of.schema, "minProperties": 1, "maxProperties": 16}
    return Shape({**schema, "description": what}, read)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


FIELDS = (
    Field("input", TEXTS, "One text or several.", required=True),
    Field("model", TEXT, "A key, a repository or its last part; the only classifier where it is not said."),
    Field(
        "labels",
        either("a list of labels, or such lists by group", _LABELS, _groups(_LABELS, "group → labels"),
               fits=(is_list, _is_object)),
        "Instead of the lock's; answered in order.",
    ),
    Field(
        "prompt",
        either("a text, or texts by group", TEXT, _groups(TEXT, "group → prompt"), fits=(is_text, _is_object)),
        "For these labels: a text with {text}, and the names of earlier groups in braces.",
    ),
)  # fmt: skip


async def classify(service: Service, asked: Asked) -> Answer:
    """``POST /v1/classify``."""
    values = asked.values
    which = values["model"] or asked.model
    texts = texts_of(values["input"], service.limits.texts, "input")
    made = await service.classify(which, texts, _choice(values["labels"], values["prompt"]))
    return answer_json(
        {
            "object": "list",
            "model": which,
            "data": [_shown(number, answer) for number, answer in enumerate(made.answers)],
            "usage": {"total_tokens": made.tokens},
        }
    )


def _choice(labels: Any, prompt: Any) -> Choice | None:
    if labels is None and prompt is None:
        return None
    groups = {_GROUP: labels} if isinstance(labels, list) else labels
    chosen = None if groups is None else tuple((group, tuple(each)) for group, each in groups.items())
    if prompt is None or isinstance(prompt, dict):
        prompts = prompt
    elif groups is None or len(groups) == 1:
        prompts = {next(iter(groups or {_GROUP: None})): prompt}
    else:
        refuse("`prompt` must be an object of a text for each group of `labels`", "prompt")
    return Choice(chosen, None if prompts is None else tuple(prompts.items()))


def _shown(number: int, answer: Classified) -> dict[str, Any]:
    """One text's answer: the first group in Jina's words, all of them in ours."""
    first = next(iter(answer))
    ranked = sorted(answer.scores[first].items(), key=lambda each: -each[1])
    return {
        "object": "classification",
        "index": number,
        "prediction": answer[first],
        "score": answer.scores[first][answer[first]],
        "predictions": [{"label": label, "score": score} for label, score in ranked],
        "labels": dict(answer),
        "scores": answer.scores,
    }


ENDPOINTS = (Endpoint("POST", "/v1/classify", OPENAI, classify, "Labels of texts, with scores.", FIELDS),)
