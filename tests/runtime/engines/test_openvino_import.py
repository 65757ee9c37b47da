"""OpenVINO without its converter and its telemetry, each time in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import make_bert

SRC = Path(__file__).parents[3] / "src"

LOAD_AND_RUN = """
import sys
events = []
sys.addaudithook(lambda event, _: events.append(event) if event.startswith("socket.") else None)
from pathlib import Path
import numpy as np
from hardtack.runtime.engines.openvino import open_engine
from hardtack.runtime.read_layout import read_layout
from hardtack.runtime.weights import open_weights
from hardtack.spec.words import Task
layout = read_layout(Path(sys.argv[1]), Task.RERANK)
engine = open_engine(layout, open_weights(layout))
engine.run([{name: np.ones((2, 5), np.int64) for name in engine.info.inputs}], lambda number, rows: print(rows.shape))
engine.close()
print("sockets", events)
print("telemetry", [name for name in sys.modules if "telemetry" in name or name.startswith("openvino.tools.ovc")])
"""

OTHERS_MAY = """
from hardtack.runtime.engines.openvino_import import import_openvino
import_openvino()
from openvino.tools.ovc import convert_model
print(callable(convert_model))
"""

THEIRS_STAYS = """
import openvino
from hardtack.runtime.engines.openvino_import import import_openvino
print(import_openvino() is openvino, "openvino.tools.ovc" in __import__("sys").modules)
"""

ABSENT = """
import sys
sys.modules["openvino"] = None
from hardtack.errors import UnsupportedModel
from hardtack.runtime.engines.openvino_import import import_openvino
try:
    import_openvino()
except UnsupportedModel as problem:
    print(problem.what, problem.mend, sep=": ")
"""


def python(program: str, *arguments: str, home: Path) -> str:
    """What a fresh process with a home of its own prints."""
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(SRC), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_nothing_calls_out_and_nothing_is_left_behind(home: Path, tmp_path: Path) -> None:
    from hardtack.spec.words import Task

    directory = make_bert(tmp_path / "model", Task.RERANK)
    out = python(LOAD_AND_RUN, str(directory), home=home)
    assert out.splitlines() == ["(2, 1)", "sockets []", "telemetry []"]
    assert list(home.iterdir()) == []


def test_the_converter_can_still_be_had_by_its_name(home: Path) -> None:
    assert python(OTHERS_MAY, home=home).split() == ["True"]


def test_an_openvino_that_is_there_already_is_left_alone(home: Path) -> None:
    assert python(THEIRS_STAYS, home=home).split() == ["True", "True"]


def test_importing_the_runtime_imports_no_openvino(home: Path) -> None:
    program = (
        "import sys, hardtack.runtime.engines.openvino, hardtack.runtime.read_layout; print('openvino' in sys.modules)"
    )
    assert python(program, home=home).split() == ["False"]


def test_where_it_is_not_installed_that_is_said(home: Path) -> None:
    assert python(ABSENT, home=home).strip() == "the openvino engine is not installed: pip install openvino"
