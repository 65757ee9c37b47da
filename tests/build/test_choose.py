from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardtack.build.choose import choose
from hardtack.build.quantize import recipe_here
from hardtack.build.recipe import WAYS
from hardtack.build.texts import GATE, Texts, read_texts
from hardtack.build.workshop import Chosen, Tried, Workshop
from hardtack.errors import GateMissed, Mismatch, Misused, Refused, Unable
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.engines.openvino_import import import_openvino
from hardtack.runtime.instructions import Native
from hardtack.runtime.load import load_model
from hardtack.spec.lock import LockedModel
from hardtack.spec.manifest import WantedModel
from hardtack.spec.words import Precision, Task, WeightsKind
from hardtack.supply.local import resolve_local
from tests.build import sham
from tests.models import make_bert, make_static, make_t5


@dataclass
class Bench:
    """A tiny model, locked, and a workshop whose NNCF, race and CPU are as a test says."""

    folder: Path
    texts: Texts
    model: LockedModel
    builds: Path
    seen: list[str] = field(default_factory=list)
    noted: list[Tried] = field(default_factory=list)

    def choose(
        self,
        precision: Precision = Precision.INT8,
        *,
        noise: dict[str, float] | None = None,
        gate: dict[str, float] | None = None,
        cpu: Native = Native.VNNI,
        again: bool = False,
        model: LockedModel | None = None,
        run: Callable[..., Any] | None = None,
        **seconds: float,
    ) -> Chosen:
        shop = Workshop(self.builds, run or sham.writing(noise, self.seen), sham.race(**seconds), sham.cpu(cpu),
                        sham.recipe, note=self.noted.append)  # fmt: skip
        model = model or replace(self.model, precision=precision, gate=gate or {})
        return choose(model, self.folder / "model", self.texts, self.texts, shop, again=again)

    def load(self, model: LockedModel) -> Any:
        return load_model(self.folder / "model", model.task, locked=model, source="local", builds=self.builds)


@pytest.fixture
def bench(tmp_path: Path, texts: Texts) -> Bench:
    return bench_of(tmp_path, texts, Task.EMBED)


def bench_of(folder: Path, texts: Texts, task: Task) -> Bench:
    make = make_t5 if task is Task.CLASSIFY else make_bert
    make(folder / "model", task)
    model = resolve_local(WantedModel("m", task, repo="./model"), folder)
    return Bench(folder, texts, model, folder / "builds")


@pytest.mark.parametrize("task", [Task.EMBED, Task.RERANK, Task.CLASSIFY])
def test_int8_that_keeps_to_its_gate_is_locked_and_runs(tmp_path: Path, texts: Texts, task: Task) -> None:
    bench = bench_of(tmp_path, texts, task)
    chosen = bench.choose()
    assert chosen.precision == "int8"
    (build,) = chosen.model.builds
    assert build.precision is Precision.INT8
    assert build.recipe == str(sham.recipe("static", texts))
    assert bench.seen == ["static"]
    about = tomllib.loads((bench.builds / build.name / "build.toml").read_text())
    assert about["source"] == bench.model.digest
    assert about["gate-texts"] == texts.digest
    assert about["loss"].keys() == {figure.name for figure in chosen.tried[0].figures}
    model = bench.load(chosen.model)
    assert model.engine.precision == "int8"
    assert model.info["loss"] == about["loss"]
    model.close()


def test_the_reference_needs_no_build(bench: Bench) -> None:
    chosen = bench.choose(Precision.FP32)
    assert (chosen.precision, chosen.model.builds, bench.seen, bench.noted) == ("fp32", (), [], [])


def test_the_first_way_that_keeps_to_the_gate_is_taken(bench: Bench) -> None:
    chosen = bench.choose(noise={"static": 0.9, "static-half": 0.9, "static-partly": 0.9})
    assert bench.seen == ["static", "static-half", "static-partly", "weights"]
    assert [tried.accepted for tried in chosen.tried] == [False, False, False, True]
    assert chosen.model.builds[0].recipe.startswith("weights/")
    assert [tried.variant for tried in bench.noted] == [f"int8 {way}" for way in WAYS]


def test_an_explicit_precision_that_misses_its_gate_fails(bench: Bench) -> None:
    lossy = dict.fromkeys(WAYS, 0.9)
    with pytest.raises(GateMissed) as refused:
        bench.choose(noise=lossy)
    assert refused.value.exit_code == 1
    assert "cosine-p1 at least 0.99" in refused.value.expected
    assert "cosine-p1 0." in refused.value.found
    assert refused.value.where == "m: int8 weights"
    # a wider gate lets the same loss pass
    gate = {"cosine-p1": -1.0, "rank": -1.0}
    assert bench.choose(noise=lossy, gate=gate).model.builds


def test_auto_falls_back_where_the_gate_is_missed(bench: Bench) -> None:
    chosen = bench.choose(Precision.AUTO, noise=dict.fromkeys(WAYS, 0.9))
    assert chosen.precision in ("fp32", "bf16")
    assert chosen.model.builds == ()
    assert "missed the gate" in chosen.why
    assert f"falling back to {chosen.precision}" in chosen.why
    model = bench.load(chosen.model)
    assert model.engine.precision == chosen.precision
    model.close()


def test_auto_falls_back_where_int8_is_not_worth_it(bench: Bench) -> None:
    chosen = bench.choose(Precision.AUTO, build=0.9)
    assert chosen.model.builds == ()
    assert "1.11 times as fast" in chosen.why
    assert bench.seen == ["static"]  # the other ways are slower still
    assert bench.choose(Precision.AUTO, build=0.8).model.builds
    assert bench.choose(Precision.INT8, build=2.0).model.builds  # who asks for it gets it


