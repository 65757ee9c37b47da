from __future__ import annotations

from typing import Any

import pytest

from hardtack.spec.guess import guess_task
from hardtack.spec.words import Task


def built(name: str, labels: int = 0) -> dict[str, Any]:
    return {"architectures": [name], "id2label": {str(number): f"LABEL_{number}" for number in range(labels)}}


@pytest.mark.parametrize(
    ("name", "tags", "config", "task"),
    [
        ("sentence-transformers/all-MiniLM-L6-v2", ["sentence-transformers", "sentence-similarity"], None, Task.EMBED),
        ("sentence-transformers/sentence-t5-base", ["sentence-similarity"], built("T5EncoderModel"), Task.EMBED),
        ("minishlab/potion-base-8M", ["model2vec"], None, Task.EMBED),
        ("thenlper/gte-small", ["feature-extraction"], None, Task.EMBED),
        ("BAAI/bge-reranker-base", ["text-classification"], None, Task.RERANK),
        ("cross-encoder/ms-marco-MiniLM-L6-v2", ["sentence-transformers"], None, Task.RERANK),
        ("org/x", ["text-ranking", "sentence-transformers"], None, Task.RERANK),
        ("google/flan-t5-small", ["text2text-generation"], None, Task.CLASSIFY),
        ("google/flan-t5-small", [], built("T5ForConditionalGeneration"), Task.CLASSIFY),
        ("org/sentiment", ["text-classification"], None, Task.CLASSIFY),
        ("./mine", [], built("BertForSequenceClassification", 3), Task.CLASSIFY),
        ("./mine", [], built("BertForSequenceClassification", 1), Task.RERANK),
        ("./mine", [], built("BertForSequenceClassification"), Task.RERANK),
        ("./mine", [], built("BertModel"), Task.EMBED),
        ("org/llama", ["text-generation"], built("LlamaForCausalLM"), None),
        ("org/model", [], None, None),
        ("org/model", [], {"architectures": []}, None),
        ("org/model", [], {"architectures": "BertModel"}, None),
        ("org/model", [], {"architectures": [7], "id2label": 3}, None),
        ("org/model", [], {"architectures": ["XForSequenceClassification"], "id2label": 3}, Task.RERANK),
    ],
)
def test_guesses(name: str, tags: list[str], config: dict[str, Any] | None, task: Task | None) -> None:
    assert guess_task(name, tags, config) is task
