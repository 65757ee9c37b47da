"""The real all-MiniLM-L6-v2 the whole way by the command line: mirror, lock, pull, bake, prove; then its users."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hardtack.mirror import Served
from hardtack.offline.guard import run_guarded
from tests.hub import FixtureHub

pytestmark = pytest.mark.real

REPO = "sentence-transformers/all-MiniLM-L6-v2"
COMMIT = "fa97f6e7cb1a59073dff9e6b13e2715cf7475ac9"
TEXTS = ["Light turns on at 7 AM", "The lamp is switched on in the morning", "The garage door is closed"]

# prints what it tried to open and what it left in its home, as well as the vectors
USER = """
import json, os, sys
from hardtack import load_embedder
embedder = load_embedder("emb")
vectors = embedder.encode(sys.argv[1:])
print(json.dumps({"vectors": vectors.tolist(), "home": sorted(os.listdir(os.environ["HOME"])),
                  "torch": "torch" in sys.modules, "space": embedder.space}))
"""
PLAIN = """
import json, sys
from sentence_transformers import SentenceTransformer
print(json.dumps(SentenceTransformer(sys.argv[1]).encode(sys.argv[2:]).tolist()))
"""


@pytest.fixture(scope="module")
def voyage(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was locked, pulled and baked; the mirror is gone by the time of the tests."""
    folder = tmp_path_factory.mktemp("voyage")
    with FixtureHub(Served(REPO, minilm, commit=COMMIT)) as hub:
        for verb in (("init",), ("add", "all-MiniLM-L6-v2"), ("lock",), ("pull",), ("bake",)):
            done = hardtack(folder, *verb, HF_ENDPOINT=hub.url)
            assert done.returncode == 0, done.stderr
    return folder


def environment(folder: Path, **more: str) -> dict[str, str]:
    import os

    home = folder / "home"
    home.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
    return kept | {"HOME": str(home), "HF_HOME": str(folder / "hf")} | more


def hardtack(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hardtack", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(folder, **more), capture_output=True, text=True)


def test_91_mb_of_977_are_locked_at_the_real_commit(voyage: Path) -> None:
    model = json.loads(hardtack(voyage, "list", "--json").stdout)["models"][0]
    assert (model["commit"], model["license"], model["files"], model["size"]) == (COMMIT, "apache-2.0", 10, 91_567_913)


def test_it_is_proven(voyage: Path) -> None:
    done = hardtack(voyage, "prove", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, report["why"]
    [model] = report["models"]
    assert model["attempts"] == []
    assert model["drift"]["good"]


def test_a_process_that_imports_loads_and_embeds_opens_no_socket_and_leaves_its_home_alone(
    voyage: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    env = environment(voyage, HARDTACK_PANTRY=str(voyage / "pantry"))
    with out.open("wb") as file:
        watched = run_guarded([sys.executable, "-c", USER, *TEXTS], env=env, stdout=file)
    assert watched.returncode == 0
    assert watched.attempts == ()
    said = json.loads(out.read_text())
    assert said["home"] == []
    assert said["torch"] is False
    vectors = np.asarray(said["vectors"])
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


@pytest.mark.torch
@pytest.mark.parametrize("offline", [{"HF_HUB_OFFLINE": "1"}, {}])
def test_plain_sentence_transformers_loads_the_pantry_with_the_network_denied(
    voyage: Path, tmp_path: Path, offline: dict[str, str]
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", PLAIN, str(voyage / "pantry/emb"), *TEXTS]
    with out.open("wb") as file:
        watched = run_guarded(command, env=environment(voyage, **offline), stdout=file, stderr=subprocess.DEVNULL)
    assert watched.returncode == 0
    theirs = np.asarray(json.loads(out.read_text()))
    env = {"HARDTACK_PANTRY": str(voyage / "pantry")}
    ours = np.asarray(json.loads(hardtack(voyage, "embed", "--json", *TEXTS, **env).stdout)["vectors"])
    assert (ours * theirs).sum(axis=1).min() > 0.999  # ours in whatever this CPU is best at; fp32 is test_parity's


def test_a_byte_changed_in_the_pantry_is_refused(voyage: Path, tmp_path: Path) -> None:
    assert hardtack(voyage, "bake", str(tmp_path / "spoiled")).returncode == 0
    for name in ("model.safetensors", "tokenizer.json", "vocab.txt", "1_Pooling/config.json"):
        path = tmp_path / "spoiled/emb" / name
        path.chmod(0o644)
        right = path.read_bytes()
        wrong = bytearray(right)
        wrong[len(wrong) // 3] ^= 1
        path.write_bytes(wrong)
        done = hardtack(voyage, "embed", "x", HARDTACK_PANTRY=str(tmp_path / "spoiled"))
        assert (done.returncode, done.stdout) == (1, ""), name
        assert name in done.stderr
        path.write_bytes(right)
