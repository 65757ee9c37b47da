"""The torch engine: the same answers as OpenVINO's, and those of models that no family draws."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardtack.errors import UnsupportedModel
from hardtack.runtime.load import Options, load_model
from hardtack.spec.words import EngineName, Pooling, Precision, Task, WeightsKind
from tests.models import make_bert, make_distilbert, make_llama, make_mpnet, make_roberta, make_t5, write_modules
from tests.runtime.fakes import lock_of
from tests.runtime.running import LABELS, PAIRS, TEXTS, cosines

pytestmark = [
    pytest.mark.torch,
    # theirs, while importing and loading: nothing this project could mend
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
ENCODERS = [make_bert, make_distilbert, make_roberta, make_mpnet]
ELECTRA: dict[str, Any] = {"model_type": "electra", "architectures": ["ElectraModel"], "embedding_size": 16}
"""BERT's weights under another name: an architecture that transformers knows and no family draws."""


def load(directory: Path, task: Task = Task.EMBED, engine: EngineName = EngineName.TORCH, **options: Any) -> Any:
    locked = options.pop("locked", None)
    options = {"engine": engine, "precision": Precision.FP32, **options}
    return load_model(directory, task, locked=locked, source="path", options=Options(**options))


def theirs(directory: Path, **named: Any) -> Any:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(directory), device="cpu", local_files_only=True)
    return model.encode(list(TEXTS), show_progress_bar=False, **named)


# ── the same as OpenVINO ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("pooling", list(Pooling))
@pytest.mark.parametrize("make", [*ENCODERS, make_llama])
def test_embedders(make: Callable[..., Path], pooling: Pooling, tmp_path: Path) -> None:
    directory = make(tmp_path, pooling=pooling)
    texts = [text.replace(" , the", ", the") for text in TEXTS]
    ours, drawn = load(directory), load(directory, engine=EngineName.OPENVINO)
    assert (ours.engine.name, drawn.engine.name) == ("torch", "openvino")
    assert ours.engine.why == "engine torch, as asked; fp32 as asked"
    np.testing.assert_allclose(ours.encode(texts, batch_size=2), drawn.encode(texts), atol=2e-5)
    assert ours.space == drawn.space


def test_prompts_that_are_not_pooled(tmp_path: Path) -> None:
    directory = make_llama(tmp_path, pooling=Pooling.MEAN, include_prompt=False)
    ours, drawn = (load(directory, engine=engine).encode(list(TEXTS), prompt="query : ") for engine in
                   (EngineName.TORCH, EngineName.OPENVINO))  # fmt: skip
    np.testing.assert_allclose(ours, drawn, atol=2e-5)


@pytest.mark.parametrize("make", ENCODERS)
@pytest.mark.parametrize("labels", [("LABEL_0",), ("high", "medium", "low")])
def test_rerankers_and_classifiers(make: Callable[..., Path], labels: tuple[str, ...], tmp_path: Path) -> None:
    directory = make(tmp_path, Task.RERANK, labels=labels)
    scores = [load(directory, Task.RERANK, engine).predict(list(PAIRS)) for engine in
              (EngineName.TORCH, EngineName.OPENVINO)]  # fmt: skip
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)
    ours, drawn = (load(directory, Task.CLASSIFY, engine).classify(list(TEXTS)) for engine in
                   (EngineName.TORCH, EngineName.OPENVINO))  # fmt: skip
    assert ours == drawn
    for one, other in zip(ours, drawn, strict=True):
        assert one.scores["label"] == pytest.approx(other.scores["label"], abs=1e-5)


@pytest.mark.parametrize("untied", [True, False])
def test_likelihoods(untied: bool, tmp_path: Path) -> None:
    directory = make_t5(tmp_path, untied=untied)
    ours, drawn = (load(directory, Task.CLASSIFY, engine).log_likelihoods(list(TEXTS), list(LABELS)) for engine in
                   (EngineName.TORCH, EngineName.OPENVINO))  # fmt: skip
    np.testing.assert_allclose(ours, drawn, atol=1e-4)


# ── what no family draws ─────────────────────────────────────────────────────────────────────────────────────────────


def test_auto_takes_torch_where_no_family_draws_and_says_so(tmp_path: Path) -> None:
    directory = make_bert(tmp_path, **ELECTRA)
    model = load(directory, engine=EngineName.AUTO)
    assert model.engine.name == "torch"
    assert "config.json" in model.engine.why
    assert "electra" in model.engine.why
    np.testing.assert_allclose(model.encode(list(TEXTS)), theirs(directory), atol=1e-5)


def test_openvino_as_asked_is_not_replaced_by_torch(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="electra"):
        load(make_bert(tmp_path, **ELECTRA), engine=EngineName.OPENVINO)


def test_modules_that_are_not_drawn(tmp_path: Path) -> None:
    """Two poolings side by side, and a LayerNorm: what sentence-transformers has and no piece of ours."""
    directory = make_bert(tmp_path)
    pooling = {"embedding_dimension": 16, "pooling_mode": ["cls", "mean"]}
    (directory / "1_Pooling/config.json").write_text(json.dumps(pooling))
    model = load(directory, engine=EngineName.AUTO)
    assert (model.dim, model.engine.name) == (32, "torch")
    assert "pooling_mode" in model.engine.why
    np.testing.assert_allclose(model.encode(list(TEXTS)), theirs(directory), atol=1e-5)


