"""The packed format: what is laid out comes back, and nothing that is broken gets past the reader."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardtack.errors import DiskError, Mismatch
from hardtack.runtime.native.packed import DATA, MAGIC, Packed, pack, read_header, read_packed, write_packed
from hardtack.runtime.native.shape import (
    DenseShape,
    Shape,
    data_bytes,
    from_plain,
    padded,
    sections,
    to_plain,
)  # fmt: skip
from hardtack.runtime.native.tiling import from_bf16, from_tiles, spread_heads, to_bf16, to_tiles

SMALL = Shape(
    size=16, heads=2, head_size=8, inner=40, layers=1, vocabulary=7, positions=12, types=2, activation="gelu_erf",
    relative=False, pooling="sum", unit=True, epsilon=1e-12, dense=(DenseShape(16, 5, "tanh"),),
)  # fmt: skip


def some(shape: Shape = SMALL) -> Packed:
    rng = np.random.default_rng(0)
    return pack(
        shape, ((each.name, rng.integers(0, 99, each.shape).astype(each.dtype)) for each in sections(shape))
    )  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_packed(tmp_path / "a" / "m.tiles", some(), "sha256:source")
    return tmp_path / "a" / "m.tiles"


shapes = st.builds(
    Shape, size=st.integers(1, 6).map(lambda n: 16 * n), heads=st.integers(1, 9), head_size=st.integers(1, 100),
    inner=st.integers(1, 300), layers=st.integers(1, 4), vocabulary=st.integers(1, 50), positions=st.integers(1, 50),
    types=st.integers(0, 3), activation=st.sampled_from(("gelu_erf", "gelu_tanh")), relative=st.booleans(),
    pooling=st.sampled_from(("sum", "greatest")), unit=st.booleans(), epsilon=st.floats(0, 0.5),
)  # fmt: skip


@given(shape=shapes)
def test_sections_follow_each_other_at_cache_lines(shape: Shape) -> None:
    assert shape.problem() is None
    assert from_plain(json.loads(json.dumps(to_plain(shape)))) == shape
    reached = 0
    for section in sections(shape):
        assert section.offset % 64 == 0
        assert 0 <= section.offset - reached < 64
        reached = section.offset + section.bytes
    assert data_bytes(shape) == padded(reached, 64)


def test_what_is_written_comes_back(file: Path) -> None:
    made, read = some(), read_packed(file, SMALL, "sha256:source")
    for section in sections(SMALL):
        np.testing.assert_array_equal(read.array(section.name), made.array(section.name))
    assert [address % 64 for address in read.addresses()] == [0] * len(sections(SMALL))
    assert not read.data.flags.writeable
    assert [path.name for path in file.parent.iterdir()] == ["m.tiles"]


def test_arrays_that_are_not_the_shapes_are_a_mistake() -> None:
    good = {each.name: np.zeros(each.shape, each.dtype) for each in sections(SMALL)}
    for arrays in (
        {**good, "another": np.zeros(1)},
        {name: array for name, array in good.items() if name != "words"},
        {**good, "words": np.zeros((7, 15), np.uint16)},
        {**good, "words": np.zeros((7, 16), np.float32)},
    ):
        with pytest.raises(ValueError, match=r"is not (Section|None)|not given"):
            pack(SMALL, arrays.items())


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 24}, {"size": 1 << 20}, {"layers": 0}, {"layers": True}, {"vocabulary": 1.5}, {"heads": -1},
        {"activation": "relu"}, {"pooling": "mean"}, {"epsilon": 1}, {"epsilon": float("nan")}, {"unit": 1},
        {"dense": (DenseShape(15, 5, "tanh"),)}, {"dense": (DenseShape(16, 0, "tanh"),)},
        {"dense": (DenseShape(16, 5, "relu"),)}, {"dense": (DenseShape(16, 16, "tanh"),) * 5},
    ],
)  # fmt: skip
def test_sizes_that_native_code_is_not_given(wrong: dict[str, object]) -> None:
    assert replace(SMALL, **wrong).problem() is not None  # type: ignore[arg-type]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_a_broken_file_is_refused(file: Path, data: st.DataObject) -> None:
    whole = file.read_bytes()
    broken = bytearray(whole)
    match data.draw(st.sampled_from(("flip", "cut", "grow", "splice", "length"))):
        case "flip":
            place = data.draw(st.integers(0, len(whole) - 1))
            broken[place] ^= 1 << data.draw(st.integers(0, 7))
        case "cut":
            del broken[data.draw(st.integers(0, len(whole) - 1)) :]
        case "grow":
            broken += data.draw(st.binary(min_size=1, max_size=100))
        case "splice":
            place = data.draw(st.integers(0, DATA))
            broken[place : place + 8] = data.draw(st.binary(min_size=8, max_size=8))
        case _:
            broken[len(MAGIC) : len(MAGIC) + 4] = data.draw(st.binary(min_size=4, max_size=4))
    other = file.with_name("broken.tiles")
    other.unlink(missing_ok=True)
    other.write_bytes(broken)
    other.chmod(0o444)
    try:
        read = read_packed(other, SMALL, "sha256:source")
    except Mismatch:
        return
    # zeros after the header are nobody's, and a splice may write what was there
    np.testing.assert_array_equal(read.data, some().data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("version", "source", "shape", "sha256", "dense", "size")), inner)
    ),
)


@given(text=JSON)
def test_a_header_of_anything_is_refused(text: object) -> None:
    encoded = json.dumps(text).encode()[:2000]
    with pytest.raises(Mismatch):
        read_header(Path("x"), (MAGIC + len(encoded).to_bytes(4, "little") + encoded).ljust(DATA, b"\0"))


def test_a_file_of_another_model_is_refused(file: Path) -> None:
    for shape, source in ((replace(SMALL, vocabulary=8), "sha256:source"), (SMALL, "sha256:other")):
        with pytest.raises(Mismatch, match="packed weights"):
            read_packed(file, shape, source)


def test_a_file_that_others_may_write_is_refused(file: Path) -> None:
    file.chmod(0o464)
    with pytest.raises(Mismatch) as problem:
        read_packed(file, SMALL, "sha256:source")
    assert problem.value.expected == "a file that nobody else may write"


def test_unhashed_only_the_numbers_are_believed(file: Path) -> None:
    file.chmod(0o644)
    with file.open("r+b") as stream:
        stream.seek(DATA)
        stream.write(b"\xff")
    with pytest.raises(Mismatch):
        read_packed(file, SMALL, "sha256:source")
    assert read_packed(file, SMALL, "sha256:source", hashed=False).data[0] == 0xFF


def test_a_file_that_is_not_there_and_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(DiskError):
        read_packed(tmp_path / "none", SMALL, "")
    (tmp_path / "file").touch()
    with pytest.raises(DiskError) as problem:
        write_packed(tmp_path / "file" / "m.tiles", some(), "")
    assert problem.value.found == os.strerror(17)


def test_rounding_to_bf16() -> None:
    values = np.array([0, -0.0, 1, 1 + 2**-8, 1 + 3 * 2**-8, -1.003, 1e-39, 2.0**-126, 3.3895e38], np.float32)
    due = [0, -0.0, 1, 1, 1 + 2**-6, -1, 0, 2.0**-126, 3.3895314e38]
    np.testing.assert_array_equal(from_bf16(to_bf16(values)), np.array(due, np.float32))


@given(outputs=st.integers(1, 70), inputs=st.integers(1, 70))
def test_tiles_hold_a_matrix_and_zeros_around_it(outputs: int, inputs: int) -> None:
    weight = np.arange(1, outputs * inputs + 1, dtype=np.float32).reshape(outputs, inputs) % 251
    tiles = to_tiles(weight)
    back = from_tiles(tiles)
    np.testing.assert_array_equal(back[:outputs, :inputs], weight)
    assert back.sum() == weight.sum()
    # one number, by the drawing: output 17 of its block in the second half, input 5 in the third pair
    if outputs > 17 and inputs > 5:
        assert from_bf16(tiles[0, 0, 1, 2, 1, 1]) == weight[17, 5]


def test_heads_are_spread_over_whole_panels() -> None:
    np.testing.assert_array_equal(spread_heads(np.array([1, 2, 3, 4]), 2, 3, axis=0), [1, 2, 0, 3, 4, 0])
    np.testing.assert_array_equal(spread_heads(np.array([[1, 2], [3, 4]]), 2, 2, axis=1), [[1, 0, 2, 0], [3, 0, 4, 0]])
