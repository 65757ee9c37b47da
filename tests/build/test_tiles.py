"""Builds in tile order: the same bytes on any machine, measured where the engine runs, and said where it does not."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from hardtack.build.choose import choose
from hardtack.build.keeping import kept
from hardtack.build.recipe import parse_recipe
from hardtack.build.texts import Texts
from hardtack.build.tiles import packed_build
from hardtack.build.variant import check_build, describe_builds
from hardtack.build.workshop import Chosen, Tried, Workshop
from hardtack.errors import GateMissed, Mismatch, ModelNotFound, NotDrawn, UnsupportedModel
from hardtack.runtime.builds import is_tiles
from hardtack.runtime.instructions import Native
from hardtack.runtime.native import library
from hardtack.runtime.native.library import Ability
from hardtack.spec.lock import Lock, LockedBuild, LockedModel
from hardtack.spec.lock_render import render_lock
from hardtack.spec.lock_text import parse_lock
from hardtack.spec.manifest import WantedModel
from hardtack.spec.words import EngineName, Pooling, Precision, Task
from hardtack.supply.local import resolve_local
from tests.build import sham
from tests.double import able
from tests.models import make_bert, make_distilbert, make_mpnet, make_roberta


@dataclass
class Bench:
    """A tiny model, locked, with a folder for its builds."""

    folder: Path
    texts: Texts
    model: LockedModel
    said: list[str] = field(default_factory=list)
    noted: list[Tried] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    @property
    def builds(self) -> Path:
        return self.folder / "builds"

    def choose(self, model: LockedModel | None = None, *, again: bool = False, **changes: Any) -> Chosen:
        shop = Workshop(self.builds, sham.writing(seen=self.seen), sham.race(), sham.cpu(Native.AMX), sham.recipe,
                        tell=self.said.append, note=self.noted.append)  # fmt: skip
        model = replace(model or self.model, **changes)
        return choose(model, self.folder / "model", self.texts, self.texts, shop, again=again)


def bench_of(folder: Path, texts: Texts, make: Callable[..., Path] = make_bert, task: Task = Task.EMBED) -> Bench:
    make(folder / "model", task)
    model = resolve_local(WantedModel("m", task, repo="./model", engine=EngineName.NATIVE), folder)
    return Bench(folder, texts, model)


@pytest.fixture
def bench(tmp_path: Path, texts: Texts) -> Bench:
    return bench_of(tmp_path, texts)


def file_of(bench: Bench, build: LockedBuild) -> Path:
    return bench.builds / build.name / "weights.tiles"


def test_it_is_packed_and_locked_where_it_cannot_run_and_said_not_to_be_measured(bench: Bench) -> None:
    chosen = bench.choose()
    (build,) = chosen.model.builds
    assert [Path(file.path).name for file in build.files] == ["build.toml", "weights.tiles"]
    assert (build.recipe, build.precision, chosen.precision) == ("tiles/1", Precision.BF16, "bf16")
    assert build.name.startswith("bf16-")
    assert "not measured, as here the tests keep to openvino" in chosen.why
    assert bench.noted == list(chosen.tried)
    about = tomllib.loads((bench.builds / build.name / "build.toml").read_text())
    assert about["source"] == bench.model.digest
    assert about.keys().isdisjoint({"openvino", "nncf", "torch", "calibration", "gate-texts", "loss"})
    (row,) = describe_builds(chosen.model, bench.builds)
    assert (row["here"], row["loss"], row["recipe"]) == (True, {}, "tiles/1")


@pytest.mark.parametrize("make", [make_bert, make_roberta, make_mpnet])
@pytest.mark.parametrize("task", [Task.EMBED, Task.RERANK])
def test_the_bytes_are_the_same_wherever_and_however_often(
    make: Callable[..., Path], task: Task, tmp_path: Path, texts: Texts, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_of(tmp_path, texts, make, task)
    source = tmp_path / "model"
    first = packed_build(bench.model, source, tmp_path / "one")
    assert packed_build(bench.model, source, tmp_path / "two") == first
    able(monkeypatch)  # packs with the library instead of numpy
    assert packed_build(bench.model, source, tmp_path / "three") == first
    assert check_build(first, tmp_path / "three").good
    assert packed_build(replace(bench.model, engine=EngineName.AUTO), source, tmp_path / "four") == first


def test_it_is_measured_where_it_can_run_and_the_lock_is_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    unmeasured = bench.choose()
    able(monkeypatch)
    chosen = bench.choose(unmeasured.model)
    assert chosen.model == unmeasured.model
    assert chosen.why == "2.00 times as fast as fp32 here"
    (row,) = describe_builds(chosen.model, bench.builds)
    assert row["loss"].keys() == {figure.name for figure in chosen.tried[0].figures} >= {"cosine-p1", "rank", "golden"}
    assert row["loss"]["cosine-p1"] > 0.99
    assert row["seconds"] == {"fp32": 1.0, "bf16": 0.5}
    assert bench.choose(again=True).model == chosen.model
    assert not (bench.folder / "native").exists()  # the build is what it reads


@pytest.mark.parametrize("precision", [Precision.AUTO, Precision.BF16])
def test_auto_packs_where_the_engine_runs(precision: Precision, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    unasked: dict[str, Any] = {"engine": EngineName.AUTO, "precision": precision}
    if precision is Precision.AUTO:
        assert bench.choose(**unasked).model.builds == ()
    able(monkeypatch)
    chosen = bench.choose(**unasked)
    assert is_tiles(chosen.model.builds[0])
    assert bench.seen == []
    # and keeps it elsewhere
    monkeypatch.setattr(library, "ability", lambda: Ability(None, "no AMX"))
    assert bench.choose(chosen.model).model == chosen.model
    assert "not measured, as here no AMX" in bench.choose(chosen.model).why


def test_auto_leaves_to_openvino_what_the_engine_does_not_run(
    tmp_path: Path, texts: Texts, monkeypatch: pytest.MonkeyPatch
) -> None:
    able(monkeypatch)
    bench = bench_of(tmp_path, texts, make_distilbert)
    assert bench.choose(engine=EngineName.AUTO).model.builds == ()
    with pytest.raises(UnsupportedModel, match="native engine does not run") as refused:
        bench.choose()
    assert "distilbert" in refused.value.found
    assert not isinstance(refused.value, NotDrawn)
    assert refused.value.mend.startswith("hardtack lock")


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.INT8])
def test_a_precision_that_the_engine_does_not_execute_is_refused(precision: Precision, bench: Bench) -> None:
    with pytest.raises(UnsupportedModel) as refused:
        bench.choose(precision=precision)
    assert refused.value.found == f"it executes bf16, not {precision}"
    assert not bench.builds.exists()


@pytest.mark.parametrize(
    "asked", [{}, {"engine": EngineName.AUTO, "precision": Precision.BF16}], ids=["engine", "precision"]
)
def test_what_was_asked_for_and_loses_too_much_fails(
    asked: dict[str, Any], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    able(monkeypatch)
    with pytest.raises(GateMissed) as refused:
        bench.choose(gate={"cosine-min": 1.0}, **asked)
    assert refused.value.where == "m: bf16 tiles"
    assert "cosine-min at least 1" in refused.value.expected


def test_auto_that_loses_too_much_locks_nothing_and_says_what_that_means(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    able(monkeypatch)
    chosen = bench.choose(engine=EngineName.AUTO, gate={"cosine-min": 1.0})
    assert chosen.model.builds == ()
    assert "missed the gate: cosine-min" in chosen.why
    assert 'precision = "fp32"' in chosen.why
    assert [tried.accepted for tried in chosen.tried] == [False]


@pytest.mark.parametrize("harm", ["gone", "changed"])
def test_a_locked_build_that_is_not_here_is_packed_again_to_the_byte(harm: str, bench: Bench) -> None:
    model = bench.choose().model
    file = file_of(bench, model.builds[0])
    if harm == "gone":
        shutil.rmtree(file.parent)
    else:
        flip(file)
    assert bench.choose(model).model == model
    assert check_build(model.builds[0], bench.builds).good


def test_what_lies_there_and_no_lock_names_is_not_believed(bench: Bench) -> None:
    model = bench.choose().model
    flip(file_of(bench, model.builds[0]))
    assert bench.choose().model == model


def test_a_locked_build_that_comes_out_otherwise_is_a_mismatch(bench: Bench) -> None:
    model = bench.choose().model
    (build,) = model.builds
    files = tuple(replace(file, sha256="0" * 64) for file in build.files)
    other = replace(model, builds=(replace(build, files=files),))
    with pytest.raises(Mismatch) as refused:
        bench.choose(other)
    assert refused.value.mend == "hardtack build --again m"
    assert bench.choose(other, again=True).model == model


def test_a_model_that_is_not_the_locks_is_not_packed(bench: Bench) -> None:
    weights = bench.folder / "model/model.safetensors"
    flip(weights)
    with pytest.raises(Mismatch) as refused:
        bench.choose()
    assert refused.value.where == str(weights)
    assert not any(bench.builds.iterdir())


def test_a_model_that_is_not_here_is_said_to_be_missing(bench: Bench) -> None:
    shutil.rmtree(bench.folder / "model")
    with pytest.raises(ModelNotFound):
        bench.choose()


def test_whatever_decides_the_bytes_decides_the_key(bench: Bench) -> None:
    first = bench.choose().model
    over = replace(first.overrides, pooling=Pooling.CLS)
    other = bench.choose(overrides=over, builds=())
    assert other.model.builds[0].name != first.builds[0].name


def test_a_lock_with_tiles_survives_its_text(bench: Bench) -> None:
    lock = Lock("", (bench.choose().model,))
    assert parse_lock(render_lock(lock)) == lock
    assert parse_recipe(lock.models[0].builds[0].recipe, "m").way == "tiles"


def test_tiles_stay_locked_for_the_engine_that_reads_them(bench: Bench) -> None:
    old = bench.choose().model
    new = replace(old, builds=())
    for engine, precision, stays in (
        (EngineName.NATIVE, Precision.AUTO, True),
        (EngineName.AUTO, Precision.BF16, True),
        (EngineName.AUTO, Precision.FP32, False),
        (EngineName.OPENVINO, Precision.AUTO, False),
        (EngineName.TORCH, Precision.AUTO, False),
    ):
        assert bool(kept(old, replace(new, engine=engine, precision=precision), "")) is stays, engine


def test_figures_of_a_build_are_in_no_lock(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    able(monkeypatch)
    (build,) = bench.choose().model.builds
    place = bench.builds / build.name
    assert json.loads((place / "loss.json").read_bytes())
    assert {Path(file.path).name for file in build.files}.isdisjoint({"loss.json", "speed.json"})


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
