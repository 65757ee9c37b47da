"""Builds and golden answers, from the lock to a model that answers or is refused."""

from __future__ import annotations

import logging
import shutil
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hardtack.build.workshop import Workshop
from hardtack.errors import GateMissed, Mismatch, ModelNotFound
from hardtack.loaders import load_embedder
from hardtack.offline.prove import check_pantry
from hardtack.places import Store
from hardtack.project import Project
from hardtack.runtime import golden
from hardtack.runtime.instructions import Native
from hardtack.runtime.load import Options, load_model
from hardtack.settings import read_settings
from hardtack.spec.lock import LockedModel
from hardtack.spec.words import Precision, Task
from hardtack.supply.hub import Hub
from tests.build import sham
from tests.models import make_bert

MANIFEST = """\
[models.emb]
task = "embed"
repo = "./bert"
precision = "int8"
gate = { cosine-p1 = 0.9, rank = 0.5 }
"""


def project_in(folder: Path) -> Project:
    store = Store(folder / "hub", folder / "own")
    return Project(folder / "hardtack.toml", folder / "hardtack.lock", store, Hub("http://127.0.0.1:9"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was locked, and built by an NNCF that writes the graph as it is."""
    folder = tmp_path_factory.mktemp("built")
    make_bert(folder / "bert")
    (folder / "hardtack.toml").write_text(MANIFEST)
    shop = partial(Workshop, race=sham.race(), cpu=sham.cpu(Native.VNNI), recipe=sham.recipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hardtack.project.Workshop", lambda builds, run, **more: shop(builds, sham.writing(), **more))
        project_in(folder).lock()
        project_in(folder).build()
    return folder


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Project:
    """A copy of it, to be harmed."""
    return project_in(shutil.copytree(built, tmp_path / "project"))


def model_of(project: Project) -> LockedModel:
    return project.current().find("emb")


def load(project: Project, model: LockedModel, precision: Precision = Precision.AUTO) -> str:
    """What it runs in."""
    options = Options(precision=precision)
    with closing(load_model(project.source(model), Task.EMBED, locked=model, source="local",
                            builds=project.store.builds, options=options)) as loaded:  # fmt: skip
        return loaded.engine.precision


def test_the_lock_names_the_build_and_the_loader_runs_it(project: Project) -> None:
    model = model_of(project)
    assert len(model.builds) == 1
    assert load(project, model) == "int8"
    assert load(project, model, Precision.FP32) == "fp32"


def test_a_fresh_lock_keeps_the_build_and_another_precision_drops_it(project: Project) -> None:
    text = project.manifest_path.read_text()
    project.manifest_path.write_text(text.replace("rank = 0.5", "rank = 0.6"))
    assert model_of(project).builds
    project.manifest_path.write_text(text + "max-length = 20\n")
    project.lock()
    assert model_of(project).builds == ()


def test_int8_without_an_accepted_build_is_refused(project: Project) -> None:
    with pytest.raises(GateMissed) as refused:
        load(project, replace(model_of(project), builds=()))
    assert refused.value.mend == "hardtack build emb"


def test_a_build_that_is_not_on_this_machine(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    model = model_of(project)
    shutil.rmtree(project.store.builds)
    with pytest.raises(ModelNotFound) as refused:
        load(project, model)
    assert refused.value.mend == "hardtack build emb"
    with caplog.at_level(logging.WARNING, "hardtack"):
        assert load(project, replace(model, precision=Precision.AUTO)) in ("fp32", "bf16")
    assert "not on this machine" in caplog.text


@pytest.mark.parametrize("name", ["model.xml", "model.bin", "build.toml"])
@pytest.mark.parametrize("carried", [False, True])
def test_a_wrong_byte_of_a_build_is_found_before_it_answers(project: Project, name: str, carried: bool) -> None:
    pantry = project.folder / "pantry"
    root = project.store.builds
    model, source = model_of(project), project.source(model_of(project))
    if carried:
        model, source, root = project.bake(pantry).lock.find("emb"), pantry / "emb", pantry / "emb" / "hardtack"
    path = root / model.builds[0].name / name
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    with pytest.raises(Mismatch) as refused:
        load_model(source, Task.EMBED, locked=model, source="pantry" if carried else "local", builds=root)
    assert name in refused.value.where


def test_a_pantry_carries_the_build_and_its_figures(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    pantry = project.folder / "pantry"
    first = project.bake(pantry)
    assert check_pantry(pantry).good
    assert not list(pantry.rglob("speed.json"))  # seconds are this machine's
    shutil.rmtree(project.store.builds)
    monkeypatch.setenv("HARDTACK_PANTRY", str(pantry))
    monkeypatch.setenv("HARDTACK_VERIFY", "full")
    with closing(load_embedder("emb")) as model:
        assert model.engine.precision == "int8"
        assert model.info["loss"]["cosine-p1"] == pytest.approx(1, abs=1e-3)
    assert first.lock.find("emb").builds


def test_weights_that_no_one_reads_are_not_hashed_and_are_of_their_size(project: Project) -> None:
    model = model_of(project)
    weights = project.source(model) / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert load(project, model) == "int8"
    with pytest.raises(Mismatch):
        load(project, model, Precision.FP32)
    weights.write_bytes(data[:-1])
    with pytest.raises(Mismatch):
        load(project, model)


def test_a_bake_without_the_locked_build_fails(project: Project) -> None:
    text = project.manifest_path.read_text().replace('precision = "int8"\n', "")
    project.manifest_path.write_text(text)
    project.lock()
    assert model_of(project).builds  # `auto` goes on with what was accepted
    shutil.rmtree(project.store.builds)
    with pytest.raises(ModelNotFound):
        project.bake(project.folder / "pantry")


def test_golden_answers_are_asked_at_load_only_where_that_is_said(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    pantry = project.folder / "pantry"
    lock = project.bake(pantry).lock
    model = lock.find("emb")
    asked: list[object] = []
    real = golden.ask

    def ask(model: golden.Loaded) -> Any:
        asked.append(model)
        return real(model)

    monkeypatch.setattr(golden, "ask", ask)
    for variable, times in ((None, 0), ("stat", 0), ("full", 1)):
        if variable is not None:
            monkeypatch.setenv("HARDTACK_VERIFY", variable)
        assert read_settings().golden is (variable == "full")
        options = Options(golden=read_settings().golden)
        load_model(pantry / "emb", Task.EMBED, locked=model, source="pantry", options=options).close()
        assert len(asked) == times


def test_a_model_that_drifted_on_this_cpu_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    pantry = project.folder / "pantry"
    model = project.bake(pantry).lock.find("emb")
    real = golden.ask
    monkeypatch.setattr(golden, "ask", lambda model: real(model)[:, ::-1])  # as if the CPU computed something else
    with pytest.raises(Mismatch) as refused:
        load_model(pantry / "emb", Task.EMBED, locked=model, source="pantry", options=Options(golden=True))
    assert "as it did where it was baked" in refused.value.what
    assert "cosine at least 0.8" in refused.value.expected  # twice as far as the gate's first percentile
