"""Every kernel by itself, in the double, against numpy: random shapes, all edges of tiles, extreme numbers."""

from __future__ import annotations

import ctypes
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hardtack.runtime.native.tiling import from_bf16, to_bf16, to_tiles
from tests.double import SOURCES, double, double_file, script

Floats = NDArray[np.float32]
TOKENS = st.one_of(st.sampled_from((1, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64)), st.integers(1, 70))
FEW = settings(max_examples=25, deadline=None)


@FEW
@given(outputs=st.integers(1, 70), inputs=st.integers(1, 70), seed=st.integers(0, 2**32 - 1))
def test_the_library_packs_as_numpy_does(outputs: int, inputs: int, seed: int) -> None:
    weight = randoms(seed, outputs, inputs)
    weight.flat[0] = 1e-39
    np.testing.assert_array_equal(double().tiler.tiles(weight), to_tiles(weight))
    np.testing.assert_array_equal(double().tiler.tiles(weight.T), to_tiles(weight.T))
    np.testing.assert_array_equal(double().tiler.round(weight), to_bf16(weight))


@pytest.fixture(scope="module")
def kernels() -> ctypes.CDLL:
    return ctypes.CDLL(str(double_file()))


def at(array: NDArray[Any]) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


def randoms(seed: int, *shape: int, spread: float = 1.0) -> Floats:
    return np.random.default_rng(seed).normal(0, spread, shape).astype(np.float32)


def rounded(values: Floats) -> NDArray[np.float64]:
    """What bf16 makes of numbers, to reckon on with in float64."""
    return from_bf16(to_bf16(values)).astype(np.float64)


def near_bf16(made: Floats, due: NDArray[np.float64]) -> None:
    """Equal but for one rounding to bf16, and float32's errors before it."""
    np.testing.assert_allclose(made, due, rtol=2**-8, atol=1e-5 * max(1.0, float(np.abs(due).max())))


def lanes(kernels: ctypes.CDLL, kind: int, values: Floats) -> Floats:
    made = np.empty_like(values)
    kernels.hardtack_test_lanes(kind, len(values), at(values), at(made))
    return made


def test_the_constants_are_those_that_the_fit_gives() -> None:
    header = (SOURCES / "vectors.h").read_text()
    for name, literals in script("derive").constants().items():
        body = re.search(rf"{name}\[\] = {{([^}}]*)}}", header)
        assert body is not None
        assert body.group(1).replace("\n", " ").replace(" ", "").split(",") == literals


@pytest.mark.parametrize(("kind", "tanh"), [(0, False), (1, True)])
def test_gelu_is_near_its_definition(kernels: ctypes.CDLL, kind: int, tanh: bool) -> None:
    x = np.linspace(-30, 30, 16 * 2000, dtype=np.float32)
    if tanh:
        due = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x.astype(np.float64) ** 3)))
    else:
        due = x * np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in x])
    assert np.abs(lanes(kernels, kind, x) - due).max() < 2.1e-4


def test_gelu_passes_on_what_is_no_number(kernels: ctypes.CDLL) -> None:
    x = np.zeros(16, np.float32)
    x[:3] = (np.nan, np.inf, 1e30)
    made = lanes(kernels, 0, x)
    assert np.isnan(made[0])
    assert made[1] == np.inf
    assert made[2] == np.float32(1e30)


def test_exp2_is_near_its_definition(kernels: ctypes.CDLL) -> None:
    x = -np.linspace(0, 125.5, 16 * 2000, dtype=np.float32)
    np.testing.assert_allclose(lanes(kernels, 2, x), np.exp2(x.astype(np.float64)), rtol=3e-6)
    far = np.full(16, -126.5, np.float32)
    far[1:4] = (-np.inf, -1e38, np.nan)
    made = lanes(kernels, 2, far)
    assert np.isnan(made[3])
    assert (np.delete(made, 3) == 0).all()


def test_rounding_is_numpys(kernels: ctypes.CDLL) -> None:
    values = np.random.default_rng(0).integers(0, 2**32, 1 << 16, dtype=np.uint32).view(np.float32)
    values[:16] = (0, -0.0, 1, 1 + 2**-8, 1 + 3 * 2**-8, 1e-39, -1e-39, 3.3895e38, 3.4e38, np.inf, -np.inf, np.nan,
                   1e-38, 1.1754944e-38, -1, 2**-126)  # fmt: skip
    with np.errstate(all="ignore"):
        made = lanes(kernels, 3, values)
    numbers = ~np.isnan(values)
    np.testing.assert_array_equal(made[numbers].view(np.uint32), from_bf16(to_bf16(values))[numbers].view(np.uint32))
    assert np.isnan(made[~numbers]).all()


