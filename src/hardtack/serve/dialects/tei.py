"""text-embeddings-inference's paths, as its clients (huggingface_hub, langchain, llama-index) ask for them.

https://huggingface.github.io/text-embeddings-inference/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hardtack import __version__
from hardtack.runtime.classifier import HeadClassifier
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.reranker import Reranker, sigmoid
from hardtack.runtime.tokens import Piece
from hardtack.serve.exchange import Answer, Asked, Dialect, Endpoint, Handler, answer_json, join_json, texts_of
from hardtack.serve.fields import (
    ANYTHING,
    FLAG,
    TEXT,
    TEXTS,
    Field,
    Shape,
    body_schema,
    either,
    is_list,
    is_text,
    list_of,
    many,
    read_body,
    refuse,
    whole,
    word,
)
from hardtack.serve.refusals import Kind, Refusal
from hardtack.serve.shelf import ANY_TASK
from hardtack.spec.words import Task

if TYPE_CHECKING:
    from hardtack.serve.pipeline import Service

STATUSES: Mapping[Kind, int] = {
    Kind.INVALID: 422,
    Kind.TOO_LARGE: 413,
    Kind.MEDIA_TYPE: 415,
    Kind.UNAUTHORIZED: 401,
    Kind.NO_SUCH_PATH: 404,
    Kind.WRONG_METHOD: 405,
    Kind.NO_SUCH_MODEL: 404,
    Kind.WRONG_TASK: 424,
    Kind.OVERLOADED: 429,
    Kind.TOO_SLOW: 408,
    Kind.NOT_READY: 503,
    Kind.FAILED: 500,
}
_TYPES: Mapping[Kind, str] = {
    Kind.OVERLOADED: "Overloaded",
    Kind.NOT_READY: "Unhealthy",
    Kind.FAILED: "Backend",
    Kind.WRONG_TASK: "Backend",
}


def _form(refusal: Refusal, status: int, request: str) -> Mapping[str, Any]:  # noqa: ARG001 - a dialect's form
    return {"error": refusal.what, "error_type": _TYPES.get(refusal.kind, "Validation")}


TEI = Dialect("tei", STATUSES, _form)

_MODEL = Field("model", TEXT, "A key, a repository or its last part; the only model of the task where it is not said.")
_CUTTING = (
    Field("truncate", FLAG, "Whether what is too long is cut, rather than refused.", default=True),
    Field("truncation_direction", word("right", "Right"), "Where it is cut: at its end."),
)
EMBED = (
    Field("inputs", TEXTS, "One text or several.", required=True),
    *_CUTTING,
    Field("normalize", FLAG, "Whether vectors are brought to length one.", default=True),
    Field("prompt_name", TEXT, "One of the model's prompts."),
    Field("dimensions", whole(1), "Numbers of a vector, where the model was trained to be cut."),
    _MODEL,
)
EMBED_ALL = tuple(field for field in EMBED if field.name not in ("normalize", "dimensions"))
RERANK = (
    Field("query", TEXT, "What is looked for.", required=True),
    Field("texts", many(TEXT, "texts"), "The documents.", required=True),
    *_CUTTING,
    Field("raw_scores", FLAG, "Logits instead of scores from 0 to 1.", default=False),
    Field("return_text", FLAG, "Whether each rank has its text.", default=False),
    _MODEL,
)
_SEQUENCE = either(
    "a text, or one or two texts",
    TEXT,
    many(TEXT, "texts", most=2),
    fits=(is_text, is_list),
)
PREDICT = (
    Field(
        "inputs",
        either("a text, a pair of texts, or a list of such", _SEQUENCE, many(_SEQUENCE, "texts or pairs"),
               fits=(lambda value: is_text(value) or list_of(str)(value), is_list)),
        "A text, a pair, or a list of lists of one or two texts.",
        required=True,
    ),
    *_CUTTING,
    Field("raw_scores", FLAG, "Logits instead of probabilities.", default=False),
    _MODEL,
)  # fmt: skip
ROOT = (
    Field("inputs", ANYTHING, "As the path that is meant has it."),
    _MODEL,
)
TOKENIZE = (
    Field("inputs", TEXTS, "One text or several.", required=True),
    Field("add_special_tokens", FLAG, "Whether special tokens are added.", default=True),
    Field("prompt_name", TEXT, "One of an embedder's prompts, which goes before each text."),
    _MODEL,
)
_IDS = many(whole(0), "token ids")
DECODE = (
    Field("ids", either("token ids, or lists of them", _IDS, many(_IDS, "lists of token ids"),
                        fits=(list_of(int), is_list)), "Token ids of a text, or of several.", required=True),
    Field("skip_special_tokens", FLAG, "Whether special tokens are left out.", default=True),
    _MODEL,
)  # fmt: skip


def _read_comparison(value: Any, name: str) -> tuple[str, list[str]]:
    if not isinstance(value, dict):
        refuse(f"`{name}` must be an object of `source_sentence` and `sentences`", name)
    source = TEXT.read(value.get("source_sentence"), f"{name}.source_sentence")
    return source, many(TEXT, "sentences").read(value.get("sentences"), f"{name}.sentences")


_COMPARISON = Shape(
    {
        "type": "object",
        "properties": {
            "source_sentence": {"type": "string"},
            "sentences": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        },
        "required": ["source_sentence", "sentences"],
    },
    _read_comparison,
)
_PARAMETERS = tuple(field for field in EMBED_ALL if field.name not in ("inputs", "model"))
SIMILARITY = (
    Field("inputs", _COMPARISON, "What is compared with what.", required=True),
    Field("parameters", Shape(body_schema(_PARAMETERS), lambda value, _: read_body(_PARAMETERS, value)),
          "How it is read: as of /embed."),
    _MODEL,
)  # fmt: skip


async def embed(service: Service, asked: Asked) -> Answer:
    """``POST /embed``."""
    values = asked.values
    texts = texts_of(values["inputs"], service.limits.texts, "inputs")
    made = await service.embed(
        values["model"] or asked.model,
        texts,
        truncate=values["truncate"],
        prompt_name=values["prompt_name"],
        dimensions=values["dimensions"],
        normalized=values["normalize"],
    )
    return Answer(await join_json(b"[", made.vectors, made.model.dim, b"]"))


async def embed_all(service: Service, asked: Asked) -> Answer:
    """``POST /embed_all``: a list for each text of a vector for each of its tokens."""
    values = asked.values
    texts = texts_of(values["inputs"], service.limits.texts, "inputs")
    made = await service.embed_all(
        values["model"] or asked.model, texts, truncate=values["truncate"], prompt_name=values["prompt_name"]
    )
    numbers = max(vectors.size for vectors in made.vectors)
    return Answer(await join_json(b"[", made.vectors, numbers, b"]"))


async def rerank(service: Service, asked: Asked) -> Answer:
    """``POST /rerank``."""
    values = asked.values
    texts = texts_of(values["texts"], service.limits.texts, "texts")
    pairs = [(values["query"], text) for text in texts]
    made = await service.score(
        values["model"] or asked.model, pairs, truncate=values["truncate"], raw=values["raw_scores"]
    )
    scores = made.scores[:, 0]
    return answer_json(
        [
            {"index": number, "score": float(scores[number])}
            | ({"text": texts[number]} if values["return_text"] else {})
            for number in np.argsort(-scores, kind="stable").tolist()
        ]
    )


async def predict(service: Service, asked: Asked) -> Answer:
    """``POST /predict``: a classifier's labels of texts, or a cross-encoder's of pairs."""
    values = asked.values
    given = values["inputs"]
    single = isinstance(given, str) or isinstance(given[0], str)
    inputs = [[each] if isinstance(each, str) else each for each in ([given] if single else given)]
    texts_of([each[0] for each in inputs], service.limits.texts, "inputs")
    which = values["model"] or asked.model
    if len({len(each) for each in inputs}) > 1:
        refuse("`inputs` must be all texts or all pairs", "inputs")
    rows = await (_of_pairs if len(inputs[0]) == 2 else _of_texts)(service, which, inputs, values)
    answers = [
        [{"score": score, "label": label} for label, score in sorted(row.items(), key=lambda each: -each[1])]
        for row in rows
    ]
    return answer_json(answers[0] if single else answers)


async def _of_pairs(
    service: Service, which: str | None, inputs: list[list[str]], values: Mapping[str, Any]
) -> list[dict[str, float]]:
    pairs = [(first, second) for first, second in inputs]
    made = await service.score(which, pairs, truncate=values["truncate"], raw=True, single=False)
    labels = made.model.layout.labels or tuple(f"LABEL_{number}" for number in range(made.model.num_labels))
    scores = made.scores
    if not values["raw_scores"]:
        if scores.shape[1] == 1:
            scores = sigmoid(scores)
        else:
            raised = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores = raised / raised.sum(axis=1, keepdims=True)
    return [dict(zip(labels, row, strict=True)) for row in scores.tolist()]


async def _of_texts(
    service: Service, which: str | None, inputs: list[list[str]], values: Mapping[str, Any]
) -> list[dict[str, float]]:
    if values["raw_scores"]:
        refuse("a classifier's raw scores are not to be had; leave `raw_scores` out", "raw_scores")
    made = await service.classify(which, [each[0] for each in inputs])
    if len(made.answers[0]) != 1:
        groups = ", ".join(made.answers[0])
        raise Refusal(Kind.WRONG_TASK, f"this model answers several groups ({groups}); ask /v1/classify", param="model")
    return [dict(next(iter(answer.scores.values()))) for answer in made.answers]


async def similarity(service: Service, asked: Asked) -> Answer:
    """``POST /similarity``."""
    source, sentences = asked.values["inputs"]
    texts_of(sentences, service.limits.texts - 1, "inputs.sentences")
    how = asked.values["parameters"] or {"truncate": True, "prompt_name": None}
    made = await service.embed(
        asked.values["model"] or asked.model,
        [source, *sentences],
        truncate=how["truncate"],
        prompt_name=how["prompt_name"],
    )
    return answer_json(made.model.similarity(made.vectors[0], np.stack(made.vectors[1:]))[0].tolist())


async def tokenize(service: Service, asked: Asked) -> Answer:
    """``POST /tokenize``."""
    values = asked.values
    texts = texts_of(values["inputs"], service.limits.texts, "inputs")
    which = values["model"] or asked.model
    special, prompt_name = values["add_special_tokens"], values["prompt_name"]
    return Answer(await service.spell(which, texts, _shown, special=special, prompt_name=prompt_name))


def _shown(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    return [
        {"id": piece.id, "text": piece.text, "special": piece.special}
        | ({} if piece.special else {"start": piece.start, "stop": piece.stop})
        for piece in pieces
    ]


async def decode(service: Service, asked: Asked) -> Answer:
    """``POST /decode``."""
    values = asked.values
    ids = values["ids"]
    lists = ids if isinstance(ids[0], list) else [ids]
    texts_of(["" for _ in lists], service.limits.texts, "ids")
    return answer_json(
        await service.decode(values["model"] or asked.model, lists, skip_special=values["skip_special_tokens"])
    )


async def info(service: Service, asked: Asked) -> Answer:
    """``GET /info``: text-embeddings-inference's fields of one model, and all about all of them beside it."""
    slot = service.shelf.find(asked.model, ANY_TASK) if asked.model else None
    slot = slot or next(iter(service.shelf.slots.values()))
    model = slot.shelved.model if slot.shelved else None
    kind: dict[str, Any] = {}
    if isinstance(model, Embedder):
        kind = {"embedding": {"pooling": model.layout.pooling.value if model.layout.pooling else None}}
    elif isinstance(model, Reranker | HeadClassifier):
        labels = model.layout.labels
        name = "reranker" if isinstance(model, Reranker) else "classifier"
        kind = {
            name: {
                "id2label": {str(number): label for number, label in enumerate(labels)},
                "label2id": {label: number for number, label in enumerate(labels)},
            }
        }
    limits = service.limits
    return answer_json(
        {
            "model_id": slot.offer.repo or slot.offer.key,
            "model_sha": slot.offer.commit or None,
            "model_dtype": model.engine.precision if model else None,
            "model_type": kind,
            "max_concurrent_requests": limits.queue,
            "max_input_length": model.max_seq_length if model else None,
            "max_batch_tokens": model.budget.tokens if model else limits.batch_tokens,
            "max_batch_requests": model.budget.rows if model else limits.batch_rows,
            "max_client_batch_size": limits.texts,
            "auto_truncate": True,
            "tokenization_workers": 2,
            "version": __version__,
            "sha": None,
            "docker_label": None,
            "service": "hardtack",
            "models": service.about(),
        }
    )


