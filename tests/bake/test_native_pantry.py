"""Pantries with a build in tile order: whole ones that any engine loads, and slim ones for the native engine alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hardtack.bake.stock import Shape
from hardtack.cli import cli
from hardtack.errors import Mismatch, ModelNotFound, UnsupportedModel
from hardtack.offline.guard import can_guard
from hardtack.offline.prove import check_pantry, prove
from hardtack.places import Store
from hardtack.project import Project
from hardtack.runtime.builds import is_tiles, left_ashore
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.load import Options, load_model
from hardtack.runtime.weights import open_tensors
from hardtack.spec.lock import LockedModel
from hardtack.spec.words import EngineName, Task
from hardtack.supply.hub import Hub
from tests.double import able
from tests.models import make_bert, write_safetensors

TEXTS = ["the cat sits", "light on"]
SLIM = Shape(slim=True)
AMX = "amx_bf16" in Path("/proc/cpuinfo").read_text().split()


Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A project of one embedder with a Dense module, its weights in two files, built on a machine without AMX."""

    def made(engine: str = "native") -> Project:
        folder = tmp_path / "project"
        model = make_bert(folder / "bert", dense=(24, 7))
        in_two_files(model)
        (model / "LICENSE").write_text("terms")
        (folder / "hardtack.toml").write_text(f'[models.emb]\ntask = "embed"\nrepo = "./bert"\nengine = "{engine}"\n')
        store = Store(tmp_path / "hf/hub", tmp_path / "hf/hardtack")
        project = Project(folder / "hardtack.toml", folder / "hardtack.lock", store, Hub("http://127.0.0.1:9"))
        project.lock()
        return project

    return made


