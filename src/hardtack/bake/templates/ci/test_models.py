"""The models that this project ships: they answer with no network, and a second start fetches nothing.

Written by ``hardtack scaffold ci``; yours from here on. Run it where ``hardtack pull`` and ``hardtack bake`` have run.
"""

import json
import subprocess

ASK = """
from hardtack import get_model_manager
models = get_model_manager()
for key, task in models.tasks.items():
    model = models.load(key)
    if task == "embed":
        assert model.encode(["a light turns on"]).shape == (1, model.dim)
    elif task == "rerank":
        assert len(model.rank("lights", ["a light turns on", "rain"])) == 2
    elif task == "classify":
        assert model.classify("a light turns on")
print("answered:", *models.tasks)
"""


def hardtack(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command line, with what it said."""
    return subprocess.run(["hardtack", *arguments], capture_output=True, text=True, timeout=600)


def test_every_model_answers_with_no_network() -> None:
    """The kernel refuses every socket; --fail-on-attempt makes even a refused one a failure."""
    done = hardtack("run", "--pantry", "pantry", "--fail-on-attempt", "--", "python", "-c", ASK)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("answered:")


def test_a_second_start_fetches_nothing() -> None:
    """What was pulled is there, and right."""
    assert hardtack("pull").returncode == 0
    again = hardtack("pull", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["transferred"] == 0
