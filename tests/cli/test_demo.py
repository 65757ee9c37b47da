from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What the demo says of itself, where everything that could lead it astray is set."""
    home = tmp_path_factory.mktemp("home")
    env = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
    env |= {"HOME": str(home), "HF_TOKEN": "hf_secret", "HF_ENDPOINT": "http://192.0.2.1", "HF_HUB_OFFLINE": "1"}
    env |= {"HTTP_PROXY": "http://192.0.2.1:3128", "http_proxy": "http://192.0.2.1:3128"}
    command = [sys.executable, "-W", "error", "-m", "hardtack", "demo", "--json"]
    done = subprocess.run(command, env=env, cwd=home, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report, home


def test_it_goes_the_whole_way(told: tuple[dict[str, Any], Path]) -> None:
    steps = [step["step"] for step in told[0]["steps"]]
    assert steps == ["mirror", "lock", "pull", "bake", "prove", "ask embed", "ask rerank", "ask classify"]
    assert {step["step"] for step in told[0]["steps"] if step["bytes"]} == {"pull", "bake", "prove"}


def test_its_answers_need_no_apology(told: tuple[dict[str, Any], Path]) -> None:
    answers = {answer["task"]: answer["answered"] for answer in told[0]["answers"]}
    assert "The lamp is switched on in the morning" in answers["embed"]
    assert "Raise the thermostat" in answers["rerank"]
    assert "category: security" in answers["classify"]


def test_nothing_tried_the_network_but_the_control(told: tuple[dict[str, Any], Path]) -> None:
    assert told[0]["denied"] == 0
    assert told[0]["control_denied"] == 1


def test_it_leaves_nothing_behind(told: tuple[dict[str, Any], Path]) -> None:
    assert list(told[1].iterdir()) == []
