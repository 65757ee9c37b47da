"""How much hardtack adds to a slim base, with the real all-MiniLM-L6-v2 aboard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.containers.tools import Engine
from tests.containers.yard import Yard, until_ready

pytestmark = [pytest.mark.containers, pytest.mark.real]

REPO = "sentence-transformers/all-MiniLM-L6-v2"


def test_the_slim_minilm_image_adds_350_mb_at_most(
    tmp_path: Path, minilm: Path, docker: Engine, wheels: str, base: str
) -> None:
    manifest = f'[models.emb]\ntask = "embed"\nrepo = "{REPO}"\n'
    with Yard(tmp_path, wheels, base, manifest, {REPO: minilm}) as yard:
        yard.build(docker, "minilm:1")
    sizes = [json.loads(docker("image", "inspect", "--format", "{{.Size}}", name)) for name in ("minilm:1", base)]
    added = sizes[0] - sizes[1]
    assert added <= 350e6, f"{added / 1e6:.0f} MB"
    with docker.running("minilm:1", "--memory", "512m") as container:
        until_ready(docker, container)
