"""How much hardtack adds to a slim base, with the real all-MiniLM-L6-v2 aboard: with OpenVINO, and without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hardtack.runtime.instructions import read_instructions
from tests.containers.tools import Engine
from tests.containers.yard import Yard, until_ready

pytestmark = [pytest.mark.containers, pytest.mark.real]

REPO = "sentence-transformers/all-MiniLM-L6-v2"


def megabytes(docker: Engine, image: str) -> float:
    """The size of an image."""
    return float(json.loads(docker("image", "inspect", "--format", "{{.Size}}", image))) / 1e6


def test_the_slim_minilm_image_adds_350_mb_at_most(
    tmp_path: Path, minilm: Path, docker: Engine, wheels: str, base: str
) -> None:
    manifest = f'[models.emb]\ntask = "embed"\nrepo = "{REPO}"\n'
    with Yard(tmp_path, wheels, base, manifest, {REPO: minilm}) as yard:
        yard.build(docker, "minilm:1")
    assert megabytes(docker, "minilm:1") - megabytes(docker, base) <= 350
    with docker.running("minilm:1", "--memory", "512m") as container:
        until_ready(docker, container)


def test_the_image_for_the_native_engine_alone_has_no_openvino_and_adds_230_mb_at_most(
    tmp_path: Path, minilm: Path, docker: Engine, wheels: str, base: str
) -> None:
    manifest = f'[models.emb]\ntask = "embed"\nrepo = "{REPO}"\nengine = "native"\n'
    with Yard(tmp_path, wheels, base, manifest, {REPO: minilm}) as yard:
        for arguments in (["pull"], ["build"], ["scaffold", "docker", "--base", base, "--force"]):
            done = yard.run(*arguments)
            assert done.returncode == 0, done.stderr
        yard.build(docker, "minilm-native:1")
    assert megabytes(docker, "minilm-native:1") - megabytes(docker, base) <= 230
    look = (
        "import importlib.util as u, pathlib as p; m = p.Path('/models/emb');"
        "print(u.find_spec('openvino'), *(len(list(m.rglob(name))) for name in ('*.safetensors', 'weights.tiles')))"
    )
    assert docker("run", "--rm", "minilm-native:1", "python", "-c", look).strip() == "None 0 1"
    assert "as locked" in docker("run", "--rm", "--network", "none", "minilm-native:1", "hardtack", "verify", "/models")
    if read_instructions().tiles:
        with docker.running("minilm-native:1", "--memory", "256m") as container:
            until_ready(docker, container)
    else:
        said = docker.fails("run", "--rm", "--network", "none", "minilm-native:1")
        assert "the CPU has no AMX" in said
        assert "mend" in said
