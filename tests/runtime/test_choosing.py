"""Which engine is chosen, and what is said where none is: without torch, which is told to be absent or there."""

from __future__ import annotations

import json
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from hardtack.errors import NotDrawn, UnsupportedModel
from hardtack.runtime import choosing
from hardtack.runtime.choosing import INSTALL, Wish, choose
from hardtack.runtime.weights import open_weights
from hardtack.spec.words import EngineName, Task
from tests.models import make_bert


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


@pytest.mark.parametrize("wish", [Wish(EngineName.NATIVE), Wish(EngineName.OPENVINO, device="cuda:0")])
def test_what_no_engine_is(wish: Wish, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="no engine here runs that") as problem:
        choose(make_bert(tmp_path), Task.EMBED, None, wish)
    assert problem.value.mend


def test_a_broken_model_is_not_handed_on_to_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only what is not understood is: weights of another shape are wrong in every engine."""
    installed(monkeypatch, "torch", "transformers")
    config = json.loads((make_bert(tmp_path) / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"intermediate_size": 33}))
    with pytest.raises(UnsupportedModel, match="another shape") as problem:
        open_by(tmp_path, Wish())
    assert not isinstance(problem.value, NotDrawn)
