"""A gigabyte there and back: little memory, whatever the size; killed again and again, and nothing half-done stays."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hardtack.places import Store
from hardtack.spec.digest import hash_file, tree_digest
from hardtack.spec.lock import Lock, LockedFile, LockedModel
from hardtack.spec.lock_text import write_lock
from hardtack.spec.words import Task
from tests.supply.conftest import everything

pytestmark = pytest.mark.world
SIZE, MOST = 1_000_000_000, 150_000_000  # bytes
COMMIT = "c" * 40


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project with a model of a gigabyte in its store."""
    home = tmp_path / "home"
    weights = Store(home / "hub", home / "hardtack").snapshot("org/large", COMMIT) / "model.safetensors"
    weights.parent.mkdir(parents=True)
    block = random.Random(0).randbytes(SIZE // 100)
    with weights.open("wb") as file:
        for _ in range(100):
            file.write(block)
    locked = (LockedFile("model.safetensors", SIZE, hash_file(weights, git=False).sha256),)
    digest = tree_digest((file.path, file.sha256) for file in locked)
    model = LockedModel("large", Task.FILES, "org/large", commit=COMMIT, requested="main", digest=digest, files=locked)
    write_lock(Lock("", (model,)), home / "hardtack.lock")
    return home


def started(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    env = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    command = [sys.executable, "-m", "hardtack", *arguments]
    return subprocess.Popen(command, cwd=folder, env=env | {"HOME": str(folder), "HF_HOME": str(folder)})


def peak(process: subprocess.Popen[bytes]) -> int:
    """The most memory that a process had, in bytes; it must end well."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * 1024


def killed(process: subprocess.Popen[bytes], after: float) -> None:
    time.sleep(after)  # a random moment is what is wanted
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_gigabyte_there_and_back(home: Path, tmp_path: Path) -> None:
    far = tmp_path / "far"
    assert peak(started(home, "pack", "-q", "-o", "a.tar")) < MOST
    assert peak(started(far, "unpack", "-q", "--anyway", str(home / "a.tar"))) < MOST
    assert peak(started(far, "pack", "-q", "-o", "a.tar")) < MOST
    assert hash_file(home / "a.tar") == hash_file(far / "a.tar")


def test_killed_again_and_again(home: Path, tmp_path: Path) -> None:
    moments, far = random.Random(1), tmp_path / "far"
    for _ in range(10):
        killed(started(home, "pack", "-q", "-o", "a.tar"), moments.uniform(0.2, 2))
        left = [path for path in home.iterdir() if path.name.startswith(".")]
        assert len(left) <= 1, "each removes what the one before it left"
    assert started(home, "pack", "-q", "-o", "a.tar").wait() == 0
    assert sorted(path.name for path in home.iterdir()) == ["a.tar", "hardtack.lock", "hub"]
    for _ in range(10):
        killed(started(far, "unpack", "-q", "--anyway", str(home / "a.tar")), moments.uniform(0.2, 2.5))
        weights = Store(far / "hub", far / "hardtack").snapshot("org/large", COMMIT) / "model.safetensors"
        if weights.exists():
            assert weights.stat().st_size == SIZE
        assert len([*far.rglob(".hardtack-unpacking-*")]) <= 1
    assert started(far, "unpack", "-q", "--anyway", str(home / "a.tar")).wait() == 0
    assert started(far, "verify", "-q").wait() == 0
    assert [*far.rglob(".hardtack-unpacking-*")] == []
    before = everything(far)
    assert started(far, "unpack", "-q", str(home / "a.tar")).wait() == 0
    assert everything(far) == before, "all is there, and right"
