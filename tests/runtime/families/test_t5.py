"""T5 against the same forward in plain numpy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardtack.spec.words import Task
from tests.models import make_t5
from tests.runtime import forward
from tests.runtime.running import LABELS, TEXTS, encode, engine_for, feed, label_feed, rows_of, values

KINDS: dict[str, dict[str, Any]] = {
    "flan": {"untied": True, "feed_forward_proj": "gated-gelu"},
    "first": {"untied": False, "feed_forward_proj": "relu"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_scores_of_labels(kind: str, tmp_path: Path) -> None:
    directory = make_t5(tmp_path, **KINDS[kind])
    config, weights = json.loads((directory / "config.json").read_text()), values(directory)
    texts, labels = encode(directory, TEXTS), encode(directory, LABELS)
    wanted = [[forward.t5_score(weights, config, text.ids, label.ids) for label in labels] for text in texts]
    engine = engine_for(directory, Task.CLASSIFY)
    batch = {**feed(engine, texts, pad_id=0, extra=2), **label_feed([label.ids for label in labels])}
    np.testing.assert_allclose(rows_of(engine, batch), wanted, rtol=1e-5, atol=1e-4)
    assert engine.info.inputs == ("input_ids", "attention_mask", "decoder_input_ids", "target_ids", "target_mask")
    assert engine.info.width == 0


def test_other_labels_beside_it_change_no_score(tmp_path: Path) -> None:
    directory = make_t5(tmp_path)
    engine = engine_for(directory, Task.CLASSIFY)
    texts = feed(engine, encode(directory, TEXTS), pad_id=0)
    labels = [label.ids for label in encode(directory, LABELS)]
    together = rows_of(engine, {**texts, **label_feed(labels)})
    for place, label in enumerate(labels):
        np.testing.assert_allclose(
            rows_of(engine, {**texts, **label_feed([label])})[:, 0], together[:, place], atol=1e-5
        )


def test_the_config_of_transformers_5_says_whether_outputs_are_scaled(tmp_path: Path) -> None:
    plain = make_t5(tmp_path / "plain", tie_word_embeddings=False)
    saved_again = make_t5(tmp_path / "again", tie_word_embeddings=True, scale_decoder_outputs=False)
    texts, labels = encode(plain, TEXTS), label_feed([label.ids for label in encode(plain, LABELS)])
    engines = [engine_for(directory, Task.CLASSIFY) for directory in (plain, saved_again)]
    first, second = (rows_of(engine, {**feed(engine, texts, pad_id=0), **labels}) for engine in engines)
    np.testing.assert_array_equal(first, second)


def test_encoder_as_an_embedder(tmp_path: Path) -> None:
    directory = make_t5(tmp_path, Task.EMBED)
    config, weights = json.loads((directory / "config.json").read_text()), values(directory)
    texts = encode(directory, TEXTS)
    wanted = [forward.normalize(forward.t5_encoder(weights, config, text.ids).mean(0)) for text in texts]
    engine = engine_for(directory, Task.EMBED)
    np.testing.assert_allclose(rows_of(engine, feed(engine, texts, pad_id=0)), wanted, atol=2e-6)
