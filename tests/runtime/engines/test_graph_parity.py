"""Held against transformers and sentence-transformers themselves, with random weights of every family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardtack.spec.words import Pooling, Task
from tests.models import make_bert, make_distilbert, make_mpnet, make_roberta, make_static, make_t5
from tests.runtime.running import LABELS, PAIRS, TEXTS, cosines, encode, engine_for, feed, label_feed, rows_of

pytestmark = [
    pytest.mark.torch,
    # Theirs, while importing and loading: nothing this project could mend.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

PAD = {"make_bert": 0, "make_distilbert": 0, "make_roberta": 1, "make_mpnet": 1, "make_t5": 0, "make_static": 0}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """sentence-transformers asks the Hub about local directories, too."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip("sentence_transformers")


def embed_by_them(directory: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(directory), device="cpu").encode(list(TEXTS))


def embed_by_us(make: Callable[..., Path], directory: Path) -> Any:
    engine = engine_for(directory, Task.EMBED)
    texts = encode(directory, TEXTS, special=make is not make_static)
    return rows_of(engine, feed(engine, texts, pad_id=PAD[make.__name__]))


@pytest.mark.parametrize("make", [make_bert, make_distilbert, make_roberta, make_mpnet])
@pytest.mark.parametrize("pooling", list(Pooling))
def test_embedders(make: Callable[..., Path], pooling: Pooling, tmp_path: Path) -> None:
    directory = make(tmp_path, pooling=pooling, dense=(12,))
    ours, theirs = embed_by_us(make, directory), embed_by_them(directory)
    assert cosines(ours, theirs).min() > 0.999999
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("make", [make_bert, make_distilbert, make_roberta, make_mpnet])
def test_embedders_without_modules(make: Callable[..., Path], tmp_path: Path) -> None:
    directory = make(tmp_path)
    (directory / "modules.json").unlink()
    np.testing.assert_allclose(embed_by_us(make, directory), embed_by_them(directory), atol=1e-5)


def test_static_embedder(tmp_path: Path) -> None:
    directory = make_static(tmp_path)
    np.testing.assert_allclose(embed_by_us(make_static, directory), embed_by_them(directory), atol=1e-6)


def test_t5_as_an_embedder(tmp_path: Path) -> None:
    directory = make_t5(tmp_path, Task.EMBED)
    np.testing.assert_allclose(embed_by_us(make_t5, directory), embed_by_them(directory), atol=1e-5)


@pytest.mark.parametrize("make", [make_bert, make_distilbert, make_roberta, make_mpnet])
@pytest.mark.parametrize("labels", [("LABEL_0",), ("high", "medium", "low")])
def test_rerankers(make: Callable[..., Path], labels: tuple[str, ...], tmp_path: Path) -> None:
    import torch
    from sentence_transformers import CrossEncoder

    directory = make(tmp_path, Task.RERANK, labels=labels)
    theirs = CrossEncoder(str(directory), device="cpu").predict(list(PAIRS), activation_fn=torch.nn.Identity())
    engine = engine_for(directory, Task.RERANK)
    batch = feed(engine, encode(directory, PAIRS), pad_id=PAD[make.__name__])
    np.testing.assert_allclose(rows_of(engine, batch).reshape(np.shape(theirs)), theirs, atol=1e-4)


@pytest.mark.parametrize(
    "kind",
    [
        {"untied": True},
        {"untied": False, "feed_forward_proj": "relu"},
        {"untied": False, "scale_decoder_outputs": False},
        {"untied": True, "tie_word_embeddings": True},
        {"feed_forward_proj": "gated-silu"},
    ],
)
def test_t5_labels(kind: dict[str, Any], tmp_path: Path) -> None:
    directory = make_t5(tmp_path, **kind)
    texts, labels = encode(directory, TEXTS), encode(directory, LABELS)
    theirs = [[score_by_transformers(directory, text.ids, label.ids) for label in labels] for text in texts]
    engine = engine_for(directory, Task.CLASSIFY)
    batch = {**feed(engine, texts, pad_id=0), **label_feed([label.ids for label in labels])}
    np.testing.assert_allclose(rows_of(engine, batch), theirs, atol=1e-4)


def score_by_transformers(directory: Path, text: list[int], label: list[int]) -> float:
    import torch
    from transformers import T5ForConditionalGeneration

    model = T5ForConditionalGeneration.from_pretrained(directory).eval()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([text]), labels=torch.tensor([label])).logits[0]
    chances = logits.log_softmax(-1)
    return float(sum(chances[n, token] for n, token in enumerate(label)))


@pytest.mark.parametrize("both_ways", [True, False])
def test_buckets_of_distances(both_ways: bool) -> None:
    import torch
    from transformers.models.t5.modeling_t5 import T5Attention

    from hardtack.runtime.families.buckets import bucket

    distances = np.arange(-600, 601)
    for buckets, farthest in ((32, 128), (8, 12), (64, 256)):
        theirs = T5Attention._relative_position_bucket(torch.tensor(distances), both_ways, buckets, farthest)
        np.testing.assert_array_equal(bucket(distances, buckets, farthest, both_ways=both_ways), theirs.numpy())
