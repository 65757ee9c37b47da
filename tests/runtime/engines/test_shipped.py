"""Graphs that a repository ships, read without torch and without OpenVINO's converter."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hardtack.errors import Mismatch, NotDrawn, UnsupportedModel
from hardtack.runtime.load import Options, load_model
from hardtack.spec.words import Pooling, Precision, Task, WeightsKind
from tests.graphs import ship_ir, write_onnx
from tests.models import make_bert, make_roberta, make_t5
from tests.runtime.fakes import lock_of
from tests.runtime.running import PAIRS, TEXTS, cosines


def load(directory: Path, task: Task = Task.EMBED, precision: Precision = Precision.FP32, **named: Any) -> Any:
    named = {"locked": None, "source": "path", **named}
    return load_model(directory, task, options=Options(precision=precision), **named)


@pytest.fixture
def table() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(60, 16)).astype(np.float32)


@pytest.mark.parametrize("folder", ["openvino", "."])
def test_an_embedders_ir_is_the_drawn_graph(folder: str, tmp_path: Path) -> None:
    drawn = load(make_bert(tmp_path / "drawn", dense=(12,))).encode(list(TEXTS))
    ship_ir(make_bert(tmp_path / "ir", dense=(12,)), Task.EMBED, folder=folder)
    model = load(tmp_path / "ir")
    np.testing.assert_allclose(model.encode(list(TEXTS)), drawn, atol=1e-6)
    assert model.layout.stored is WeightsKind.OPENVINO
    assert "the repository's own openvino graph" in model.engine.why


def test_an_ir_of_an_architecture_that_no_family_draws(tmp_path: Path) -> None:
    drawn = load(make_roberta(tmp_path)).encode(list(TEXTS))
    ship_ir(tmp_path, Task.EMBED)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "unheard-of"}))
    np.testing.assert_allclose(load(tmp_path).encode(list(TEXTS)), drawn, atol=1e-6)


def test_a_rerankers_ir(tmp_path: Path) -> None:
    drawn = load(make_bert(tmp_path, Task.RERANK), Task.RERANK).predict(PAIRS)
    ship_ir(tmp_path, Task.RERANK)
    model = load(tmp_path, Task.RERANK, Precision.AUTO)
    np.testing.assert_allclose(model.predict(PAIRS), drawn, atol=1e-6)
    assert model.engine.precision == "fp32"


@pytest.mark.parametrize("data", ["", "model.onnx_data"])
@pytest.mark.parametrize("folder", ["onnx", "."])
def test_onnx(folder: str, data: str, table: NDArray[np.float32], tmp_path: Path) -> None:
    make_bert(tmp_path, pooling=Pooling.MEAN, normalize=False)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / folder).mkdir(exist_ok=True)
    write_onnx(tmp_path / folder / "model.onnx", table, data=data)
    model = load(tmp_path)
    ids = [tokenized.ids for tokenized in model._tokens.texts(list(TEXTS))]
    np.testing.assert_allclose(model.encode(list(TEXTS)), [table[row].mean(0) for row in ids], atol=1e-6)
    assert model.layout.weights == tuple(f"{folder}/{n}".removeprefix("./") for n in ("model.onnx", data) if n)
    assert "model.onnx" in model.engine.why or "onnx graph" in model.engine.why


def test_onnx_reads_nothing_outside_its_folder(table: NDArray[np.float32], tmp_path: Path) -> None:
    (make_bert(tmp_path / "model") / "model.safetensors").unlink()
    (tmp_path / "model/onnx").mkdir()
    write_onnx(tmp_path / "model/onnx/model.onnx", table, data="../../secret")
    (tmp_path / "model/onnx/secret").rename(tmp_path / "secret")
    with pytest.raises(UnsupportedModel):
        load(tmp_path / "model")


@pytest.mark.parametrize("normalize", [True, False])
def test_pooled_by_the_graph(normalize: bool, tmp_path: Path) -> None:
    drawn = load(make_bert(tmp_path, dense=(12,), normalize=normalize)).encode(list(TEXTS))
    ship_ir(tmp_path, Task.EMBED, output="sentence_embedding")
    np.testing.assert_allclose(load(tmp_path).encode(list(TEXTS)), drawn, atol=1e-6)


def test_what_is_locked_is_read(tmp_path: Path) -> None:
    make_bert(tmp_path)
    kept = (tmp_path / "model.safetensors").read_bytes()
    ship_ir(tmp_path, Task.EMBED)
    (tmp_path / "model.safetensors").write_bytes(kept)
    for kind in (WeightsKind.SAFETENSORS, WeightsKind.OPENVINO):
        locked = replace(lock_of(tmp_path), weights=kind)
        assert load(tmp_path, locked=locked, source="store").layout.stored is kind
    with pytest.raises(UnsupportedModel) as caught:
        load(tmp_path, locked=replace(lock_of(tmp_path), weights=WeightsKind.ONNX), source="store")
    assert caught.value.where.endswith("onnx/model.onnx")


def test_a_bit_of_a_graphs_weights(tmp_path: Path) -> None:
    ship_ir(make_bert(tmp_path), Task.EMBED)
    locked = replace(lock_of(tmp_path), weights=WeightsKind.OPENVINO)
    file = tmp_path / "openvino/openvino_model.bin"
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    with pytest.raises(Mismatch) as caught:
        load(tmp_path, locked=locked, source="store")
    assert caught.value.where == str(file)


def test_int8_is_said_and_not_measured(tmp_path: Path) -> None:
    ov_int8_ir(make_bert(tmp_path, normalize=False))
    for precision in (Precision.AUTO, Precision.INT8, Precision.FP32):
        model = load(tmp_path, precision=precision)
        assert model.engine.precision == "int8"
        assert "not measured" in model.engine.why


def ov_int8_ir(directory: Path) -> None:
    from hardtack.runtime.engines.openvino_import import import_openvino

    ov = import_openvino()
    op = ov.opset13
    table = op.constant(np.arange(60 * 16, dtype=np.int8).reshape(60, 16))
    inputs = [op.parameter([-1, -1], ov.Type.i64, name=name) for name in ("input_ids", "attention_mask")]
    for parameter, name in zip(inputs, ("input_ids", "attention_mask"), strict=True):
        parameter.output(0).get_tensor().set_names({name})
    rows = op.gather(op.convert(table, ov.Type.f32), inputs[0], op.constant(np.int64(0)))
    rows.output(0).get_tensor().set_names({"last_hidden_state"})
    (directory / "openvino").mkdir()
    ov.save_model(ov.Model([rows], inputs, "int8"), str(directory / "openvino/openvino_model.xml"))
    (directory / "model.safetensors").unlink()


@pytest.mark.parametrize("output", ["token_logits", "logits"])
def test_other_outputs_are_named(output: str, tmp_path: Path) -> None:
    ship_ir(make_bert(tmp_path), Task.EMBED, output=output)
    with pytest.raises(UnsupportedModel) as caught:
        load(tmp_path)
    assert caught.value.found == output


def test_a_graph_that_is_none(tmp_path: Path) -> None:
    ship_ir(make_bert(tmp_path), Task.EMBED)
    (tmp_path / "openvino/openvino_model.xml").write_text("<net")
    with pytest.raises(UnsupportedModel, match="cannot be used"):
        load(tmp_path)


def test_a_t5s_graphs_are_not_put_together(tmp_path: Path) -> None:
    (make_t5(tmp_path) / "model.safetensors").unlink()
    (tmp_path / "openvino_model.xml").write_text("<net/>")
    with pytest.raises(NotDrawn) as caught:
        load(tmp_path, Task.CLASSIFY)
    assert caught.value.where.endswith("config.json: is_encoder_decoder")


def test_neither_converter_nor_telemetry_is_imported(table: NDArray[np.float32], tmp_path: Path) -> None:
    ship_ir(make_bert(tmp_path / "ir"), Task.EMBED)
    (make_bert(tmp_path / "onnx") / "model.safetensors").unlink()
    (tmp_path / "onnx/onnx").mkdir()
    write_onnx(tmp_path / "onnx/onnx/model.onnx", table)
    code = (
        "import sys; from pathlib import Path; from hardtack.runtime.load import load_model; "
        "from hardtack.spec.words import Task\n"
        "for d in sys.argv[1:]: load_model(Path(d), Task.EMBED, locked=None, source='path').encode('a cat')\n"
        "bad = [m for m in sys.modules if m.startswith(('openvino.tools', 'openvino_telemetry', 'torch'))]; print(bad)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "ir"), str(tmp_path / "onnx")], capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.real
def test_the_real_minilms_own_ir_is_the_drawn_graph(real_dir: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(real_dir / "fetch-minilm"), str(tmp_path), "--openvino"]
    subprocess.run(command, check=True, capture_output=True)
    lines = (real_dir / "eval/cranfield/corpus.jsonl").read_text("utf-8").splitlines()[:100]
    texts = [json.loads(line)["text"] for line in lines]
    rows = {}
    for kind in (WeightsKind.SAFETENSORS, WeightsKind.OPENVINO):
        model = load(tmp_path, locked=replace(lock_of(tmp_path), weights=kind), source="store")
        assert model.layout.stored is kind
        rows[kind] = model.encode(texts)
    assert cosines(*rows.values()).min() > 0.99999
