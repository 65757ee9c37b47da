"""Real builds by NNCF, of tiny models and of the real MiniLM: run where the extra [int8] is installed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from hardtack.build.choose import choose
from hardtack.build.texts import CALIBRATION, GATE, Texts, read_texts
from hardtack.build.workshop import Workshop
from hardtack.offline.apart import run_apart
from hardtack.offline.guard import can_guard
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.engines.openvino_import import import_openvino
from hardtack.runtime.families.precise import is_precise
from hardtack.runtime.load import load_model
from hardtack.spec.lock import LockedModel
from hardtack.spec.manifest import WantedModel
from hardtack.spec.words import Pooling, Precision, Task
from hardtack.supply.local import resolve_local
from tests.build import sham
from tests.models import make_bert, make_t5
from tests.voyage import Voyage

pytestmark = pytest.mark.int8

OPEN = {
    Task.EMBED: {"cosine-p1": -1.0, "rank": -1.0, "cosine-min": -1.0},
    Task.RERANK: {"rank": -1.0, "top1": 0.0, "ties": 1.0, "drift": 1.0},
    Task.CLASSIFY: {"agreement": 0.0, "drift": 1.0},
}
"""Gates that let anything pass: random weights lose what they lose."""


@pytest.fixture
def voyage(tmp_path: Path) -> Iterator[Voyage]:
    with Voyage(tmp_path) as voyage:
        yield voyage


@pytest.mark.parametrize("task", list(OPEN))
def test_nncf_makes_the_same_bytes_twice_and_they_run(tmp_path: Path, task: Task) -> None:
    (make_t5 if task is Task.CLASSIFY else make_bert)(tmp_path / "model", task)
    want = WantedModel("m", task, repo="./model", precision=Precision.INT8, gate=OPEN[task])
    locked = resolve_local(want, tmp_path)
    told: list[str] = []
    shop = Workshop(tmp_path / "builds", partial(run_apart, tell=told.append), race=sham.race())
    calibration, gate = read_texts(CALIBRATION), read_texts(GATE)
    chosen = choose(locked, tmp_path / "model", calibration, gate, shop)
    (build,) = chosen.model.builds
    assert build.recipe.startswith("static/")
    assert told == [] or not can_guard().able
    with_zeros = [path.read_bytes() for path in sorted((tmp_path / "builds").rglob("model.*"))]
    shutil.rmtree(tmp_path / "builds")
    assert choose(chosen.model, tmp_path / "model", calibration, gate, shop).model == chosen.model
    assert [path.read_bytes() for path in sorted((tmp_path / "builds").rglob("model.*"))] == with_zeros
    assert b'type="FakeQuantize"' in with_zeros[1]
    model = load_model(tmp_path / "model", task, locked=chosen.model, source="local", builds=shop.builds)
    assert model.engine.precision == "int8"
    model.close()


def in_int8(folder: Path, task: Task, texts: Texts) -> LockedModel:
    """The model in a folder, built into ``builds`` beside it whatever it loses."""
    want = WantedModel("m", task, repo="./model", precision=Precision.INT8, gate=OPEN[task])
    shop = Workshop(folder / "builds", run_apart, race=sham.race())
    return choose(resolve_local(want, folder), folder / "model", texts, texts, shop).model


@pytest.mark.parametrize("task", list(OPEN))
def test_products_of_the_body_are_quantised_and_nothing_else(tmp_path: Path, texts: Texts, task: Task) -> None:
    make: dict[Task, Callable[..., Path]] = {
        Task.EMBED: partial(make_bert, dense=(12,)), Task.RERANK: partial(make_bert, task=task),
        Task.CLASSIFY: partial(make_t5, task=task),
    }  # fmt: skip
    make[task](tmp_path / "model")
    (build,) = in_int8(tmp_path, task, texts).builds
    graph = import_openvino().Core().read_model(str(tmp_path / "builds" / build.name / "model.xml"))
    heads = [node for node in graph.get_ordered_ops() if node.get_type_name() == "MatMul" and is_precise(node)]
    assert len(heads) == {Task.EMBED: 1, Task.RERANK: 2, Task.CLASSIFY: 1}[task]
    for product in heads:
        assert product.input_value(1).get_node().get_type_name() == "Constant"  # as it is in the snapshot
        assert product.input_value(0).get_node().get_type_name() != "FakeQuantize"
    steps = [node for node in graph.get_ordered_ops() if node.get_type_name() == "FakeQuantize"]
    assert steps
    for each in steps:
        assert {target.get_node().get_type_name() for target in each.output(0).get_target_inputs()} == {"MatMul"}
        assert each.input_value(3).get_node().get_data() == 0


def test_a_build_that_pools_by_the_first_token_has_the_vectors_of_all(tmp_path: Path, texts: Texts) -> None:
    make_bert(tmp_path / "model", pooling=Pooling.CLS, normalize=False)
    locked = in_int8(tmp_path, Task.EMBED, texts)
    model = load_model(tmp_path / "model", Task.EMBED, locked=locked, source="local", builds=tmp_path / "builds")
    assert isinstance(model, Embedder)
    tokenized = model.tokenize(["the cat sits", "a dog turns on the light"])
    each = model.encode_each_token(tokenized)
    assert [len(vectors) for vectors in each] == [len(tokens) for tokens in tokenized]
    firsts = np.stack([vectors[0] for vectors in each])
    np.testing.assert_allclose(firsts, model.encode(["the cat sits", "a dog turns on the light"]), atol=1e-5)


def test_the_verb_builds_bakes_and_proves(voyage: Voyage) -> None:
    text = voyage.manifest.read_text()
    for repo, gate in (
        ("tiny/bert", "cosine-p1 = -1, rank = -1, cosine-min = -1"),
        ("tiny/ranker", "rank = -1, top1 = 0, ties = 1, drift = 1"),
    ):
        text = text.replace(f'repo = "{repo}"', f'repo = "{repo}"\nprecision = "int8"\ngate = {{ {gate} }}')
    voyage.manifest.write_text(text)
    voyage.project.lock()
    voyage.project.pull()
    done = voyage.run("build", "emb", "rerank")
    assert done.returncode == 0, done.stderr
    assert "emb     int8" in done.stdout
    listed = voyage.run("list").stdout
    assert "cosine-p1" in listed
    assert "top1" in listed
    voyage.project.bake(voyage.pantry)
    proved = voyage.run("prove", str(voyage.pantry))
    if can_guard().able:
        assert proved.returncode == 0, proved.stdout
        assert "openvino int8" in proved.stdout
    answered = voyage.run(
        "embed", "the cat sits", "--model", "emb", HARDTACK_PANTRY=str(voyage.pantry), HARDTACK_VERIFY="full"
    )
    assert answered.returncode == 0, answered.stderr


@pytest.mark.real
def test_the_real_minilm_keeps_to_its_gate(tmp_path: Path, minilm: Path) -> None:
    shutil.copytree(minilm, tmp_path / "model")
    locked = resolve_local(WantedModel("emb", Task.EMBED, repo="./model", precision=Precision.INT8), tmp_path)
    shop = Workshop(tmp_path / "builds", run_apart, race=sham.race())
    chosen = choose(locked, tmp_path / "model", read_texts(CALIBRATION), read_texts(GATE), shop)
    figures = {figure.name: figure.value for figure in chosen.tried[-1].figures}
    assert figures["cosine-p1"] >= 0.99
    assert figures["rank"] >= 0.98
    with_loss = load_model(tmp_path / "model", Task.EMBED, locked=chosen.model, source="local", builds=shop.builds)
    fp32 = load_model(tmp_path / "model", Task.EMBED, locked=None, source="path")
    try:
        text = "Light turns on at 7 AM"
        cosine = float(np.dot(with_loss.encode(text), fp32.encode(text)))  # type: ignore[union-attr]
    finally:
        with_loss.close()
        fp32.close()
    assert 0.97 < cosine < 0.99999  # close, and not the same: it is int8 that answers