def test_transposition(kernels: ctypes.CDLL) -> None:
    given_ = np.arange(256, dtype=np.uint32).reshape(16, 16)
    made = np.empty_like(given_)
    kernels.hardtack_test_transpose(at(given_), at(made))
    np.testing.assert_array_equal(made, given_.T)


@FEW
@given(seed=st.integers(0, 2**32 - 1), power=st.integers(-60, 60))
def test_a_dot_of_tiles_rounds_as_the_manual_says(kernels: ctypes.CDLL, seed: int, power: int) -> None:
    """Even and odd k apart, one rounding a step, denormals as zero: in numpy, step by step."""
    rng = np.random.default_rng(seed)
    a, b = (to_bf16((rng.normal(size=(16, 32)) * 2.0**power).astype(np.float32)) for _ in range(2))
    a[0, :4] = (1, 0x8001, 0x7F, 0x80)  # denormals, and the least normal number
    c = (rng.normal(size=(16, 16)) * 2.0 ** (2 * power)).astype(np.float32)
    due = c.copy()
    kernels.hardtack_test_dot(at(a), at(b), at(c))
    left, right = (from_bf16(np.where(x & 0x7F80, x, x & 0x8000).astype(np.uint16)).astype(np.float64) for x in (a, b))
    pairs = right.reshape(16, 16, 2)
    halves = []
    for odd in (0, 1):
        total = np.zeros((16, 16), np.float64)
        for pair in range(16):
            step = left[:, 2 * pair + odd, None] * pairs[pair, None, :, odd]  # exact: 16 bits of mantissa
            total = flushed(step + total)
        halves.append(total)
    np.testing.assert_array_equal(c, flushed(flushed(due) + flushed(halves[0] + halves[1])).astype(np.float32))


def flushed(values: NDArray[Any]) -> NDArray[np.float64]:
    """Rounded to float32, and what is not a normal number of it to zero."""
    single = values.astype(np.float32)
    return np.where(np.abs(single) < np.finfo(np.float32).tiny, np.float32(0), single).astype(np.float64)


