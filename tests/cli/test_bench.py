from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from hardtack.cli.bench import measure
from hardtack.cli.bench_picture import draw_picture
from tests.voyage import Voyage


@pytest.fixture(scope="module")
def voyage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voyage]:
    with Voyage(tmp_path_factory.mktemp("voyage")) as voyage:
        voyage.project.lock()
        voyage.project.pull()
        yield voyage


def row(key: str, number: float) -> dict[str, Any]:
    return {
        "key": key, "precision": "int8", "first_answer": number, "p50": number / 10, "per_second": 100 * number,
        "peak_mb": 200.0, "loss": None,
    }  # fmt: skip


def test_models_take_turns_and_the_middle_of_every_number_counts() -> None:
    asked: list[str] = []
    numbers = count(1)

    def run(key: str) -> dict[str, Any]:
        asked.append(key)
        return row(key, float(next(numbers)))

    first, second = measure(["a", "b"], rounds=3, run=run)
    assert asked == ["a", "b"] * 3
    assert (first["key"], first["first_answer"], first["per_second"]) == ("a", 3, 300)
    assert second["first_answer"] == 4


def test_a_model_is_measured_in_a_process_of_its_own(voyage: Voyage, tmp_path: Path) -> None:
    picture = tmp_path / "bench.svg"
    done = voyage.run("bench", "static", "--rounds", "1", "--json", "--picture", str(picture))
    assert done.returncode == 0, done.stderr
    (figures,) = json.loads(done.stdout)["models"]
    assert figures["key"] == "static"
    assert figures["engine"] == "openvino"
    assert 0 < figures["p50"] <= figures["p99"] < figures["first_answer"]
    assert figures["per_second"] > 0
    assert figures["peak_mb"] > 20
    assert ET.parse(picture).getroot().tag.endswith("svg")


def test_a_model_that_does_not_load_is_said(voyage: Voyage) -> None:
    done = voyage.run("bench", "emb", "--rounds", "1", HARDTACK_ENGINE="native")
    assert done.returncode == 3
    assert "native engine does not run this model here" in done.stderr
    assert voyage.run("bench", "nobody").returncode == 2


def test_a_picture_has_a_bar_for_every_figure() -> None:
    drawn = ET.fromstring(draw_picture([row("a<b", 1.0), row("c", 2.0)]))
    bars = [each for each in drawn if each.tag.endswith("rect")]
    assert len(bars) == 8
    assert float(bars[0].get("width", "")) * 2 == float(bars[1].get("width", ""))
    assert any(each.text == "a<b (int8)" for each in drawn)
