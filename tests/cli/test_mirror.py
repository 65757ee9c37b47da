"""``hardtack mirror`` as it is typed: what it serves, whom it asks for a token, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hardtack.offline.guard import can_guard
from hardtack.spec.lock import Lock
from hardtack.spec.lock_text import read_lock, write_lock
from tests.hub import client_environment
from tests.voyage import Voyage


@pytest.fixture(scope="module")
def voyage(tmp_path_factory: pytest.TempPathFactory) -> Voyage:
    """A project that was pulled from a Hub that is gone."""
    made = Voyage(tmp_path_factory.mktemp("voyage"))
    with made:
        made.project.lock()
        made.project.pull()
    return made


@contextmanager
def mirror(voyage: Voyage, *arguments: str, **more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``hardtack mirror ARGUMENTS`` that serves, and its address."""
    command = [sys.executable, "-W", "error", "-m", "hardtack", "mirror", "--port", "0", *arguments]
    with subprocess.Popen(
        command, cwd=voyage.folder, env=voyage.environment(**more), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = []
        try:
            for line in process.stderr:
                said.append(line)
                if found := re.search(r"HF_ENDPOINT=(\S+)", line):
                    yield process, found[1]
                    break
            else:
                pytest.fail("".join(said))
        finally:
            process.kill()


def asked(url: str) -> object:
    with urllib.request.urlopen(url) as response:
        return json.loads(response.read())


def test_the_projects_lock_is_served_and_no_more(voyage: Voyage, tmp_path: Path) -> None:
    lock = read_lock(voyage.folder / "hardtack.lock")
    with mirror(voyage) as (process, url):
        assert {each["id"] for each in asked(f"{url}/api/models")} == {"tiny/bert", "tiny/ranker", "tiny/t5"}  # type: ignore[attr-defined]
        code = "from huggingface_hub import snapshot_download; print(snapshot_download('tiny/bert'))"
        done = subprocess.run([sys.executable, "-c", code], env=client_environment(url, tmp_path), capture_output=True,
                              text=True, check=True)  # fmt: skip
        there = {str(path.relative_to(done.stdout.strip())) for path in Path(done.stdout.strip()).rglob("*.*")}
        assert there == {file.path for file in lock.find("emb").files}
        if can_guard().able:
            status = Path(f"/proc/{process.pid}/status").read_text()
            assert "Seccomp:\t2\n" in status, "it listens, and the kernel lets it open no other socket"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_told(voyage: Voyage, number: signal.Signals) -> None:
    with mirror(voyage, "-q") as (process, _):
        process.send_signal(number)
        assert process.wait(timeout=30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def gated_lock(voyage: Voyage, folder: Path) -> str:
    lock = read_lock(voyage.folder / "hardtack.lock")
    models = tuple(replace(model, gated=model.key == "emb") for model in lock.models)
    write_lock(Lock(lock.manifest, models), folder / "gated.lock")
    return str(folder / "gated.lock")


def test_what_is_gated_needs_a_token(voyage: Voyage, tmp_path: Path) -> None:
    lock = gated_lock(voyage, tmp_path)
    refused = voyage.run("mirror", "--lock", lock)
    assert refused.returncode == 2
    assert "tiny/bert" in refused.stderr
    assert voyage.run("mirror", "--gated", "org/stranger", "--token", "t").returncode == 2
    assert voyage.run("mirror", "--gated-only").returncode == 2
    with mirror(voyage, "--lock", lock, "--gated-only", HARDTACK_MIRROR_TOKEN="t0ken") as (_, url):
        assert asked(f"{url}/tiny/ranker/resolve/main/config.json")
        with pytest.raises(urllib.error.HTTPError, match="403"):
            asked(f"{url}/tiny/bert/resolve/main/config.json")
        request = urllib.request.Request(f"{url}/tiny/bert/resolve/main/config.json")
        request.add_header("Authorization", "Bearer t0ken")
        with urllib.request.urlopen(request) as response:
            assert response.status == 200


def test_a_folder_given_by_hand_may_be_gated(voyage: Voyage) -> None:
    folder = f"org/mine={voyage.root / 'bert'}"
    assert voyage.run("mirror", "--model", folder, "--gated", "org/mine").returncode == 2
    with (
        mirror(voyage, "--model", folder, "--gated", "org/mine", "--token", "t") as (_, url),
        pytest.raises(urllib.error.HTTPError, match="401"),
    ):
        asked(f"{url}/api/models")


def test_an_address_for_everybody_is_said_to_be_one(voyage: Voyage) -> None:
    with mirror(voyage, "--host", "0.0.0.0", "--model", f"org/mine={voyage.root / 'bert'}") as (process, url):
        assert "0.0.0.0" not in url
        assert process.stderr is not None
        assert "--token" in process.stderr.readline()
