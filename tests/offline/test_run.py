"""A program told to stay offline, and kept offline."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from hardtack.errors import Misused
from hardtack.offline.run import OFFLINE, offline_environment, run_offline
from hardtack.settings import read_settings

LISTEN = "import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM)"
ADDRESSES = "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)"


def test_huggingface_hub_listens(tmp_path: Path) -> None:
    """In a process of its own, as its constants are read at import."""
    environ = offline_environment(
        {"PATH": "/usr/bin", "HF_HOME": str(tmp_path)}, read_settings({"HF_HOME": str(tmp_path)})
    )
    source = (
        "from huggingface_hub import constants as c; "
        "print(c.HF_HUB_OFFLINE, c.HF_HUB_DISABLE_TELEMETRY, c.HF_HUB_DISABLE_UPDATE_CHECK, c.HF_HUB_CACHE)"
    )
    said = subprocess.run([sys.executable, "-c", source], env=environ, capture_output=True, text=True, check=True)
    assert said.stdout == f"True True True {tmp_path / 'hub'}\n"


def test_hardtack_listens(tmp_path: Path) -> None:
    environ = {"HF_HUB_CACHE": str(tmp_path / "c"), "HARDTACK_PANTRY": "some/pantry", "HF_HUB_OFFLINE": "0"}
    made = offline_environment(environ, read_settings(environ))
    assert {**made, **OFFLINE} == made
    settings = read_settings(made)
    assert settings.offline
    assert settings.policy == "strict"
    assert settings.pantry == Path("some/pantry").absolute()
    assert settings.hub_cache == tmp_path / "c"


def test_a_pantry_that_nobody_named_is_not_named(tmp_path: Path) -> None:
    settings = read_settings({"HOME": str(tmp_path)})
    assert ("HARDTACK_PANTRY" in offline_environment({}, settings)) is Path("/models/hardtack.lock").exists()


@pytest.mark.usefixtures("_able")
class TestRan:
    def test_attempts_that_leave_and_one_that_cannot(self, environment: dict[str, str]) -> None:
        ran = run_offline([sys.executable, "-c", f"try:\n {LISTEN}\nexcept OSError:\n {ADDRESSES}"], environment)
        assert [attempt.what for attempt in ran.attempts] == ["socket(AF_INET, SOCK_STREAM)"]
        assert [row["leaves"] for row in ran.as_json()["attempts"]] == [True, False]
        assert ran.exit_code == 1

    @pytest.mark.parametrize(("source", "code"), [("exit 7", 7), ("kill -TERM $$", 143), ("true", 0)])
    def test_exit_codes_are_passed_on(self, source: str, code: int, environment: dict[str, str]) -> None:
        assert run_offline(["sh", "-c", source], environment).exit_code == code

    def test_no_such_program(self, environment: dict[str, str]) -> None:
        with pytest.raises(Misused):
            run_offline(["there-is-no-such-program"], environment)


def test_without_a_guard_nothing_is_claimed(environment: dict[str, str]) -> None:
    ran = run_offline([sys.executable, "-c", LISTEN], environment, guard=False)
    assert (ran.exit_code, ran.as_json()["guard"], ran.as_json()["attempts"]) == (0, "", None)


def test_every_switch_is_one_that_an_installed_library_knows() -> None:
    """Read in their sources: a switch that nobody reads any more should go."""
    roots = []
    for name in ("huggingface_hub", "transformers", "datasets"):
        if importlib.util.find_spec(name):
            found = importlib.util.find_spec(name)
            assert found
            assert found.origin
            roots.append(Path(found.origin).parent)
    text = "".join((root / file).read_text() for root in roots for file in ("constants.py", "utils/import_utils.py")
                   if (root / file).is_file())  # fmt: skip
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK",
                 "HF_HUB_DISABLE_UPDATE_CHECK"):  # fmt: skip
        assert f'"{name}"' in text