@pytest.mark.parametrize(("cpu", "says"), [(Native.AMX, "tiles"), (Native.NONE, "eight-bit")])
def test_auto_does_not_try_int8_on_a_cpu_that_gains_nothing(bench: Bench, cpu: Native, says: str) -> None:
    chosen = bench.choose(Precision.AUTO, cpu=cpu)
    assert (bench.seen, chosen.model.builds) == ([], ())
    assert says in chosen.why
    assert bench.choose(Precision.INT8, cpu=cpu).model.builds


def test_a_locked_build_is_kept(bench: Bench) -> None:
    first = bench.choose().model
    bench.seen.clear()
    kept = bench.choose(model=first)
    assert kept.model == first
    assert bench.seen == []
    assert kept.why == "the lock has this build"
    # under auto too, however fast it is here
    assert bench.choose(model=replace(first, precision=Precision.AUTO), build=9.0).model.builds == first.builds


@pytest.mark.parametrize("harm", ["gone", "changed"])
def test_a_locked_build_that_is_not_here_is_made_again_to_the_byte(bench: Bench, harm: str) -> None:
    first = bench.choose().model
    place = bench.builds / first.builds[0].name
    if harm == "gone":
        shutil.rmtree(place)
    else:
        (place / "model.bin").write_bytes(b"x" * (place / "model.bin").stat().st_size)
    bench.seen.clear()
    assert bench.choose(model=first).model == first
    assert bench.seen == ["static"]


def test_a_build_that_comes_out_otherwise_is_a_mismatch(bench: Bench) -> None:
    first = bench.choose().model
    shutil.rmtree(bench.builds)
    with pytest.raises(Mismatch) as refused:
        bench.choose(model=first, noise={"static": 0.001})
    assert first.builds[0].digest in refused.value.expected
    assert refused.value.mend == "hardtack build --again m"
    assert bench.choose(model=first, noise={"static": 0.001}, again=True).model.builds != first.builds


def test_a_locked_build_is_held_to_a_gate_that_grew(bench: Bench) -> None:
    first = bench.choose(noise={"static": 0.05}).model
    with pytest.raises(GateMissed):
        bench.choose(model=replace(first, gate={"cosine-p1": 1.0, "rank": 1.0}))


def test_a_static_embedding_has_nothing_to_quantise(tmp_path: Path, texts: Texts) -> None:
    make_static(tmp_path / "model")
    model = resolve_local(WantedModel("m", Task.EMBED, repo="./model"), tmp_path)
    bench = Bench(tmp_path, texts, model, tmp_path / "builds")
    assert (bench.choose(Precision.AUTO).precision, bench.seen) == ("fp32", [])
    with pytest.raises(Misused):
        bench.choose(Precision.INT8)


def test_a_graph_shipped_in_int8_is_not_measured(bench: Bench) -> None:
    built = bench.choose().model.builds[0]
    home = bench.folder / "as-shipped"
    shipped = shutil.copytree(bench.folder / "model", home / "model")
    (shipped / "model.safetensors").unlink()
    ov = import_openvino()
    graph = ov.Core().read_model(str(bench.builds / built.name / "model.xml"))
    # a product with a weight of eight bits, as NNCF leaves them
    eight = ov.opset13.convert(ov.opset13.constant(np.ones((1, 16), np.int8)), "f32")
    answer = ov.opset13.multiply(graph.output(0).get_node().input_value(0), eight)
    answer.output(0).set_names({"sentence_embedding"})
    ov.serialize(ov.Model([answer], graph.get_parameters()), str(shipped / "openvino_model.xml"))
    model = resolve_local(WantedModel("m", Task.EMBED, repo="./model", weights=WeightsKind.OPENVINO), home)
    bench.seen.clear()
    chosen = replace(bench, folder=home, model=model)
    for precision in (Precision.AUTO, Precision.INT8):
        said = chosen.choose(precision)
        assert (said.precision, said.tried, bench.seen) == ("int8", (), [])
        assert "not measured" in said.why
    loaded = chosen.load(model)
    assert loaded.info["loss"] == "not measured"
    loaded.close()


def test_bf16_is_measured_and_held_to_the_gate(bench: Bench) -> None:
    try:
        chosen = bench.choose(Precision.BF16)
    except Exception as problem:  # noqa: BLE001 - a CPU without bf16 must say so, and nothing else
        assert "does not execute that precision" in str(problem)  # noqa: PT017
        return
    assert (chosen.precision, chosen.model.builds, bench.seen) == ("bf16", (), [])
    assert chosen.tried[0].figures
    with pytest.raises(GateMissed):
        bench.choose(Precision.BF16, gate={"cosine-min": 1.0})


def test_an_attempt_at_a_network_is_refused(bench: Bench) -> None:
    with pytest.raises(Refused) as refused:
        bench.choose(run=lambda command, env: sham.Ran(attempts=2))
    assert refused.value.found == "2"
    assert not any(bench.builds.glob("*"))


def test_a_process_that_fails_is_quoted(bench: Bench) -> None:
    with pytest.raises(Unable) as refused:
        bench.choose(run=lambda command, env: sham.Ran(1, "Traceback\nMemoryError: no room\n"))
    assert refused.value.found == "MemoryError: no room"
    assert not any(path for path in bench.builds.glob("*"))


def test_without_nncf_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, texts: Texts) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Misused) as refused:
        recipe_here("static", texts)
    assert refused.value.mend == "pip install 'hardtack[int8]'"


def test_our_own_texts_measure_a_model_of_every_task(tmp_path: Path) -> None:
    model = bench_of(tmp_path, read_texts(GATE), Task.EMBED)
    loaded = model.load(model.model)
    assert isinstance(loaded, Embedder)
    assert np.isfinite(loaded.encode(list(model.texts.mixed))).all()
    loaded.close()
