"""Every architecture of the guides against torch in fp32: the limits of docs/parity.md, two layers of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hardtack.errors import UnsupportedModel
from hardtack.spec.words import Precision
from tests.shapes import COSINE, SHAPES, Shape, made_up, measure

pytestmark = [
    pytest.mark.torch,
    # theirs, while importing and loading: nothing this project could mend
    pytest.mark.filterwarnings("ignore"),
]
RANDOM = [shape for shape in SHAPES if shape.make]
REAL = [shape for shape in SHAPES if not shape.make]


def check(shape: Shape, directory: Path, precision: Precision, texts: list[str]) -> None:
    try:
        figures = measure(shape, directory, texts, precision)
    except UnsupportedModel as problem:
        if precision is Precision.FP32 or "does not execute" not in problem.what:
            raise
        pytest.skip("this CPU does not multiply bf16")
    assert figures.cosine >= COSINE[precision]
    if precision is Precision.FP32:
        assert figures.swapped == 0


@pytest.mark.parametrize("precision", COSINE)
@pytest.mark.parametrize("shape", RANDOM, ids=lambda shape: shape.name)
def test_random_weights(shape: Shape, precision: Precision, tmp_path: Path) -> None:
    check(shape, shape.lay_out(tmp_path, full=False), precision, made_up(24, 16))


@pytest.mark.real
@pytest.mark.parametrize("precision", COSINE)
@pytest.mark.parametrize("shape", REAL, ids=lambda shape: shape.name)
def test_real_weights(
    shape: Shape, precision: Precision, real_dir: Path, request: pytest.FixtureRequest,
    some_of_cranfield: Callable[[int], list[str]],
) -> None:  # fmt: skip
    directory = request.getfixturevalue("minilm") if shape.real == "minilm" else real_dir / shape.real
    check(shape, directory, precision, some_of_cranfield(24))


@pytest.fixture(scope="module")
def some_of_cranfield(real_dir: Path) -> Callable[[int], list[str]]:
    from tests.cranfield import texts

    return lambda count: texts(real_dir, count)
