"""The ecosystem's own programs: from a mirror, with an oldest and a newest huggingface_hub; then with no mirror at all.

``make test-all`` lays the two versions out (``.venv-torch/hub-oldest`` and ``hub-newest``); each shadows the installed
one for the processes of its tests. Elsewhere they are where ``HARDTACK_HUBS`` says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardtack.mirror import Served
from hardtack.offline.guard import run_guarded
from hardtack.spec.lock_text import read_lock
from tests.hub import FixtureHub, client_environment, lay_out
from tests.models import make_bert
from tests.voyage import Voyage

pytestmark = pytest.mark.torch

SOURCE = Path(__file__).resolve().parents[1] / "src"
HUBS = Path(os.environ.get("HARDTACK_HUBS") or SOURCE.parent / ".venv-torch")
HF = ("-c", "import sys; from huggingface_hub.cli.hf import main; sys.exit(main())")
LOAD = """
import json, sys
import huggingface_hub
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import AutoModel, AutoTokenizer

out, revision = sys.argv[1:]
texts = ["light turns on", "at seven"]
found = {
    "hub": huggingface_hub.__version__,
    "ids": AutoTokenizer.from_pretrained("tiny/bert", revision=revision)(texts)["input_ids"],
    "sum": sum(float(p.double().abs().sum()) for p in AutoModel.from_pretrained("tiny/bert").encoder.parameters()),
    "vectors": SentenceTransformer("tiny/bert", revision=revision, device="cpu").encode(texts).tolist(),
    "scores": CrossEncoder("tiny/ranker", device="cpu").predict([("the light", "turns on")]).tolist(),
}
with open(out, "w") as file:
    json.dump(found, file)
"""
CODE = """
import json, sys
from transformers import AutoModel
out, commit, code = sys.argv[1:]
answer = {}
try:
    AutoModel.from_pretrained("tiny/custom", revision=commit, code_revision=code)
except Exception as why:
    answer["without leave"] = f"{type(why).__name__}: {why}"
model = AutoModel.from_pretrained("tiny/custom", revision=commit, code_revision=code, trust_remote_code=True)
answer["with leave"] = model.said
with open(out, "w") as file:
    json.dump(answer, file)
"""
MODULE = """
from transformers import BertConfig, BertModel
from .helper import WORD

class CustomConfig(BertConfig):
    model_type = "custom"

class Custom(BertModel):
    config_class = CustomConfig
    said = WORD
"""


@pytest.fixture(params=["oldest", "newest"])
def version(request: pytest.FixtureRequest) -> str:
    """What goes before everything else on the path of a client, and of hardtack."""
    folder = HUBS / f"hub-{request.param}"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: make test-all lays it out")
    return os.pathsep.join((str(folder), str(SOURCE)))


@pytest.fixture
def voyage(tmp_path: Path) -> Iterator[Voyage]:
    with Voyage(tmp_path) as voyage:
        yield voyage


def guarded(program: str, out: Path, *arguments: str, env: dict[str, str]) -> Any:
    """What a program writes where the kernel allows no network; it must not even have tried."""
    log = out.with_suffix(".log")
    with log.open("wb") as file:
        watched = run_guarded(
            [sys.executable, "-c", program, str(out), *arguments], env=env, stdout=file, stderr=file, timeout=300
        )
    assert watched.returncode == 0, log.read_text()[-3000:]
    assert watched.attempts == ()
    return json.loads(out.read_text())


def test_from_a_mirror_and_then_without_one(voyage: Voyage, version: str, tmp_path: Path) -> None:
    theirs = client_environment(voyage.hub.url, tmp_path / "theirs") | {"PYTHONPATH": version}

    def run(*command: str) -> str:
        done = subprocess.run([sys.executable, *command], env=theirs, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    run(*HF, "download", "tiny/bert")
    assert "Verified" in run(*HF, "cache", "verify", "tiny/bert")
    run("-c", LOAD, str(tmp_path / "from-mirror"), "main")
    from_mirror = json.loads((tmp_path / "from-mirror").read_text())
    assert from_mirror["hub"].startswith("1.31." if "oldest" in version else ("1.", "2."))

    for verb in ("lock", "pull"):
        done = voyage.run(verb, PYTHONPATH=version)
        assert done.returncode == 0, done.stderr
    commit = read_lock(voyage.folder / "hardtack.lock").find("emb").commit
    voyage.hub.__exit__(None, None, None)
    ours = voyage.environment(PYTHONPATH=version, HF_HUB_OFFLINE="1")
    for revision in ("main", commit):
        assert guarded(LOAD, tmp_path / f"offline-{revision}", revision, env=ours) == from_mirror


def test_code_of_another_repository_is_the_locked_one_though_main_has_moved(tmp_path: Path, version: str) -> None:
    custom = make_bert(tmp_path / "custom")
    config = json.loads((custom / "config.json").read_text())
    auto_map = {"AutoConfig": "tiny/code--module.CustomConfig", "AutoModel": "tiny/code--module.Custom"}
    (custom / "config.json").write_text(json.dumps(config | {"model_type": "custom", "auto_map": auto_map}))
    old = lay_out(tmp_path / "old", {"module.py": MODULE, "helper.py": 'WORD = "locked"'})
    new = lay_out(tmp_path / "new", {"module.py": MODULE, "helper.py": 'WORD = "moved"'})
    locked, moved = "a" * 40, "b" * 40
    folder = lay_out(
        tmp_path / "project",
        {"hardtack.toml": '[models.emb]\ntask = "embed"\nrepo = "tiny/custom"\ntrust-remote-code = true\n'},
    )

    def hardtack(verb: str, url: str) -> None:
        env = client_environment(url, tmp_path / "home") | {"PYTHONPATH": version}
        command = [sys.executable, "-m", "hardtack", verb]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr

    with FixtureHub(Served("tiny/custom", custom), Served("tiny/code", old, commit=locked)) as hub:
        hardtack("lock", hub.url)
    model = read_lock(folder / "hardtack.lock").find("emb")
    assert [(code.repo, code.commit) for code in model.code] == [("tiny/code", locked)]
    with FixtureHub(
        Served("tiny/custom", custom, commit=model.commit),
        Served("tiny/code", new, commit=moved),
        Served("tiny/code", old, commit=locked, refs=("refs/tags/was",)),
    ) as hub:
        hardtack("pull", hub.url)
    env = client_environment("http://127.0.0.1:9", tmp_path / "home") | {"PYTHONPATH": version, "HF_HUB_OFFLINE": "1"}
    said = guarded(CODE, tmp_path / "answer", model.commit, locked, env=env)
    assert said["with leave"] == "locked"
    assert "trust_remote_code" in said["without leave"]