async def root(service: Service, asked: Asked) -> Answer:
    """``POST /``, where clients know one address only, as huggingface_hub's does: what is meant is in the body."""
    which = asked.values["model"] or asked.model
    handle: Handler
    fields: Sequence[Field]
    if isinstance(asked.values["inputs"], dict):
        handle, fields = similarity, SIMILARITY
    elif asked.values["inputs"] is None:
        handle, fields = rerank, RERANK
    else:
        task = service.shelf.find(which, ANY_TASK).offer.task
        handle, fields = (embed, EMBED) if task is Task.EMBED else (predict, PREDICT)
    return await handle(service, replace(asked, values=read_body(fields, asked.body)))


ENDPOINTS = (
    Endpoint("POST", "/embed", TEI, embed, "Vectors of texts.", EMBED),
    Endpoint("POST", "/embed_all", TEI, embed_all, "Vectors of the tokens of texts, not pooled.", EMBED_ALL),
    Endpoint("POST", "/", TEI, root, "As /embed, /similarity, /predict or /rerank, as body and model have it.", ROOT),
    Endpoint("POST", "/rerank", TEI, rerank, "Texts by how well they answer a query.", RERANK),
    Endpoint("POST", "/predict", TEI, predict, "Labels of texts or pairs.", PREDICT),
    Endpoint("POST", "/similarity", TEI, similarity, "How like one text is to others.", SIMILARITY),
    Endpoint("POST", "/tokenize", TEI, tokenize, "The tokens of texts.", TOKENIZE),
    Endpoint("POST", "/decode", TEI, decode, "The text of tokens.", DECODE),
    Endpoint("GET", "/info", TEI, info, "What is served."),
)
