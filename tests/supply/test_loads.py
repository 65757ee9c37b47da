"""What hardtack pulled, transformers and sentence-transformers load by name, and ask nobody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hardtack.mirror import Served
from hardtack.places import Store
from hardtack.spec.lock import Lock
from hardtack.spec.manifest import WantedModel
from hardtack.spec.words import Task
from hardtack.supply.hub import Hub
from hardtack.supply.pull import pull
from hardtack.supply.resolve import resolve
from tests.hub import FixtureHub, client_environment

STATIC = """
from sentence_transformers import SentenceTransformer
assert SentenceTransformer(NAME, revision=REVISION, device="cpu").encode(["a"]).shape == (1, 128)
"""
CROSS = """
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification, AutoTokenizer
assert CrossEncoder(NAME, revision=REVISION, device="cpu").predict([("a", "b")]).shape == (1,)
AutoTokenizer.from_pretrained(NAME, revision=REVISION)
AutoModelForSequenceClassification.from_pretrained(NAME, revision=REVISION)
"""
LOADS = {
    "derived--m2v-MiniLM-L6-128": (Task.EMBED, STATIC),
    "trained--ce-MiniLM-L6-stsb": (Task.RERANK, CROSS),
}


@pytest.mark.torch
@pytest.mark.real
@pytest.mark.parametrize("name", LOADS)
@pytest.mark.parametrize("by", ["main", "commit"])
def test_by_name_offline_with_no_request(real_dir: Path, tmp_path: Path, name: str, by: str) -> None:
    task, program = LOADS[name]
    home, repo = tmp_path / "home", f"org/{name.replace('--', '-')}"
    store = Store(home / "hf" / "hub", home / "hf" / "hardtack")
    with FixtureHub(Served(repo, real_dir / "models" / name)) as fixture:
        hub = Hub(fixture.url)
        model = resolve(WantedModel("key", task, repo), hub, store)
        assert fixture.count("GET", "model.safetensors") == 0
        pull(Lock("", (model,)), store, hub)
        fixture.forget()
        revision = model.commit if by == "commit" else "main"
        done = subprocess.run(
            [sys.executable, "-c", program.replace("NAME", repr(repo)).replace("REVISION", repr(revision))],
            env=client_environment(fixture.url, home) | {"HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert fixture.seen == []
