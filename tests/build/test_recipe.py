from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from hardtack.build.recipe import WAYS, Recipe, build_key, build_text, parse_recipe
from hardtack.errors import LockError
from hardtack.runtime.read_layout import read_layout
from hardtack.spec.lock import LockedModel, Overrides
from hardtack.spec.words import Pooling, Precision, Task
from tests.models import make_bert

DIGEST = "sha256:" + "1" * 64
RECIPE = Recipe("static", 1, "2026.4.1", "3.4.0", DIGEST)
MODEL = LockedModel("emb", Task.EMBED, digest="sha256:" + "2" * 64)


@pytest.mark.parametrize("way", WAYS)
def test_a_recipe_survives_the_lock(way: str) -> None:
    recipe = Recipe(way, 3, "2026.4.1", "3.4.0", DIGEST if WAYS[way].calibrated else "")
    assert parse_recipe(str(recipe), "emb") == recipe


def test_tiles_are_of_no_package_and_no_texts() -> None:
    recipe = Recipe("tiles", 1)
    assert str(recipe) == "tiles/1"
    assert parse_recipe("tiles/1", "emb") == recipe


@pytest.mark.parametrize(
    "text",
    [
        "", "static", "static/x openvino=1 nncf=2", "a/1 openvino=1 nncf=2 calibration=sha256:12", "static/1",
        "static/1 nncf=2", "tiles", "tiles/1 openvino=1",
    ],
)  # fmt: skip
def test_what_is_no_recipe_is_refused(text: str) -> None:
    with pytest.raises(LockError) as refused:
        parse_recipe(text, "emb")
    assert refused.value.where == "emb"


def test_whatever_decides_the_bytes_decides_the_key(tmp_path: Path) -> None:
    directory = make_bert(tmp_path / "m")

    def key(model: LockedModel = MODEL, recipe: Recipe = RECIPE, gate: str = DIGEST, **set_: object) -> str:
        layout = read_layout(directory, Task.EMBED, overrides=Overrides(**set_))  # type: ignore[arg-type]
        text = build_text(model, layout, Precision.INT8, recipe, gate)
        assert tomllib.loads(text)["source"] == model.digest
        return build_key(text, Precision.INT8)

    others = [
        key(replace(MODEL, digest="sha256:" + "3" * 64)),
        key(recipe=replace(RECIPE, way="static-partly")),
        key(recipe=replace(RECIPE, version=2)),
        key(recipe=replace(RECIPE, openvino="2027.0")),
        key(recipe=replace(RECIPE, nncf="4")),
        key(recipe=replace(RECIPE, calibration="sha256:" + "4" * 64)),
        key(gate="sha256:" + "5" * 64),
        key(max_length=9),
        key(pooling=Pooling.CLS),
        key(normalize=False),
    ]
    assert len({key(), *others}) == 1 + len(others)
    assert key() == key(replace(MODEL, key="another", license="mit"))  # what decides no byte
    assert key().startswith("int8-")


def test_builds_that_were_locked_before_keep_their_names(tmp_path: Path) -> None:
    """A build is found by its name: what is said of a new kind must not change the text of the others."""
    layout = read_layout(make_bert(tmp_path / "m"), Task.EMBED)
    text = build_text(MODEL, layout, Precision.INT8, RECIPE, DIGEST)
    assert [line.split(" = ")[0] for line in text.splitlines()[1:]] == [
        "version", "source", "task", "pooling", "normalize", "max-length", "precision", "recipe", "recipe-version",
        "openvino", "nncf", "calibration", "gate-texts",
    ]  # fmt: skip
    export = build_text(MODEL, layout, Precision.FP32, Recipe("export", 1, "2026.4.1", torch="2/5"), DIGEST)
    assert export.splitlines()[-2:] == ['calibration = ""', f'gate-texts = "{DIGEST}"']
