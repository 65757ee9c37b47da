"""Model directories as the Hub has them, and as it should not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardtack.errors import HardtackError, Mismatch, UnsupportedModel
from hardtack.runtime.layout import Dense
from hardtack.runtime.read_layout import read_layout
from hardtack.spec.words import Pooling, Similarity, Task
from tests.models import make_bert, make_mpnet, make_roberta, make_static, make_t5, write_safetensors
from tests.runtime.running import TEXTS, encode, engine_for, feed, rows_of


def change(file: Path, **values: Any) -> None:
    """Change keys of a JSON file, made where it is not there; None removes one."""
    old = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({key: value for key, value in (old | values).items() if value is not None}))


def test_an_embedder(tmp_path: Path) -> None:
    layout = read_layout(make_bert(tmp_path), Task.EMBED)
    assert (layout.family, layout.weights, layout.pooling) == ("bert", ("model.safetensors",), Pooling.MEAN)
    assert layout.normalize
    assert layout.tokenizing.file == "tokenizer.json"
    assert (layout.tokenizing.pad_id, layout.tokenizing.special, layout.tokenizing.pad_left) == (0, True, False)
    assert (layout.labels, layout.prompts, layout.similarity) == ((), {}, Similarity.COSINE)


def test_an_embedder_without_modules_is_pooled_by_the_mean(tmp_path: Path) -> None:
    (make_bert(tmp_path) / "modules.json").unlink()
    layout = read_layout(tmp_path, Task.EMBED)
    assert (layout.pooling, layout.normalize, layout.dense) == (Pooling.MEAN, False, ())


@pytest.mark.parametrize(
    ("sentence", "tokenizer", "table", "limit"),
    [
        ({"max_seq_length": 20}, {"model_max_length": 30}, 40, 20),
        ({"max_seq_length": 35}, {"model_max_length": 30}, 40, 35),
        ({}, {"model_max_length": 30}, 40, 30),
        ({}, {"model_max_length": 10**30}, 40, 40),
        ({}, {"model_max_length": 1e30}, 40, 40),
        ({}, {"model_max_length": None}, 40, 40),
        ({"max_seq_length": 80}, {}, 40, 40),
    ],
)
def test_lengths(sentence: dict[str, Any], tokenizer: dict[str, Any], table: int, limit: int, tmp_path: Path) -> None:
    make_bert(tmp_path, max_position_embeddings=table)
    change(tmp_path / "sentence_bert_config.json", **sentence)
    change(tmp_path / "tokenizer_config.json", **tokenizer)
    assert read_layout(tmp_path, Task.EMBED).tokenizing.max_length == limit


@pytest.mark.parametrize("make", [make_roberta, make_mpnet])
def test_positions_that_no_token_uses(make: Any, tmp_path: Path) -> None:
    assert read_layout(make(tmp_path, max_position_embeddings=40), Task.EMBED).tokenizing.max_length == 38


def test_the_longest_text_fits_the_table_of_positions(tmp_path: Path) -> None:
    layout = read_layout(make_roberta(tmp_path, max_position_embeddings=40), Task.EMBED)
    engine = engine_for(tmp_path, Task.EMBED)
    longest = np.full((1, layout.tokenizing.max_length or 0), 7, np.int64)
    assert np.isfinite(rows_of(engine, {"input_ids": longest, "attention_mask": np.ones_like(longest)})).all()


def test_t5_without_a_limit(tmp_path: Path) -> None:
    change(make_t5(tmp_path) / "tokenizer_config.json", model_max_length=10**30)
    assert read_layout(tmp_path, Task.CLASSIFY).tokenizing.max_length is None


@pytest.mark.parametrize("mode", list(Pooling))
def test_old_and_new_ways_to_write_a_pooling(mode: Pooling, tmp_path: Path) -> None:
    make_bert(tmp_path, pooling=mode)
    assert read_layout(tmp_path, Task.EMBED).pooling is mode
    suffix = {"cls": "_token", "lasttoken": "", "mean_sqrt_len_tokens": ""}.get(mode, "_tokens")
    old: dict[str, Any] = {f"pooling_mode_{name}": False for name in ("cls_token", "mean_tokens", "max_tokens")}
    old |= {"word_embedding_dimension": 16, f"pooling_mode_{mode}{suffix}": True}
    (tmp_path / "1_Pooling/config.json").write_text(json.dumps(old))
    assert read_layout(tmp_path, Task.EMBED).pooling is mode


@pytest.mark.parametrize(
    "kinds",
    [
        ("models.Transformer", "models.Pooling", "models.Normalize"),
        (
            "base.modules.transformer.Transformer",
            "sentence_transformer.modules.pooling.Pooling",
            "base.modules.normalize.Normalize",
        ),
    ],
)
def test_old_and_new_names_of_classes(kinds: tuple[str, ...], tmp_path: Path) -> None:
    make_bert(tmp_path)
    modules = json.loads((tmp_path / "modules.json").read_text())
    for module, kind in zip(modules, kinds, strict=True):
        module["type"] = f"sentence_transformers.{kind}"
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    layout = read_layout(tmp_path, Task.EMBED)
    assert (layout.pooling, layout.normalize) == (Pooling.MEAN, True)


def test_dense_modules(tmp_path: Path) -> None:
    layout = read_layout(make_bert(tmp_path, dense=(12, 6), normalize=False), Task.EMBED)
    assert layout.dense == (
        Dense("2_Dense/model.safetensors", 16, 12, bias=True, activation="tanh"),
        Dense("3_Dense/model.safetensors", 12, 6, bias=True, activation="tanh"),
    )
    assert not layout.normalize


def test_a_transformer_in_a_folder_of_its_own(tmp_path: Path) -> None:
    make_bert(tmp_path)
    (tmp_path / "0_Transformer").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).rename(tmp_path / "0_Transformer" / name)
    change(tmp_path / "0_Transformer/sentence_bert_config.json", max_seq_length=17, do_lower_case=True)
    modules = json.loads((tmp_path / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    layout = read_layout(tmp_path, Task.EMBED)
    assert layout.weights == ("0_Transformer/model.safetensors",)
    assert layout.tokenizing.file == "0_Transformer/tokenizer.json"
    assert (layout.tokenizing.max_length, layout.tokenizing.lowercase) == (17, True)
    assert engine_for(tmp_path, Task.EMBED).info.width == 16


def test_prompts_and_similarity(tmp_path: Path) -> None:
    prompts = {"query": "query : ", "document": "", "other": None}
    values = {"prompts": prompts, "default_prompt_name": "query", "similarity_fn_name": "dot"}
    (make_bert(tmp_path) / "config_sentence_transformers.json").write_text(json.dumps(values))
    layout = read_layout(tmp_path, Task.EMBED)
    assert layout.prompts == {"query": "query : ", "document": ""}
    assert (layout.default_prompt, layout.similarity) == ("query", Similarity.DOT)


def test_a_reranker(tmp_path: Path) -> None:
    layout = read_layout(make_roberta(tmp_path, Task.RERANK, labels=("relevant",)), Task.RERANK)
    assert (layout.family, layout.labels, layout.pooling, layout.activation) == ("roberta", ("relevant",), None, None)
    assert layout.tokenizing.pad_id == 1


SIGMOID, IDENTITY = "torch.nn.modules.activation.Sigmoid", "torch.nn.modules.linear.Identity"


@pytest.mark.parametrize(
    ("sentence", "config", "expected"),
    [
        ({"activation_fn": SIGMOID}, {"sentence_transformers": {"activation_fn": IDENTITY}}, "sigmoid"),
        ({}, {"sentence_transformers": {"activation_fn": IDENTITY, "version": "4.0"}}, "identity"),
        ({}, {"sbert_ce_default_activation_function": IDENTITY}, "identity"),
    ],
)
def test_what_a_reranker_does_to_its_logits(
    sentence: Mapping[str, Any], config: Mapping[str, Any], expected: str, tmp_path: Path
) -> None:
    make_bert(tmp_path, Task.RERANK)
    change(tmp_path / "config_sentence_transformers.json", **sentence)
    change(tmp_path / "config.json", **config)
    assert read_layout(tmp_path, Task.RERANK).activation == expected


def test_labels_are_ordered_by_their_number(tmp_path: Path) -> None:
    names = {str(n): f"label {n}" for n in reversed(range(12))}
    make_bert(tmp_path, Task.CLASSIFY, labels=tuple(f"label {n}" for n in range(12)))
    change(tmp_path / "config.json", id2label=names)
    assert read_layout(tmp_path, Task.CLASSIFY).labels == tuple(f"label {n}" for n in range(12))


@pytest.mark.parametrize("normalize", [True, False])
def test_a_static_model(normalize: bool, tmp_path: Path) -> None:
    layout = read_layout(make_static(tmp_path, normalize=normalize), Task.EMBED)
    assert (layout.family, layout.pooling, layout.normalize) == ("static", None, normalize)
    assert (layout.tokenizing.special, layout.tokenizing.max_length) == (False, None)


def test_a_static_model_cuts_where_its_tokenizer_cuts(tmp_path: Path) -> None:
    truncation = {"max_length": 9, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    change(make_static(tmp_path) / "tokenizer.json", truncation=truncation)
    assert read_layout(tmp_path, Task.EMBED).tokenizing.max_length == 9


def test_a_model2vec_directory_without_modules(tmp_path: Path) -> None:
    (make_static(tmp_path, normalize=True) / "modules.json").unlink()
    layout = read_layout(tmp_path, Task.EMBED)
    assert (layout.family, layout.normalize, layout.tokenizing.special) == ("static", True, False)


def test_shards(tmp_path: Path) -> None:
    from hardtack.runtime.weights import open_tensors

    whole = make_bert(tmp_path / "whole")
    shutil.copytree(whole, parts := tmp_path / "parts")
    (parts / "model.safetensors").unlink()
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    tensors = dict(open_tensors(whole / "model.safetensors"))
    weight_map = {name: names[n % 2] for n, name in enumerate(tensors)}
    for shard in names:
        held = {name: ("F32", tensor.array) for name, tensor in tensors.items() if weight_map[name] == shard}
        write_safetensors(parts / shard, held)
    change(parts / "model.safetensors.index.json", metadata={}, weight_map=weight_map)
    assert read_layout(parts, Task.EMBED).weights == tuple(names)
    engines = [engine_for(directory, Task.EMBED) for directory in (whole, parts)]
    batch = feed(engines[0], encode(whole, TEXTS), pad_id=0)
    np.testing.assert_array_equal(rows_of(engines[0], batch), rows_of(engines[1], batch))
    (parts / names[1]).unlink()
    with pytest.raises(UnsupportedModel) as caught:
        read_layout(parts, Task.EMBED)
    assert caught.value.found == names[1]


@dataclass(frozen=True)
class Asked:
    """Overrides as a lock carries them."""

    max_length: int | None = None
    prompts: Mapping[str, str] | None = None
    pooling: Pooling | None = None
    normalize: bool | None = None
    similarity: Similarity | None = None


def test_overrides(tmp_path: Path) -> None:
    make_bert(tmp_path)
    asked = Asked(12, {"query": "query : "}, Pooling.CLS, False, Similarity.DOT)
    layout = read_layout(tmp_path, Task.EMBED, overrides=asked)
    assert (layout.tokenizing.max_length, layout.pooling, layout.normalize) == (12, Pooling.CLS, False)
    assert (layout.prompts, layout.similarity) == ({"query": "query : "}, Similarity.DOT)
    assert read_layout(tmp_path, Task.EMBED, overrides=Asked()) == read_layout(tmp_path, Task.EMBED)


@pytest.mark.parametrize("asked", [Asked(max_length=41), Asked(max_length=0)])
def test_a_length_the_model_has_no_positions_for(asked: Asked, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="texts of that length"):
        read_layout(make_bert(tmp_path, max_position_embeddings=40), Task.EMBED, overrides=asked)


def test_a_pooling_for_what_has_none(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="no pooling"):
        read_layout(make_static(tmp_path), Task.EMBED, overrides=Asked(pooling=Pooling.CLS))


def bad_modules(directory: Path, **values: Any) -> None:
    modules = json.loads((directory / "modules.json").read_text())
    modules[1] |= values
    (directory / "modules.json").write_text(json.dumps(modules))


BAD: dict[str, tuple[Any, str]] = {
    "no config": (lambda d: (d / "config.json").unlink(), "config.json"),
    "an unknown architecture": (lambda d: change(d / "config.json", model_type="mamba"), "config.json: model_type"),
    "no tokenizer": (lambda d: (d / "tokenizer.json").unlink(), "tokenizer.json"),
    "no weights": (lambda d: (d / "model.safetensors").unlink(), "model.safetensors"),
    "no folder of a module": (lambda d: shutil.rmtree(d / "1_Pooling"), "1_Pooling/config.json"),
    "an unknown module": (lambda d: bad_modules(d, type="sentence_transformers.models.LSTM"), "modules.json: [1].type"),
    "a module with code": (lambda d: bad_modules(d, type="custom.Pooling"), "modules.json: [1].type"),
    "a module elsewhere": (lambda d: bad_modules(d, path="../other"), "modules.json: [1].path"),
    "an unknown pooling": (lambda d: change(d / "1_Pooling/config.json", pooling_mode="median"), "pooling_mode"),
    "two poolings": (lambda d: change(d / "1_Pooling/config.json", pooling_mode=["cls", "mean"]), "pooling_mode"),
    "a prompt in words": (lambda d: change(d / "1_Pooling/config.json", include_prompt="no"), "include_prompt"),
    "a residual": (lambda d: change(d / "2_Dense/config.json", use_residual=True), "2_Dense/config.json: use_residual"),
    "a Dense of no size": (lambda d: change(d / "2_Dense/config.json", in_features=None), "in_features"),
    "a Dense with code": (
        lambda d: change(d / "2_Dense/config.json", activation_function="my.Act"),
        "activation_function",
    ),
    "a Dense without weights": (lambda d: (d / "2_Dense/model.safetensors").unlink(), "2_Dense/model.safetensors"),
    "a length in words": (lambda d: change(d / "sentence_bert_config.json", max_seq_length="long"), "max_seq_length"),
    "an unknown similarity": (
        lambda d: change(d / "config_sentence_transformers.json", similarity_fn_name="hamming"),
        "similarity_fn_name",
    ),
    "a default prompt that is none": (
        lambda d: change(d / "config_sentence_transformers.json", default_prompt_name="query"),
        "default_prompt_name",
    ),
    "another kind of model": (
        lambda d: change(d / "config_sentence_transformers.json", model_type="SparseEncoder"),
        "config_sentence_transformers.json: model_type",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_understood_is_named_by_file_and_key(name: str, tmp_path: Path) -> None:
    spoil, where = BAD[name]
    read_layout(make_bert(tmp_path, dense=(12,)), Task.EMBED)
    spoil(tmp_path)
    with pytest.raises(UnsupportedModel) as caught:
        read_layout(tmp_path, Task.EMBED)
    assert where in caught.value.where
    assert caught.value.expected
    assert caught.value.found


@pytest.mark.parametrize("name", ["config.json", "modules.json", "1_Pooling/config.json", "tokenizer_config.json"])
def test_not_json(name: str, tmp_path: Path) -> None:
    (make_bert(tmp_path) / name).write_text("{")
    with pytest.raises(Mismatch, match="not JSON"):
        read_layout(tmp_path, Task.EMBED)


@pytest.mark.parametrize("task", [Task.RERANK, Task.CLASSIFY])
def test_an_embedder_is_no_classifier(task: Task, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel):
        read_layout(make_bert(tmp_path), task)


@pytest.mark.parametrize(
    ("make", "task"), [(make_t5, Task.RERANK), (make_static, Task.RERANK), (make_static, Task.CLASSIFY)]
)
def test_tasks_a_family_is_not_for(make: Any, task: Task, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel):
        read_layout(make(tmp_path), task)


def test_a_classifier_without_its_head(tmp_path: Path) -> None:
    (make_bert(tmp_path) / "modules.json").unlink()
    with pytest.raises(HardtackError) as caught:
        engine_for(tmp_path, Task.RERANK)
    assert "classifier.weight" in caught.value.expected
