"""BERT, RoBERTa and MPNet against the same forward in plain numpy."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardtack.errors import UnsupportedModel
from hardtack.runtime.families import FAMILIES, draw
from hardtack.runtime.read_layout import read_layout
from hardtack.runtime.weights import open_weights
from hardtack.spec.words import Pooling, Task
from tests.models import make_bert, make_distilbert, make_mpnet, make_roberta
from tests.runtime import forward
from tests.runtime.running import PAIRS, TEXTS, encode, engine_for, feed, rows_of, values

MAKERS: dict[str, Callable[..., Path]] = {"bert": make_bert, "roberta": make_roberta, "mpnet": make_mpnet}
PAD = {"bert": 0, "roberta": 1, "mpnet": 1}


def tokens_by_numpy(kind: str, directory: Path, encoding: Any) -> Any:
    config = json.loads((directory / "config.json").read_text())
    weights = values(directory, f"{kind}.")
    if kind == "bert":
        return forward.bert(weights, config, encoding.ids, encoding.type_ids)
    return (forward.roberta if kind == "roberta" else forward.mpnet)(weights, config, encoding.ids)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("act", ["gelu", "gelu_new", "relu", "silu"])
def test_embedder(kind: str, act: str, tmp_path: Path) -> None:
    directory = MAKERS[kind](tmp_path, hidden_act=act)
    encodings = encode(directory, TEXTS)
    wanted = [forward.normalize(tokens_by_numpy(kind, directory, encoding).mean(0)) for encoding in encodings]
    engine = engine_for(directory, Task.EMBED)
    np.testing.assert_allclose(rows_of(engine, feed(engine, encodings, pad_id=PAD[kind])), wanted, atol=2e-6)
    assert engine.info.width == 16


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("labels", [("LABEL_0",), ("high", "medium", "low")])
def test_classification_of_pairs(kind: str, labels: tuple[str, ...], tmp_path: Path) -> None:
    directory = MAKERS[kind](tmp_path, Task.RERANK, labels=labels)
    head = forward.bert_head if kind == "bert" else forward.roberta_head
    weights = values(directory, f"{kind}.")
    encodings = encode(directory, PAIRS)
    wanted = [head(weights, tokens_by_numpy(kind, directory, encoding)) for encoding in encodings]
    engine = engine_for(directory, Task.RERANK)
    np.testing.assert_allclose(rows_of(engine, feed(engine, encodings, pad_id=PAD[kind])), wanted, atol=1e-5)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("dense", [(), (12,)])
def test_pooling_by_the_first_token(kind: str, dense: tuple[int, ...], tmp_path: Path) -> None:
    directory = MAKERS[kind](tmp_path, pooling=Pooling.CLS, normalize=False, dense=dense)
    encodings = encode(directory, TEXTS)
    wanted = np.stack([tokens_by_numpy(kind, directory, encoding)[0] for encoding in encodings])
    if dense:
        head = values(directory / "2_Dense", "linear.")
        wanted = np.tanh(wanted @ head["weight"].T + head["bias"])
    engine = engine_for(directory, Task.EMBED)
    np.testing.assert_allclose(rows_of(engine, feed(engine, encodings, pad_id=PAD[kind], extra=3)), wanted, atol=5e-6)


@pytest.mark.parametrize("make", [make_bert, make_distilbert, make_mpnet, make_roberta])
@pytest.mark.parametrize(
    ("task", "changes", "first_alone"),
    [
        (Task.RERANK, {}, True),
        (Task.CLASSIFY, {}, True),
        (Task.EMBED, {"pooling": Pooling.CLS}, True),
        (Task.EMBED, {"pooling": Pooling.CLS, "whole": True}, False),
        (Task.EMBED, {"pooling": Pooling.CLS, "include_prompt": False}, False),
        (Task.EMBED, {"pooling": Pooling.MEAN}, False),
    ],
)
def test_a_last_layer_computes_what_is_read_of_it(
    make: Callable[..., Path], task: Task, changes: dict[str, Any], first_alone: bool, tmp_path: Path
) -> None:
    layout = replace(read_layout(make(tmp_path, task), task), **changes)
    graph = draw(layout, open_weights(layout))
    wide = [node for node in graph.get_ordered_ops() if node.get_type_name() == "Gelu"]  # one a layer
    at_most = [node.output(0).get_partial_shape()[1].get_max_length() for node in wide]
    assert [length == 1 for length in at_most] == [False, first_alone]


@pytest.mark.parametrize("kind", MAKERS)
def test_padding_and_company_change_nothing(kind: str, tmp_path: Path) -> None:
    directory = MAKERS[kind](tmp_path)
    engine = engine_for(directory, Task.EMBED)
    encodings = encode(directory, TEXTS)
    together = rows_of(engine, feed(engine, encodings, pad_id=PAD[kind], extra=7))
    alone = rows_of(engine, *(feed(engine, [encoding], pad_id=PAD[kind]) for encoding in encodings))
    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("prefix", ["", "bert.", "0.auto_model."])
def test_any_prefix_of_names(prefix: str, tmp_path: Path) -> None:
    plain = engine_for(make_bert(tmp_path / "plain", prefix=""), Task.EMBED)
    other = engine_for(make_bert(tmp_path / "other", prefix=prefix), Task.EMBED)
    encodings = encode(tmp_path / "plain", TEXTS)
    batch = feed(plain, encodings, pad_id=0)
    np.testing.assert_array_equal(rows_of(plain, batch), rows_of(other, batch))


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_stored_in_half(dtype: str, tmp_path: Path) -> None:
    directory = make_bert(tmp_path, dtype=dtype, dense=(12,))
    encodings = encode(directory, TEXTS)
    dense = values(directory / "2_Dense", "linear.")
    pooled = np.stack([tokens_by_numpy("bert", directory, encoding).mean(0) for encoding in encodings])
    wanted = [forward.normalize(row) for row in np.tanh(pooled @ dense["weight"].T + dense["bias"])]
    engine = engine_for(directory, Task.EMBED)
    np.testing.assert_allclose(rows_of(engine, feed(engine, encodings, pad_id=0)), wanted, atol=2e-6)
    assert engine.info.width == 12


POOLINGS: dict[Pooling, Callable[[Any], Any]] = {
    Pooling.CLS: lambda x: x[0],
    Pooling.LASTTOKEN: lambda x: x[-1],
    Pooling.MAX: lambda x: x.max(0),
    Pooling.MEAN: lambda x: x.mean(0),
    Pooling.MEAN_SQRT_LEN: lambda x: x.sum(0) / np.sqrt(len(x)),
    Pooling.WEIGHTED_MEAN: lambda x: np.average(x, axis=0, weights=np.arange(1, len(x) + 1)),
}


@pytest.mark.parametrize("pooling", list(Pooling))
@pytest.mark.parametrize("left", [False, True])
def test_poolings(pooling: Pooling, left: bool, tmp_path: Path) -> None:
    # RoBERTa's positions do not count padding, so that its token vectors are the same on either side of it.
    directory = make_roberta(tmp_path, pooling=pooling, normalize=False)
    if left:
        file = directory / "tokenizer_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"padding_side": "left"}))
    encodings = encode(directory, TEXTS)
    wanted = [POOLINGS[pooling](tokens_by_numpy("roberta", directory, encoding)) for encoding in encodings]
    engine = engine_for(directory, Task.EMBED)
    rows = rows_of(engine, feed(engine, encodings, pad_id=1, extra=3, left=left))
    np.testing.assert_allclose(rows, wanted, atol=1e-5)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_text_of_no_tokens_is_no_nan(kind: str, tmp_path: Path) -> None:
    engine = engine_for(MAKERS[kind](tmp_path), Task.EMBED)
    nothing = {name: np.full((1, 4), PAD[kind] if name == "input_ids" else 0, np.int64) for name in engine.info.inputs}
    assert np.isfinite(rows_of(engine, nothing)).all()


def test_one_kind_of_tokens_needs_no_input_for_it(tmp_path: Path) -> None:
    engine = engine_for(make_bert(tmp_path, type_vocab_size=1), Task.EMBED)
    assert engine.info.inputs == ("input_ids", "attention_mask")


def test_tensorflow_names_of_norms(tmp_path: Path) -> None:
    directory = make_bert(tmp_path)
    file = directory / "model.safetensors"
    # As long as the JSON stays as long: "weight" → "gamma " would not be the same name, so the header is padded.
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = (
        data[8 : 8 + length]
        .replace(b"LayerNorm.weight", b"LayerNorm.gamma")
        .replace(b"LayerNorm.bias", b"LayerNorm.beta")
    )
    encodings = encode(directory, TEXTS)
    wanted = rows_of(first := engine_for(directory, Task.EMBED), feed(first, encodings, pad_id=0))
    (tmp_path / "renamed").mkdir()
    renamed = make_bert(tmp_path / "renamed")
    (renamed / "model.safetensors").write_bytes(data[:8] + header.ljust(length) + data[8 + length :])
    engine = engine_for(renamed, Task.EMBED)
    np.testing.assert_array_equal(rows_of(engine, feed(engine, encodings, pad_id=0)), wanted)


@pytest.mark.parametrize(
    ("change", "expected", "found"),
    [
        ({"hidden_size": 20}, "embeddings.word_embeddings.weight [", "embeddings.word_embeddings.weight ["),
        ({"num_hidden_layers": 3}, "encoder.layer.2.attention.self.query.weight [16, 16]", "no tensor of that name"),
        ({"intermediate_size": 33}, "encoder.layer.0.intermediate.dense.weight [33, 16]", "[32, 16]"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(change: dict[str, int], expected: str, found: str, tmp_path: Path) -> None:
    file = make_bert(tmp_path) / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UnsupportedModel) as caught:
        engine_for(tmp_path, Task.EMBED)
    assert expected in caught.value.expected
    assert found in caught.value.found
    assert "model.safetensors" in caught.value.where


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("position_embedding_type", "relative_key"),
        ("hidden_act", "swoosh"),
        ("is_decoder", True),
        ("hidden_size", None),
    ],
)
def test_what_is_not_drawn_is_said_by_its_key(key: str, value: object, tmp_path: Path) -> None:
    file = make_bert(tmp_path) / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(UnsupportedModel) as caught:
        engine_for(tmp_path, Task.EMBED)
    assert key in caught.value.where


def test_every_family_in_the_table_draws() -> None:
    from importlib import import_module

    for name in set(FAMILIES.values()):
        assert callable(import_module(f"hardtack.runtime.families.{name}").draw)
