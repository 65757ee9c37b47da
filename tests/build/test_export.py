"""Architectures that no family draws, exported by torch in a process of its own, and run without torch after that."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardtack.build.choose import choose
from hardtack.build.export import EXPORT, PARITY, export_recipe, exported, is_drawn
from hardtack.build.recipe import Recipe, parse_recipe
from hardtack.build.texts import CALIBRATION, GATE, read_texts
from hardtack.build.workshop import Workshop
from hardtack.errors import Misused, Unable
from hardtack.offline.apart import run_apart
from hardtack.runtime import choosing
from hardtack.runtime.load import Options, load_model
from hardtack.spec.lock import LockedModel
from hardtack.spec.manifest import WantedModel
from hardtack.spec.words import EngineName, Precision, Task
from hardtack.supply.local import resolve_local
from tests.build.sham import Ran
from tests.models import make_bert, make_t5
from tests.references import vectors
from tests.runtime.running import PAIRS, TEXTS

ODD: dict[str, Any] = {"model_type": "electra", "embedding_size": 16}
"""BERT's weights by another name, which transformers knows and no family draws."""


def locked_at(folder: Path, task: Task = Task.EMBED, **wanted: Any) -> LockedModel:
    return resolve_local(WantedModel("m", task, repo="./model", **wanted), folder)


def shop(folder: Path) -> Workshop:
    return Workshop(folder / "builds", partial(run_apart, tell=lambda _: None))


def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "find_spec", lambda _: None)


def test_what_is_drawn_is_not_exported(tmp_path: Path) -> None:
    make_bert(tmp_path / "model")
    assert is_drawn(locked_at(tmp_path), tmp_path / "model")
    make_bert(tmp_path / "odd/model", **ODD)
    assert not is_drawn(locked_at(tmp_path / "odd"), tmp_path / "odd/model")


def test_a_recipe_of_torchs_reads_back() -> None:
    recipe = Recipe(EXPORT, 1, "2026.4.1", "", torch="2.13.0/5.23.0")
    assert parse_recipe(str(recipe), "m") == recipe
    assert str(recipe) == "export/1 openvino=2026.4.1 torch=2.13.0/5.23.0"


def test_without_torch_it_says_how_it_is_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(Misused) as problem:
        export_recipe()
    assert "hardtack[torch]" in problem.value.mend


def test_what_cannot_be_exported_stays_with_torch_aloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The process that fails is a sham: what it prints last is the reason."""
    make_bert(tmp_path / "model", **ODD)
    recipe = Recipe(EXPORT, 1, "2026.4.1", "", torch="2.13.0/5.23.0")
    monkeypatch.setattr("hardtack.build.export.export_recipe", lambda: recipe)
    failing = Workshop(tmp_path / "builds", lambda *_: Ran(1, "noise\nit cannot be traced"))
    calibration, gate = read_texts(CALIBRATION), read_texts(GATE)
    chosen = choose(locked_at(tmp_path), tmp_path / "model", calibration, gate, failing)
    assert chosen.model.builds == ()
    assert chosen.why == "the torch engine runs it: it cannot be traced"
    asked_for = locked_at(tmp_path, engine=EngineName.OPENVINO)
    with pytest.raises(Unable, match="it cannot be traced"):
        choose(asked_for, tmp_path / "model", calibration, gate, failing)
    assert not list((tmp_path / "builds").glob("[!.]*"))


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_an_embedder_runs_without_torch_as_it_did_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    directory = make_bert(tmp_path / "model", dense=(12,), architectures=["ElectraModel"], **ODD)
    chosen = choose(locked_at(tmp_path), directory, read_texts(CALIBRATION), read_texts(GATE), shop(tmp_path))
    (build,) = chosen.model.builds
    assert (build.precision, parse_recipe(build.recipe, "m").way) == (Precision.FP32, EXPORT)
    figures = {figure.name: figure for figure in chosen.tried[0].figures}
    assert figures["cosine-min"].limit == PARITY[Task.EMBED]["cosine-min"]
    assert all(figure.good for figure in figures.values())

    no_torch(monkeypatch)
    model: Any = load_model(
        directory, Task.EMBED, locked=chosen.model, source="local", builds=tmp_path / "builds", options=Options()
    )
    assert (model.engine.name, model.engine.precision, model.info["dim"]) == ("openvino", "fp32", 12)
    texts = [*TEXTS, "", "light " * 30]
    np.testing.assert_allclose(model.encode(texts), vectors(directory, texts), atol=2e-5)
    np.testing.assert_allclose(model.encode(texts[0]), model.encode(texts)[0], atol=2e-6)
    # the lock's build is kept, and made again it is the same to the byte
    again, _ = exported(chosen.model, directory, read_texts(GATE), tmp_path / "builds", shop(tmp_path).run)
    assert again == build
    elsewhere, _ = exported(
        replace(chosen.model, builds=()), directory, read_texts(GATE), tmp_path / "elsewhere", shop(tmp_path).run
    )
    assert elsewhere == build


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("task", [Task.RERANK, Task.CLASSIFY])
def test_heads(task: Task, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """DistilBERT's cousin with a head, made by transformers itself."""
    script = (
        "import sys, torch; from transformers import AlbertConfig, AlbertForSequenceClassification as Model\n"
        "torch.manual_seed(0)\n"
        "labels = {0: 'low', 1: 'high'} if sys.argv[2] == 'classify' else {0: 'LABEL_0'}\n"
        "config = AlbertConfig(vocab_size=64, embedding_size=16, hidden_size=16, num_hidden_layers=2, pad_token_id=0,\n"
        "    num_attention_heads=4, intermediate_size=32, max_position_embeddings=40, id2label=labels,\n"
        "    label2id={name: number for number, name in labels.items()}, initializer_range=0.4)\n"
        "Model(config).save_pretrained(sys.argv[1])\n"
    )
    directory = make_bert(tmp_path / "model", task)
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, str(directory), task.value], check=True,
                   env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True)  # fmt: skip
    locked = locked_at(tmp_path, task)
    torchs = load_model(directory, task, locked=locked, source="local", options=Options(precision=Precision.FP32))
    assert torchs.engine.name == "torch"
    chosen = choose(locked, directory, read_texts(CALIBRATION), read_texts(GATE), shop(tmp_path))
    assert len(chosen.model.builds) == 1, chosen.why
    no_torch(monkeypatch)
    ours: Any = load_model(directory, task, locked=chosen.model, source="local", builds=tmp_path / "builds")
    assert ours.engine.name == "openvino"
    theirs: Any = torchs
    if task is Task.RERANK:
        np.testing.assert_allclose(ours.predict(PAIRS), theirs.predict(PAIRS), atol=1e-5)
    else:
        assert ours.classify(list(TEXTS)) == theirs.classify(list(TEXTS))


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_what_is_not_traced_stays_with_torch(tmp_path: Path) -> None:
    directory = make_t5(tmp_path / "model", model_type="mt5", architectures=["MT5ForConditionalGeneration"])
    chosen = choose(
        locked_at(tmp_path, Task.CLASSIFY), directory, read_texts(CALIBRATION), read_texts(GATE), shop(tmp_path)
    )
    assert chosen.model.builds == ()
    assert "is not traced" in chosen.why
