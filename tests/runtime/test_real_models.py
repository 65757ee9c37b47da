"""The real models: what they are read as, and what their vectors and scores have been found to be.

The golden numbers are sentence-transformers' and transformers' own in float32; ``test_parity.py`` says that we are them
for every architecture, so that these tests need no torch.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from hardtack.runtime.read_layout import read_layout
from hardtack.spec.words import Pooling, Task
from tests.runtime.running import encode, engine_for, feed, label_feed, rows_of

pytestmark = pytest.mark.real

REAL = Path(os.environ.get("HARDTACK_REAL") or Path(__file__).parents[3] / "shared/real")


TEXTS = ["The cat sits on the mat.", "A quick brown fox jumps over the lazy dog near the river bank.", "Hello"]


def test_minilm(minilm: Path) -> None:
    layout = read_layout(minilm, Task.EMBED)
    assert (layout.family, layout.pooling, layout.normalize) == ("bert", Pooling.MEAN, True)
    assert layout.tokenizing.max_length == 256  # tokenizer.json says 128, sentence_bert_config.json overrides it
    engine = engine_for(minilm, Task.EMBED)
    rows = rows_of(engine, feed(engine, encode(minilm, TEXTS), pad_id=0))
    golden = [
        [0.13417709, -0.0329003, -0.02480376, 0.041439],
        [0.08110937, 0.05440745, 0.02521475, 0.03154094],
        [-0.06277177, 0.05495879, 0.05216476, 0.08579002],
    ]
    np.testing.assert_allclose(rows[:, :4], golden, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_static_embedder() -> None:
    directory = REAL / "models/derived--m2v-MiniLM-L6-128"
    layout = read_layout(directory, Task.EMBED)
    assert (layout.family, layout.normalize) == ("static", True)
    engine = engine_for(directory, Task.EMBED)
    rows = rows_of(engine, feed(engine, encode(directory, TEXTS, special=False), pad_id=0))
    golden = [
        [0.00239155, -0.11992267, -0.09795823, -0.15201268],
        [-0.1853782, -0.07863132, 0.06764205, -0.24434717],
        [0.04848028, -0.0326064, 0.10832107, -0.14900751],
    ]
    np.testing.assert_allclose(rows[:, :4], golden, atol=1e-6)


def test_cross_encoder_stored_in_half() -> None:
    directory = REAL / "models/trained--ce-MiniLM-L6-stsb"
    layout = read_layout(directory, Task.RERANK)
    assert (layout.family, layout.labels, layout.activation) == ("bert", ("LABEL_0",), None)
    engine = engine_for(directory, Task.RERANK)
    pairs = [
        ("a man plays guitar", "someone is playing an instrument"),
        ("a dog", "the stock market fell"),
        ("cat", "cats"),
    ]
    rows = rows_of(engine, feed(engine, encode(directory, pairs), pad_id=0))
    np.testing.assert_allclose(rows, [[-0.5097892], [-1.9084483], [1.4867057]], atol=1e-5)


def test_t5_scores_of_domains() -> None:
    directory = REAL / "models/trained--t5-clinc-domains"
    training = json.loads((directory / "training.json").read_text())
    requests = ["what is my account balance", "how long do i cook rice", "set up a meeting with my boss"]
    texts = encode(directory, [training["prompt"].format(request) for request in requests])
    labels = [label.ids for label in encode(directory, training["labels"])]
    engine = engine_for(directory, Task.CLASSIFY)
    rows = rows_of(engine, {**feed(engine, texts, pad_id=0), **label_feed(labels)})
    assert rows.shape == (3, 10)
    golden = [  # banking, credit cards, kitchen, home
        [0.0, -11.9728, -27.8669, -20.1851],
        [-10.138, -14.7891, -1.053, -7.135],
        [-8.5124, -10.1288, -10.7951, -6.5287],
    ]
    np.testing.assert_allclose(rows[:, :4], golden, atol=2e-4)
