"""Static embeddings as sentence-transformers and model2vec write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hardtack.errors import UnsupportedModel
from hardtack.spec.words import Task
from tests.models import WORDS, make_static
from tests.runtime.forward import normalize
from tests.runtime.running import TEXTS, encode, engine_for, feed, rows_of, values

NAMES = [("embeddings", "."), ("embedding.weight", "."), ("embedding.weight", "0_StaticEmbedding")]


@pytest.mark.parametrize(("name", "folder"), NAMES)
@pytest.mark.parametrize("dtype", ["F32", "F16"])
def test_mean_of_tokens(name: str, folder: str, dtype: str, tmp_path: Path) -> None:
    directory = make_static(tmp_path, name=name, folder=folder, dtype=dtype)
    table = values(directory / folder)[name]
    texts = encode(directory / folder, TEXTS, special=False)
    engine = engine_for(directory, Task.EMBED)
    wanted = [normalize(table[text.ids].mean(0)) for text in texts]
    np.testing.assert_allclose(rows_of(engine, feed(engine, texts, pad_id=0)), wanted, atol=1e-6)


def test_an_empty_text_is_zeros(tmp_path: Path) -> None:
    engine = engine_for(make_static(tmp_path), Task.EMBED)
    nothing = {"input_ids": np.zeros((2, 0), np.int64), "attention_mask": np.zeros((2, 0), np.int64)}
    np.testing.assert_array_equal(rows_of(engine, nothing), np.zeros((2, 8)))


def test_shared_and_weighted_vectors(tmp_path: Path) -> None:
    count = len(WORDS) + 2
    mapping = np.arange(count) % 10
    weights = np.linspace(0.5, 2.0, count).astype(np.float32)
    directory = make_static(tmp_path, normalize=False, extra={"mapping": ("I64", mapping), "weights": ("F32", weights)})
    table = values(directory)["embeddings"]
    texts = encode(directory, TEXTS, special=False)
    engine = engine_for(directory, Task.EMBED)
    wanted = [(table[mapping[text.ids]] * weights[text.ids, None]).mean(0) for text in texts]
    np.testing.assert_allclose(rows_of(engine, feed(engine, texts, pad_id=0)), wanted, atol=1e-6)


def test_weights_without_a_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="no table of vectors"):
        engine_for(make_static(tmp_path, name="vectors"), Task.EMBED)
