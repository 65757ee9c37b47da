"""Which engine is chosen, and what is said where none is: without torch, which is told to be absent or there."""

from __future__ import annotations

import json
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from hardtack.errors import NotDrawn, UnsupportedModel
from hardtack.runtime import choosing
from hardtack.runtime.choosing import INSTALL, Wish, choose
from hardtack.runtime.engines.native import NativeEngine
from hardtack.runtime.engines.openvino import OpenVinoEngine
from hardtack.runtime.weights import open_weights
from hardtack.spec.words import EngineName, Precision, Task
from tests.double import able
from tests.models import make_bert, make_distilbert


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(choosing, "find_spec", lambda name: ModuleSpec(name, None) if name in names else None)


def open_by(directory: Path, wish: Wish) -> object:
    chosen = choose(directory, Task.EMBED, None, wish)
    return chosen.open(open_weights(chosen.layout), lambda: None)


@pytest.mark.parametrize("engine", [EngineName.AUTO, EngineName.OPENVINO])
def test_openvino_where_a_family_draws_whatever_is_installed(
    engine: EngineName, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed(monkeypatch, "torch", "transformers")
    chosen = choose(make_bert(tmp_path), Task.EMBED, None, Wish(engine))
    made = chosen.open(open_weights(chosen.layout), lambda: None)
    assert made.info.name == "openvino"
    assert made.info.why
    made.close()


@pytest.mark.parametrize("there", [(), ("torch",)])
def test_an_unknown_architecture_without_torch(
    there: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed(monkeypatch, *there)
    with pytest.raises(NotDrawn) as problem:
        open_by(make_bert(tmp_path, model_type="electra"), Wish())
    assert problem.value.where.endswith("config.json: model_type")
    assert "electra" in problem.value.found
    assert problem.value.mend.startswith(INSTALL)


def test_torch_as_asked_and_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch)
    with pytest.raises(UnsupportedModel, match="torch engine is not installed") as problem:
        open_by(make_bert(tmp_path), Wish(EngineName.TORCH))
    assert problem.value.mend == INSTALL


@pytest.mark.parametrize("wish", [Wish(EngineName.NATIVE, device="cuda:0"), Wish(EngineName.OPENVINO, device="cuda:0")])
def test_what_no_engine_is(wish: Wish, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="no engine here runs that") as problem:
        choose(make_bert(tmp_path), Task.EMBED, None, wish)
    assert problem.value.mend


@pytest.mark.parametrize("engine", [EngineName.AUTO, EngineName.NATIVE])
def test_our_own_where_cpu_and_model_allow(engine: EngineName, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    able(monkeypatch)
    made = open_by(make_bert(tmp_path), Wish(engine))
    assert isinstance(made, NativeEngine)
    assert made.info.name == "native"
    assert made.info.precision == "bf16"
    assert ("as asked" in made.info.why) == (engine is EngineName.NATIVE)
    made.close()


@pytest.mark.parametrize(
    "wish", [Wish(precision=Precision.FP32), Wish(EngineName.OPENVINO), Wish(precision=Precision.FP32, built=True)]
)
def test_openvino_for_what_our_own_does_not_execute(
    wish: Wish, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    able(monkeypatch)
    made = open_by(make_bert(tmp_path), wish)
    assert isinstance(made, OpenVinoEngine)
    made.close()


def test_openvino_for_a_family_that_our_own_does_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    able(monkeypatch)
    made = open_by(make_distilbert(tmp_path), Wish())
    assert isinstance(made, OpenVinoEngine)
    made.close()


def test_our_own_insisted_on_where_it_cannot_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wish = Wish(EngineName.NATIVE)
    with pytest.raises(UnsupportedModel, match="native engine does not run") as problem:
        choose(make_bert(tmp_path / "a"), Task.EMBED, None, wish)
    assert problem.value.found == "the tests keep to openvino"
    assert problem.value.mend
    able(monkeypatch)
    with pytest.raises(UnsupportedModel) as problem:
        choose(make_distilbert(tmp_path / "b"), Task.EMBED, None, wish)
    assert "distilbert" in problem.value.found
    with pytest.raises(UnsupportedModel) as problem:
        choose(make_bert(tmp_path / "c"), Task.EMBED, None, Wish(EngineName.NATIVE, Precision.FP32))
    assert problem.value.found == "it executes bf16, not fp32"


def test_a_broken_model_is_not_handed_on_to_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only what is not understood is: weights of another shape are wrong in every engine."""
    installed(monkeypatch, "torch", "transformers")
    config = json.loads((make_bert(tmp_path) / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"intermediate_size": 33}))
    with pytest.raises(UnsupportedModel, match="another shape") as problem:
        open_by(tmp_path, Wish())
    assert not isinstance(problem.value, NotDrawn)