def in_two_files(model: Path) -> None:
    file = model / "model.safetensors"
    tensors = {name: (each.dtype, np.copy(each.array)) for name, each in open_tensors(file).items()}
    file.unlink()
    names = sorted(tensors)
    index: dict[str, str] = {}
    for number, part in enumerate((names[::2], names[1::2])):
        shard = f"model-{number + 1:05}-of-00002.safetensors"
        write_safetensors(model / shard, {name: tensors[name] for name in part})
        index |= dict.fromkeys(part, shard)
    (model / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


@pytest.fixture
def project(make: Make) -> Project:
    project = make()
    project.build()
    return project


def load(pantry: Path, model: LockedModel, **options: Any) -> Embedder:
    made = load_model(pantry / "emb", Task.EMBED, locked=model, source="pantry", options=Options(**options))
    assert isinstance(made, Embedder)
    return made


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_whole_pantry_has_both_and_loads_by_either_engine(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    pantry = project.folder / "pantry"
    model = project.bake(pantry).lock.find("emb")
    assert check_pantry(pantry).good
    assert files_of(project.folder / "bert") <= files_of(pantry / "emb")
    assert (pantry / "emb/hardtack" / model.builds[0].name / "weights.tiles").is_file()
    assert not left_ashore(model)
    with closing(load(pantry, model, engine=EngineName.OPENVINO, golden=True)) as theirs:
        assert theirs.engine.name == "openvino"
        rows = theirs.encode(TEXTS)
    with pytest.raises(UnsupportedModel) as refused:
        load(pantry, model)
    assert refused.value.mend == "HARDTACK_ENGINE=openvino …"
    able(monkeypatch)
    with closing(load(pantry, model, golden=True)) as ours:
        assert ours.engine.name == "native"
        assert "tiles/1" in ours.engine.why
        np.testing.assert_allclose(ours.encode(TEXTS), rows, atol=0.03)


def test_an_unasked_engine_leaves_the_snapshot_in_a_slim_pantry(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make("auto")
    with monkeypatch.context() as patch:
        able(patch)
        project.build()
    pantry = project.folder / "pantry"
    model = project.bake(pantry, SLIM).lock.find("emb")  # and on a machine without AMX
    assert is_tiles(model.builds[0])
    assert not left_ashore(model)
    with closing(load(pantry, model, golden=True)) as theirs:
        assert theirs.engine.name == "openvino"
    able(monkeypatch)
    with closing(load(pantry, model, golden=True)) as ours:
        assert "tiles/1" in ours.engine.why


def test_a_slim_pantry_for_the_engine_alone_has_no_other_weights(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, slim = project.folder / "whole", project.folder / "slim"
    full = project.bake(whole).lock.find("emb")
    model = project.bake(slim, SLIM).lock.find("emb")  # where the engine does not run
    assert check_pantry(slim).good
    assert left_ashore(model)
    assert not any("safetensors" in path for path in files_of(slim))
    assert (slim / "emb/LICENSE").read_text() == "terms"
    golden = "emb/hardtack/golden.json"
    assert (slim / golden).read_bytes() == (whole / golden).read_bytes()
    able(monkeypatch)
    with closing(load(slim, model, golden=True)) as ours, closing(load(whole, full)) as same:
        assert ours.engine.name == "native"
        np.testing.assert_array_equal(ours.encode(TEXTS), same.encode(TEXTS))
    assert project.bake(project.folder / "again", SLIM).digest == project.bake(slim, SLIM).digest


def test_a_slim_pantry_for_the_engine_alone_is_refused_where_it_does_not_run(project: Project) -> None:
    pantry = project.folder / "slim"
    model = project.bake(pantry, SLIM).lock.find("emb")
    with pytest.raises(UnsupportedModel, match="native engine does not run") as refused:
        load(pantry, model)
    assert refused.value.found == "the tests keep to openvino"
    assert "without --slim" in refused.value.mend
    for engine in (EngineName.OPENVINO, EngineName.TORCH):
        with pytest.raises(UnsupportedModel, match="baked slim for the native engine") as refused:
            load(pantry, model, engine=engine)
        assert refused.value.found == f"engine {engine}"


@pytest.mark.skipif(AMX, reason="this CPU has AMX")
def test_a_proof_where_the_engine_does_not_run_says_so(project: Project) -> None:
    if not can_guard().able:
        pytest.skip("no guard")
    pantry = project.folder / "slim"
    project.bake(pantry, SLIM)
    proof = prove(pantry)
    assert not proof.proven
    assert "The native engine does not run this model here" in proof.why
    assert proof.files.good


@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("shape", [Shape(), SLIM])
def test_tiles_that_are_not_the_locks_are_not_baked(
    runs: bool, shape: Shape, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    if runs:
        able(monkeypatch)
    (file,) = project.store.builds.glob("*/weights.tiles")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)
    with pytest.raises(Mismatch) as refused:
        project.bake(project.folder / "pantry", shape)
    assert refused.value.where == str(file)
    assert refused.value.mend == "hardtack build emb"
    assert not (project.folder / "pantry").exists()


def test_a_bake_without_the_locked_build_fails(project: Project) -> None:
    (place,) = project.store.builds.iterdir()
    place.rename(project.folder / "elsewhere")
    with pytest.raises(ModelNotFound) as refused:
        project.bake(project.folder / "pantry")
    assert refused.value.mend == "hardtack build emb"


def test_without_a_build_the_engine_packs_what_a_pantry_carries(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pantry = tmp_path / "pantry"
    model = make().bake(pantry, SLIM).lock.find("emb")
    assert not left_ashore(model)
    able(monkeypatch)
    with closing(load(pantry, model, golden=True)) as ours:
        assert ours.engine.why == "engine native, as asked"


def test_the_command_line_says_what_nobody_has_seen_run(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    says = "emb: not loaded, since only the native engine reads it, and here the tests keep to openvino"
    listed = CliRunner().invoke(cli, ["list"]).output
    assert "build: bf16 by tiles/1" in listed
    assert "loss: not measured" in listed
    assert says not in CliRunner().invoke(cli, ["bake"]).output
    assert says in CliRunner().invoke(cli, ["bake", "--slim"]).output
    assert says in CliRunner().invoke(cli, ["bake", "--slim", "--oci", "image"]).output
    built = CliRunner().invoke(cli, ["build"]).output
    assert "emb: bf16 tiles: not measured" in built
    able(monkeypatch)
    assert says not in CliRunner().invoke(cli, ["bake", "--slim"]).output


@pytest.mark.torch
def test_sentence_transformers_loads_a_whole_pantry(project: Project) -> None:
    from sentence_transformers import SentenceTransformer

    project.bake(project.folder / "pantry")
    assert SentenceTransformer(str(project.folder / "pantry/emb"), device="cpu").encode(TEXTS).shape == (2, 7)
