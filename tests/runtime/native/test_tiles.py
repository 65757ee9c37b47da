"""A locked build in tile order: what the native engine reads, and what is as if it were not there for the others."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hardtack.build.tiles import packed_build
from hardtack.errors import Mismatch
from hardtack.runtime import choosing
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.load import Options, load_model
from hardtack.runtime.native import library
from hardtack.runtime.native.library import Ability
from hardtack.runtime.native.packed import DATA, read_header, read_mapped
from hardtack.settings import Verify
from hardtack.spec.digest import hash_file
from hardtack.spec.lock import LockedModel
from hardtack.spec.words import EngineName, Precision, Task
from tests.double import able
from tests.models import make_bert
from tests.runtime.fakes import lock_of

TEXTS = ["the cat sits", "light on"]


@pytest.fixture(autouse=True)
def _able(monkeypatch: pytest.MonkeyPatch) -> None:
    able(monkeypatch)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return make_bert(tmp_path / "emb", dense=(24, 7))


@pytest.fixture
def model(directory: Path, tmp_path: Path) -> LockedModel:
    """Locked, with a build in the store."""
    plain = lock_of(directory)
    return replace(plain, builds=(packed_build(plain, directory, tmp_path / "builds"),))


def unable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "ability", lambda: Ability(None, "no leave to use tiles"))


def load(model: LockedModel, folder: Path, options: Options | None = None) -> Embedder:
    made = load_model(
        folder / "emb", Task.EMBED, locked=model, source="store", builds=folder / "builds", options=options
    )
    assert isinstance(made, Embedder)
    return made


def tiles_file(model: LockedModel, folder: Path) -> Path:
    return folder / "builds" / model.builds[0].name / "weights.tiles"


def change(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)


@pytest.mark.parametrize("engine", [EngineName.AUTO, EngineName.NATIVE])
def test_it_runs_and_answers_as_what_is_packed_at_load(engine: EngineName, model: LockedModel, tmp_path: Path) -> None:
    with closing(load(model, tmp_path, Options(engine))) as built:
        assert (built.engine.name, built.engine.precision) == ("native", "bf16")
        assert built.engine.why.endswith("the lock has this build: tiles/1")
        rows = built.encode(TEXTS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["builds", "emb"]  # and no pack of the store's own
    with closing(load(replace(model, builds=()), tmp_path, Options(engine))) as packed:
        np.testing.assert_array_equal(packed.encode(TEXTS), rows)


def test_weights_that_no_one_reads_are_not_hashed_and_are_of_their_size(
    model: LockedModel, directory: Path, tmp_path: Path
) -> None:
    for name in ("model.safetensors", "2_Dense/model.safetensors"):
        change(directory / name, 0)  # no header that could be parsed
    load(model, tmp_path).close()
    (directory / "model.safetensors").write_bytes(b"short")
    with pytest.raises(Mismatch):
        load(model, tmp_path)


@pytest.mark.parametrize("name", ["weights.tiles", "build.toml"])
@pytest.mark.parametrize("place", [100, -1], ids=["head", "end"])
def test_a_wrong_byte_is_found_before_it_answers(name: str, place: int, model: LockedModel, tmp_path: Path) -> None:
    file = tiles_file(model, tmp_path).with_name(name)
    change(file, place)
    with pytest.raises(Mismatch) as refused:
        load(model, tmp_path)
    assert str(file) in refused.value.where
    assert refused.value.mend == "hardtack build emb"


def test_where_only_sizes_are_checked_the_header_is_held_to_the_config_all_the_same(
    model: LockedModel, tmp_path: Path
) -> None:
    file = tiles_file(model, tmp_path)
    change(file, -1)
    load(model, tmp_path, Options(verify=Verify.STAT)).close()
    whole = file.read_bytes()
    header = read_header(file, whole[:DATA])
    for other in (replace(header, version=9), replace(header, shape=replace(header.shape, layers=1))):
        file.write_bytes(other.encode() + whole[DATA:])
        with pytest.raises(Mismatch) as refused:
            load(model, tmp_path, Options(verify=Verify.STAT))
        assert refused.value.mend == "hardtack build emb"
        assert str(file) in refused.value.where


def test_a_mapping_that_is_not_whole(model: LockedModel, tmp_path: Path) -> None:
    file = tiles_file(model, tmp_path)
    data = np.memmap(file, np.uint8, mode="r")
    header = read_header(file, data[:DATA].tobytes())
    assert read_mapped(file, data, header.shape, mend="x").shape == header.shape
    for cut in (0, 10, DATA, len(data) - 64):
        with pytest.raises(Mismatch):
            read_mapped(file, data[:cut], header.shape, mend="x")


@pytest.mark.parametrize(
    ("able", "missing", "precision", "says"),
    [
        (False, None, Precision.AUTO, "no leave to use tiles"),
        (True, "its library is not installed", Precision.AUTO, "its library is not installed"),
        (True, None, Precision.FP32, "it executes bf16, not fp32"),
    ],
)
def test_under_auto_the_snapshot_runs_where_the_engine_does_not_and_one_line_says_so(
    able: bool, missing: str | None, precision: Precision, says: str, model: LockedModel, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    if not able:
        unable(monkeypatch)
    monkeypatch.setattr(choosing, "missing", lambda: missing)
    caplog.set_level(logging.INFO, "hardtack")
    with closing(load(model, tmp_path, Options(precision=precision))) as made:
        assert made.engine.name == "openvino"
        assert made.encode(TEXTS).shape == (2, 7)
    (line,) = [
        each.getMessage() for each in caplog.records if "tiles" in each.getMessage() or says in each.getMessage()
    ]
    assert model.builds[0].name in line
    assert says in line
    change(tmp_path / "emb/model.safetensors", -1)  # it is read now, and so it is hashed
    with pytest.raises(Mismatch):
        load(model, tmp_path, Options(precision=precision))


def test_openvino_as_asked_says_nothing_of_it(
    model: LockedModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hardtack")
    with closing(load(model, tmp_path, Options(EngineName.OPENVINO))) as made:
        assert made.engine.name == "openvino"
    assert "for the native engine" not in caplog.text


def test_a_build_that_is_not_on_this_machine_is_packed_as_ever(
    model: LockedModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tiles_file(model, tmp_path).parent
    place.rename(tmp_path / "elsewhere")
    with closing(load(model, tmp_path, Options(EngineName.NATIVE))) as made:
        assert made.engine.name == "native"
    assert "not on this machine" in caplog.text
    assert [hash_file(file).size for file in (tmp_path / "native").iterdir()] == [model.builds[0].files[1].size]
