"""text-embeddings-inference's paths that look into a model and ask it for no answer: its tokens, and what it is.

https://huggingface.github.io/text-embeddings-inference/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hardtack import __version__
from hardtack.runtime.classifier import HeadClassifier
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.reranker import Reranker
from hardtack.runtime.tokens import Piece
from hardtack.serve.dialects.tei import MODEL, TEI
from hardtack.serve.exchange import Answer, Asked, Endpoint, answer_json, texts_of
from hardtack.serve.fields import FLAG, TEXT, TEXTS, Field, either, is_list, list_of, many, whole
from hardtack.serve.shelf import ANY_TASK

if TYPE_CHECKING:
    from hardtack.serve.service import Service

TOKENIZE = (
    Field("inputs", TEXTS, "One text or several.", required=True),
    Field("add_special_tokens", FLAG, "Whether special tokens are added.", default=True),
    Field("prompt_name", TEXT, "One of an embedder's prompts, which goes before each text."),
    MODEL,
)
_IDS = many(whole(0), "token ids")
DECODE = (
    Field("ids", either("token ids, or lists of them", _IDS, many(_IDS, "lists of token ids"),
                        fits=(list_of(int), is_list)), "Token ids of a text, or of several.", required=True),
    Field("skip_special_tokens", FLAG, "Whether special tokens are left out.", default=True),
    MODEL,
)  # fmt: skip


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


ENDPOINTS = (
    Endpoint("POST", "/tokenize", TEI, tokenize, "The tokens of texts.", TOKENIZE),
    Endpoint("POST", "/decode", TEI, decode, "The text of tokens.", DECODE),
    Endpoint("GET", "/info", TEI, info, "What is served."),
)
