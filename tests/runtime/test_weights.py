"""Safetensors files: read as they are, refused where they are not what their headers say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from hardtack.errors import DiskError, Mismatch, UnsupportedModel
from hardtack.runtime.weights import open_tensors
from tests.models import write_raw_safetensors, write_safetensors

ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def test_reads_what_the_library_writes(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.arange(4, dtype=np.float16),
        "scalar": np.array(7, np.int64),
        "nothing": np.zeros((0, 4), np.float32),
    }
    save_file(arrays, tmp_path / "x.safetensors", metadata={"format": "pt"})
    tensors = open_tensors(tmp_path / "x.safetensors")
    assert set(tensors) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(tensors[name].array, array)
        assert tensors[name].shape == array.shape


def test_arrays_are_views_of_the_file(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "x.safetensors", {"a": ("F32", np.ones(4))})
    array = open_tensors(tmp_path / "x.safetensors")["a"].array
    assert not array.flags.writeable
    assert not array.flags.owndata


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_bf16_is_the_upper_half_of_float32(numbers: list[float]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.safetensors"
        exact = (np.array(numbers, np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)
        write_safetensors(file, {"a": ("BF16", exact)})
        np.testing.assert_array_equal(open_tensors(file)["a"].float32(), exact)


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "x.safetensors", {"a": ("I64", np.ones(2))})
    with pytest.raises(UnsupportedModel, match="not stored as floating point"):
        open_tensors(tmp_path / "x.safetensors")["a"].float32()


LIES: dict[str, tuple[Any, int]] = {
    "beyond the file": ({"a": {**ONE, "data_offsets": [0, 8]}}, 4),
    "overlapping": ({"a": ONE, "b": {**ONE, "data_offsets": [4, 12]}}, 12),
    "twice the same bytes": ({"a": ONE, "b": ONE}, 8),
    "a hole": ({"a": ONE, "b": {**ONE, "data_offsets": [12, 20]}}, 20),
    "bytes of nobody": ({"a": ONE}, 12),
    "backwards": ({"a": {**ONE, "data_offsets": [8, 0]}}, 8),
    "negative": ({"a": {**ONE, "data_offsets": [-8, 0]}}, 8),
    "another shape": ({"a": {**ONE, "shape": [3]}}, 8),
    "another type": ({"a": {**ONE, "dtype": "F16"}}, 8),
    "a negative shape": ({"a": {**ONE, "shape": [-1, -2]}}, 8),
    "no offsets": ({"a": {"dtype": "F32", "shape": [2]}}, 8),
    "not an object": ([1, 2], 8),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies(lie: str, tmp_path: Path) -> None:
    header, size = LIES[lie]
    write_raw_safetensors(tmp_path / "x.safetensors", header, b"\0" * size)
    with pytest.raises(Mismatch) as caught:
        open_tensors(tmp_path / "x.safetensors")
    assert caught.value.where == str(tmp_path / "x.safetensors")
    assert caught.value.mend


@pytest.mark.parametrize("size", [0, 7, 8, 20, 100])
def test_a_file_cut_short(size: int, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    write_safetensors(file, {"a": ("F32", np.ones(64))})
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(Mismatch, match="cut short or broken"):
        open_tensors(file)


def test_a_header_longer_than_any_file(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(b"\xff" * 64)
    with pytest.raises(Mismatch):
        open_tensors(file)


def test_a_pointer_in_place_of_weights(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:53aa5117\nsize 90868376\n")
    with pytest.raises(Mismatch, match="git's pointer") as caught:
        open_tensors(file)
    assert "git-LFS pointer" in caught.value.found


def test_a_type_that_is_not_known(tmp_path: Path) -> None:
    write_raw_safetensors(tmp_path / "x.safetensors", {"a": {**ONE, "dtype": "F4"}}, b"\0" * 8)
    with pytest.raises(UnsupportedModel, match="not known") as caught:
        open_tensors(tmp_path / "x.safetensors")
    assert caught.value.found == "a: F4"


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(DiskError):
        open_tensors(tmp_path / "x.safetensors")


def test_two_shards_with_one_name(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("1.safetensors", "2.safetensors")]
    for file in files:
        write_safetensors(file, {"a": ("F32", np.ones(2))})
    with pytest.raises(Mismatch, match="one name"):
        open_tensors(*files)


@pytest.mark.parametrize("act", [lambda tensors: tensors["b"], lambda tensors: tensors.pop("a")])
def test_tensors_are_a_mapping_that_does_not_change(act: Callable[[Any], Any], tmp_path: Path) -> None:
    write_safetensors(tmp_path / "x.safetensors", {"a": ("F32", np.ones(2))})
    with pytest.raises((KeyError, AttributeError)):
        act(open_tensors(tmp_path / "x.safetensors"))
