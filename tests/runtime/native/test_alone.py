"""The native engine where OpenVINO is not installed: a process of its own loads a pantry and imports none of it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hardtack.bake.pantry import bake
from hardtack.bake.stock import Origins, Shape
from hardtack.build.tiles import packed_build
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.load import Options, load_model
from hardtack.spec.lock import Lock, LockedModel
from hardtack.spec.words import EngineName, Task
from tests.double import double_file
from tests.models import make_bert
from tests.runtime.fakes import lock_of

ALONE = """
import sys
from pathlib import Path
sys.modules["openvino"] = None  # as if it were not installed
import hardtack
from hardtack.runtime import choosing
from hardtack.runtime.native import library
able = library.ability_of(Path(sys.argv[1]))
library.ability = lambda: able
choosing.missing = lambda: None
model = hardtack.load_embedder("emb")
print(model.engine.name, *model.encode("the cat sits")[:3])
print([name for name in sys.modules if name.startswith("openvino") and sys.modules[name]])
model.close()
"""


@pytest.fixture
def model(tmp_path: Path) -> LockedModel:
    """Baked for the native engine alone."""
    directory = make_bert(tmp_path / "emb")
    model = replace(lock_of(directory), engine=EngineName.NATIVE)
    model = replace(model, builds=(packed_build(model, directory, tmp_path / "builds"),))
    origins = Origins({"emb": directory}, builds=tmp_path / "builds")
    bake(Lock("", (model,)), origins, tmp_path / "pantry", shape=Shape(slim=True))
    return model


def run(tmp_path: Path, program: str, **more: str) -> list[str]:
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "HARDTACK_PANTRY": str(tmp_path / "pantry"), **more}
    done = subprocess.run([sys.executable, "-W", "error", "-c", program, str(double_file())], env=env,
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_it_needs_no_openvino(model: LockedModel, tmp_path: Path) -> None:
    said, imported = run(tmp_path, ALONE, HARDTACK_VERIFY="full")  # which asks the golden answers, too
    assert imported == "[]"
    engine, *numbers = said.split()
    assert engine == "native"
    with closing(
        load_model(tmp_path / "emb", Task.EMBED, locked=model, source="store", options=Options(EngineName.OPENVINO))
    ) as theirs:
        assert isinstance(theirs, Embedder)
        np.testing.assert_allclose([float(each) for each in numbers], theirs.encode("the cat sits")[:3], atol=0.03)