@FEW
@given(tokens=TOKENS, inputs=st.integers(1, 5), outputs=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_product(kernels: ctypes.CDLL, tokens: int, inputs: int, outputs: int, seed: int) -> None:
    x, weight = randoms(seed, tokens, 32 * inputs), randoms(seed + 1, 32 * outputs, 32 * inputs)
    made = np.empty((tokens, 32 * outputs), np.float32)
    tiles = to_tiles(weight)
    kernels.hardtack_test_product(tokens, 32 * inputs, 32 * outputs, at(x), at(tiles), at(made))
    near_bf16(made, rounded(x) @ rounded(weight).T)


@FEW
@given(tokens=TOKENS, first=st.integers(0, 3), blocks=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
def test_accumulation_over_a_slice_of_inputs(
    kernels: ctypes.CDLL, tokens: int, first: int, blocks: int, seed: int
) -> None:
    x, weight = randoms(seed, tokens, 32 * blocks), randoms(seed + 1, 64, 32 * (first + blocks + 1))
    made = randoms(seed + 2, tokens, 64)
    part = rounded(weight)[:, 32 * first : 32 * (first + blocks)]
    due = made + rounded(x) @ part.T
    tiles = to_tiles(weight)
    kernels.hardtack_test_accumulate(tokens, weight.shape[1], 64, first, blocks, at(x), at(tiles), at(made))
    np.testing.assert_allclose(made, due, rtol=1e-5, atol=1e-4)


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp2(scores - scores.max(1, keepdims=True))
    made: NDArray[np.float64] = raised / raised.sum(1, keepdims=True)
    return made


@FEW
@given(
    tokens=TOKENS, before=st.integers(0, 20), after=st.integers(0, 20), wide=st.integers(1, 3), biased=st.booleans(),
    spread=st.sampled_from((0.3, 3.0, 1000.0)), seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_attention_of_a_text_between_others(
    kernels: ctypes.CDLL, tokens: int, before: int, after: int, wide: int, biased: bool, spread: float, seed: int
) -> None:
    total = before + tokens + after
    q, k, v = (randoms(seed + n, total, 32 * wide, spread=s) for n, s in enumerate((spread, 1.0, 1.0)))
    k[:before], v[before + tokens :] = np.nan, np.inf  # what is not this text's must not be looked at
    far = 100
    bias = randoms(seed + 3, 2 * far + 64)
    made = np.empty_like(q)
    line = at(bias) if biased else None
    kernels.hardtack_test_attention(total, before, tokens, wide, at(q), at(k), at(v), line, far, at(made))
    own = slice(before, before + tokens)
    scores = rounded(q[own]) @ rounded(k[own]).T
    if biased:
        place = np.arange(tokens)
        scores = scores + bias[far + place[None, :] - place[:, None]]
    due = softmax(scores) @ rounded(v[own])
    # each share was rounded to bf16, and the result
    np.testing.assert_allclose(made[own], due, rtol=0.02, atol=0.02)
    others = np.r_[0:before, before + tokens : total]
    np.testing.assert_array_equal(made[others], rounded(q)[others])


def test_extreme_scores_pick_one_key(kernels: ctypes.CDLL) -> None:
    q, k = np.full((20, 32), 1e4, np.float32), np.full((20, 32), -1e4, np.float32)
    k[7] = 1e4
    v = randoms(0, 20, 32)
    made = np.empty_like(q)
    kernels.hardtack_test_attention(20, 0, 20, 1, at(q), at(k), at(v), None, 0, at(made))
    np.testing.assert_array_equal(made, np.broadcast_to(rounded(v)[7], made.shape))


@FEW
@given(tokens=TOKENS, panels=st.integers(1, 6), biased=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_normalising(kernels: ctypes.CDLL, tokens: int, panels: int, biased: bool, seed: int) -> None:
    size = 16 * panels
    stream = randoms(seed, tokens, size)
    scale, shift, bias = randoms(seed + 1, 3, size)
    x = stream.astype(np.float64)
    centred = x - x.mean(1, keepdims=True)
    due = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5) * scale + shift
    copy = np.empty_like(stream)
    line = at(bias) if biased else None
    kernels.hardtack_test_normalize(
        tokens, size, at(scale), at(shift), ctypes.c_float(1e-5), line, at(stream), at(copy)
    )  # fmt: skip
    near_bf16(copy, due)
    np.testing.assert_allclose(stream, due + bias if biased else due, rtol=1e-4, atol=1e-5)


@FEW
@given(tokens=st.integers(0, 40), greatest=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_pooling(kernels: ctypes.CDLL, tokens: int, greatest: bool, seed: int) -> None:
    x = randoms(seed, tokens, 32)
    weight = np.maximum(randoms(seed + 1, tokens), 0)
    x[weight == 0] = np.nan  # what does not count must not be looked at
    made = np.empty(32, np.float32)
    kernels.hardtack_test_pool(tokens, 32, int(greatest), at(x), at(weight), at(made))
    counted = weight > 0
    if greatest:
        due = x[counted].max(0, initial=-np.inf)
        np.testing.assert_array_equal(made, due)
    else:
        np.testing.assert_allclose(made, x[counted].T @ weight[counted], rtol=1e-5, atol=1e-5)


@FEW
@given(inputs=st.integers(1, 4), outputs=st.integers(1, 40), tanh=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_a_layer_of_a_head(kernels: ctypes.CDLL, inputs: int, outputs: int, tanh: bool, seed: int) -> None:
    rows, bias, x = randoms(seed, outputs, 16 * inputs), randoms(seed + 1, outputs), randoms(seed + 2, 16 * inputs)
    made = np.empty(outputs, np.float32)
    kernels.hardtack_test_dense(16 * inputs, outputs, int(tanh), at(rows), at(bias), at(x), at(made))
    due = rows.astype(np.float64) @ x + bias
    np.testing.assert_allclose(made, np.tanh(due) if tanh else due, rtol=1e-5, atol=1e-5)


@FEW
@given(lengths=st.lists(st.integers(0, 300), max_size=300), most=st.sampled_from((192, 448)), threads=st.integers(1, 8))
def test_a_batch_is_cut_into_whole_texts(kernels: ctypes.CDLL, lengths: list[int], most: int, threads: int) -> None:
    given_ = np.array(lengths, np.int32)
    made = np.zeros((len(lengths) + 1, 4), np.int32)
    count = kernels.hardtack_test_cut(len(lengths), at(given_), most, threads, at(made))
    chunks = made[:count]
    starts = np.concatenate([[0], np.cumsum(given_)])
    text = 0
    for first_text, texts, first_token, tokens in chunks:
        assert (first_text, first_token) == (text, starts[text])
        assert texts > 0
        text += int(texts)
        assert tokens == starts[text] - first_token
        assert tokens <= most or np.count_nonzero(given_[first_text:text]) == 1
    assert text == len(lengths)
    if sum(lengths) >= 64 * threads and max(lengths) <= 64:
        assert count >= threads  # nobody stands idle
