"""Packs are kept for models that a lock names, once those were verified, and taken only whole."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hardtack.errors import Mismatch
from hardtack.places import pack_prefix
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.load import Options, load_model
from hardtack.runtime.native import cache
from hardtack.runtime.native.packed import Packed, pack
from hardtack.runtime.native.shape import Shape
from hardtack.spec.lock import LockedModel
from hardtack.spec.words import EngineName, Task
from tests.double import able
from tests.models import make_bert
from tests.runtime.fakes import lock_of


@pytest.fixture(autouse=True)
def _able(monkeypatch: pytest.MonkeyPatch) -> None:
    able(monkeypatch)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return make_bert(tmp_path / "emb")


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> list[Shape]:
    """The shape of each model that was packed."""
    shapes: list[Shape] = []

    def noting(shape: Shape, arrays: Iterable[tuple[str, NDArray[Any]]]) -> Packed:
        shapes.append(shape)
        return pack(shape, arrays)

    monkeypatch.setattr(cache, "pack", noting)
    return shapes


def load(
    directory: Path,
    locked: LockedModel | None,
    builds: Path,
    source: str = "store",
    engine: EngineName = EngineName.AUTO,
) -> Embedder:
    made = load_model(
        directory, Task.EMBED, locked=locked, source=source, builds=builds, options=Options(engine=engine)
    )
    assert isinstance(made, Embedder)
    assert made.engine.name == "native"
    return made


def test_the_second_process_maps_what_the_first_one_packed(
    directory: Path, tmp_path: Path, packed: list[Shape]
) -> None:
    first = load(directory, lock_of(directory), tmp_path / "builds")
    (file,) = (tmp_path / "native").iterdir()
    assert file.stat().st_mode & 0o777 == 0o444
    assert file.name.startswith(pack_prefix(lock_of(directory).digest))
    second = load(directory, lock_of(directory), tmp_path / "builds", engine=EngineName.NATIVE)
    assert len(packed) == 1
    texts = ["the cat sits", "light on"]
    np.testing.assert_array_equal(first.encode(texts), second.encode(texts))
    for each in (first, second):
        each.close()


@pytest.mark.parametrize(("locked", "source"), [(False, "path"), (True, "pantry")])
def test_what_no_lock_names_or_a_pantry_carries_is_not_kept(
    locked: bool, source: str, directory: Path, tmp_path: Path
) -> None:
    load(directory, lock_of(directory) if locked else None, tmp_path / "builds", source).close()
    assert [path.name for path in tmp_path.iterdir()] == ["emb"]


def test_a_model_that_is_not_the_locks_leaves_no_pack(directory: Path, tmp_path: Path) -> None:
    locked = lock_of(directory)
    weights = directory / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-2] ^= 1
    weights.write_bytes(data)
    with pytest.raises(Mismatch):
        load(directory, locked, tmp_path / "builds")
    assert not (tmp_path / "native").exists()


def test_a_broken_pack_is_packed_anew(
    directory: Path, tmp_path: Path, packed: list[Shape], caplog: pytest.LogCaptureFixture
) -> None:
    load(directory, lock_of(directory), tmp_path / "builds").close()
    (file,) = (tmp_path / "native").iterdir()
    whole = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(whole[:-1] + b"\x01")
    load(directory, lock_of(directory), tmp_path / "builds").close()
    assert len(packed) == 2
    assert "packing it anew" in caplog.text
    assert file.read_bytes() == whole


def test_a_folder_that_cannot_be_written(directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hardtack")
    (tmp_path / "native").touch()
    load(directory, lock_of(directory), tmp_path / "builds").close()
    assert "stay in memory" in caplog.text