def test_an_override_reaches_torchs_modules(tmp_path: Path) -> None:
    directory = make_bert(tmp_path, pooling=Pooling.CLS)
    locked = lock_of(directory)
    locked = replace(locked, overrides=replace(locked.overrides, pooling=Pooling.MAX, normalize=False))
    ours, drawn = (load(directory, engine=engine, locked=locked).encode(list(TEXTS)) for engine in
                   (EngineName.TORCH, EngineName.OPENVINO))  # fmt: skip
    np.testing.assert_allclose(ours, drawn, atol=1e-5)


# ── precision, device, threads ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("precision", [Precision.BF16, Precision.FP16])
def test_halves_agree_with_fp32(precision: Precision, tmp_path: Path) -> None:
    directory = make_bert(tmp_path)
    half = load(directory, precision=precision)
    assert half.engine.precision == precision.value
    assert cosines(half.encode(list(TEXTS)), load(directory).encode(list(TEXTS))).min() > 0.999


def test_auto_on_a_cpu_is_fp32(tmp_path: Path) -> None:
    engine = load(make_bert(tmp_path), precision=Precision.AUTO).engine
    assert (engine.precision, engine.device) == ("fp32", "cpu")


@pytest.mark.parametrize("device", ["cuda:63", "nowhere"])
def test_a_device_that_is_not_there(device: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="no such device") as problem:
        load(make_bert(tmp_path), engine=EngineName.AUTO, device=device)
    assert device in problem.value.found


def test_int8_is_not_torchs(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="does not execute that precision"):
        load(make_bert(tmp_path), precision=Precision.INT8)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16, Precision.FP16])
def test_on_a_gpu(precision: Precision, tmp_path: Path) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    directory = make_bert(tmp_path)
    model = load(directory, engine=EngineName.AUTO, precision=precision, device="cuda:0")
    assert (model.engine.name, model.device) == ("torch", "cuda:0")
    assert "only torch runs on cuda:0" in model.engine.why
    np.testing.assert_allclose(model.encode(list(TEXTS)), load(directory).encode(list(TEXTS)), atol=1e-2)


def test_several_threads_at_once(tmp_path: Path) -> None:
    model = load(make_bert(tmp_path))
    expected = model.encode(list(TEXTS))
    answers: dict[int, Any] = {}
    threads = [threading.Thread(target=lambda n=n: answers.__setitem__(n, model.encode(list(TEXTS)))) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    for answer in answers.values():
        np.testing.assert_allclose(answer, expected, atol=1e-6)


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


def rewritten(directory: Path, drop: str) -> Path:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(directory / "model.safetensors")
    save_file({name: array for name, array in tensors.items() if drop not in name}, directory / "model.safetensors")
    return directory


def test_weights_that_are_not_there_are_not_made_up(tmp_path: Path) -> None:
    directory = rewritten(make_bert(tmp_path, **ELECTRA), "layer.1.output.dense")
    with pytest.raises(UnsupportedModel, match=r"layer\.1\.output\.dense\.bias"):
        load(directory)


def test_a_poolers_weights_may_be_missing_in_an_embedder(tmp_path: Path) -> None:
    np.testing.assert_allclose(
        load(make_bert(tmp_path)).encode(list(TEXTS)), theirs(tmp_path), atol=1e-5
    )  # made without one


def pickled(directory: Path) -> Path:
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(directory / "model.safetensors"), directory / "pytorch_model.bin")
    (directory / "model.safetensors").unlink()
    return directory


def test_pickles_only_where_the_lock_names_them(tmp_path: Path) -> None:
    expected = load(make_bert(tmp_path / "plain")).encode(list(TEXTS))
    directory = pickled(make_bert(tmp_path / "pickled"))
    with pytest.raises(UnsupportedModel, match="pickled"):
        load(directory, engine=EngineName.AUTO)
    locked = replace(lock_of(directory), weights=WeightsKind.PICKLE)
    model = load(directory, engine=EngineName.AUTO, locked=locked)
    assert "pickle" in model.engine.why
    np.testing.assert_allclose(model.encode(list(TEXTS)), expected, atol=1e-6)


def test_a_modules_pickle_is_refused_too(tmp_path: Path) -> None:
    directory = make_bert(tmp_path, dense=(12,))
    pickled(directory / "2_Dense")
    with pytest.raises(UnsupportedModel, match="pickled") as problem:
        load(directory, engine=EngineName.AUTO)
    assert problem.value.where.endswith("2_Dense/pytorch_model.bin")


def test_an_activation_that_is_code_is_refused_and_not_replaced(tmp_path: Path) -> None:
    write_modules(make_bert(tmp_path), size=16, dense=(12,))
    file = tmp_path / "2_Dense/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"activation_function": "my.package.Odd"}))
    with pytest.raises(UnsupportedModel, match="may not run") as problem:
        load(tmp_path, engine=EngineName.AUTO)
    assert "activation_function" in problem.value.where


def test_what_transformers_does_not_know_either(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="cannot load the model either") as problem:
        load(make_bert(tmp_path, model_type="unheard-of"), engine=EngineName.AUTO)
    assert "unheard-of" in problem.value.found


def test_a_graph_is_not_for_torch(tmp_path: Path) -> None:
    directory = make_bert(tmp_path)
    with pytest.raises(UnsupportedModel, match="onnx"):
        load(directory, locked=replace(lock_of(directory), weights=WeightsKind.ONNX))
