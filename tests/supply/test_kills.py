"""Killed anywhere: between two acts on the disk, or in the middle of a file. The next pull fetches just the rest.

A kill is SIGKILL to a process of its own. The points are random, of a fixed seed; ``-m world`` takes twenty of each.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from hardtack.mirror import Served
from hardtack.places import Store
from hardtack.spec.lock import Lock
from hardtack.spec.lock_render import write_lock
from hardtack.spec.verify import check_files
from hardtack.supply.hub import Hub
from hardtack.supply.pull import pull
from hardtack.supply.resolve import resolve
from hardtack.supply.store import Shelf
from tests.hub import FixtureHub, client_environment, lay_out
from tests.supply.conftest import FILES, REPO, WANTED, WEIGHTS

SOURCE = Path(__file__).resolve().parents[2] / "src"
# counts what is done to the store, by the interpreter's own audit events, and dies before the one that it is told
CHILD = """
import os, signal, sys
from pathlib import Path
from hardtack.places import Store
from hardtack.spec.lock_text import read_lock
from hardtack.supply.hub import Hub
from hardtack.supply.pull import pull

lock, url, root, last = sys.argv[1:]
count = 0

def watch(event, arguments):
    global count
    acts = event in ("os.mkdir", "os.rename", "os.symlink", "os.remove", "os.chmod", "os.truncate")
    writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if (acts or writes) and any(str(part).startswith(root) for part in arguments):
        count += 1
        if count == int(last):
            os.kill(os.getpid(), signal.SIGKILL)

locked = read_lock(Path(lock))
sys.addaudithook(watch)
pull(locked, Store(Path(root) / "hub", Path(root) / "own"), Hub(url))
print(count)
"""


@dataclass
class Yard:
    """A lock, its Hub, and a place for stores."""

    lock: Lock
    hub: FixtureHub
    top: Path

    def start(self, store: Path, last: int = 0) -> subprocess.Popen[str]:
        """A pull in a process of its own, that dies before its ``last`` act on the store; 0 for never."""
        store.mkdir(exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, str(self.top / "hardtack.lock"), self.hub.url, str(store), str(last)],
            env=client_environment(self.hub.url, self.top / "home") | {"PYTHONPATH": str(SOURCE)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def resume(self, root: Path) -> tuple[int, int]:
        """Pull again, here; the bytes that had come before, and those that came now. All must be right then."""
        store = Store(root / "hub", root / "own")
        blobs = store.repo(REPO) / "blobs"
        before = sum(path.stat().st_size for path in blobs.glob("*")) if blobs.exists() else 0
        transferred = pull(self.lock, store, Hub(self.hub.url)).transferred
        model = self.lock.models[0]
        assert check_files(store.snapshot(REPO, model.commit), model.files).good
        assert sorted(path.name for path in blobs.iterdir()) == sorted(f.git or f.sha256 for f in model.files)
        return before, transferred


@pytest.fixture
def yard(fixture_hub: FixtureHub, lock: Lock, tmp_path: Path) -> Yard:
    write_lock(lock, tmp_path / "hardtack.lock")
    return Yard(lock, fixture_hub, tmp_path)


def between_acts(yard: Yard, number: int, seed: int) -> None:
    whole = yard.start(yard.top / "whole")
    out, err = whole.communicate(timeout=60)
    assert whole.returncode == 0, err
    # threads take turns as they like, so that another run may have a few acts less
    points = random.Random(seed).sample(range(1, int(out) - 3), number)
    for point in points:
        root = yard.top / f"killed-{point}"
        process = yard.start(root, point)
        _, err = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, err
        before, now = yard.resume(root)
        assert before + now == yard.lock.models[0].size, f"killed before act {point} of {out}"


def within_a_file(yard: Yard, number: int, seed: int) -> None:
    """One store, killed again and again on the way to its last byte: no byte comes twice."""
    root = yard.top / "store"
    shelf = Shelf(Store(root / "hub", root / "own"), REPO)
    weights = next(file for file in yard.lock.models[0].files if file.path == "model.safetensors")
    partial = shelf.partial(shelf.blob("", weights.sha256))
    points = sorted(random.Random(seed).sample(range(1, len(WEIGHTS)), number))
    for had, point in zip([0, *points], points, strict=False):
        yard.hub.heal()
        stall = yard.hub.stall("model.safetensors", after=point - had, times=1)
        process = yard.start(root)
        assert stall.reached.wait(30)
        while not (partial.exists() and partial.stat().st_size == point):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        stall.release.set()
        assert partial.read_bytes() == WEIGHTS[:point]
    yard.hub.heal()
    before, now = yard.resume(root)
    assert before >= points[-1]
    assert before + now == yard.lock.models[0].size


def test_killed_between_two_acts_on_the_disk(yard: Yard) -> None:
    between_acts(yard, 2, seed=1)


def test_killed_within_a_file(yard: Yard) -> None:
    within_a_file(yard, 2, seed=2)


@pytest.mark.world
def test_killed_between_two_acts_on_the_disk_at_twenty_points(yard: Yard) -> None:
    between_acts(yard, 20, seed=3)


@pytest.mark.world
def test_killed_within_a_file_at_twenty_points(yard: Yard) -> None:
    within_a_file(yard, 20, seed=4)


@pytest.mark.world
def test_killed_in_the_middle_of_a_gigabyte(tmp_path: Path) -> None:
    size = 1_000_000_000
    folder = lay_out(tmp_path / "large", {**FILES, "model.safetensors": ""})
    block = random.Random(5).randbytes(1 << 20)
    with (folder / "model.safetensors").open("wb") as file:
        for number in range(size // len(block) + 1):
            file.write(number.to_bytes(8, "big") + block[8:])
        file.truncate(size)
    with FixtureHub(Served(REPO, folder)) as hub:
        model = resolve(WANTED, Hub(hub.url), Store(tmp_path / "locking" / "hub", tmp_path / "locking" / "own"))
        lock = Lock("sha256:" + "0" * 64, (model,))
        write_lock(lock, tmp_path / "hardtack.lock")
        yard = Yard(lock, hub, tmp_path)
        process = yard.start(tmp_path / "store")
        blobs = Store(tmp_path / "store" / "hub", tmp_path / "store" / "own").repo(REPO) / "blobs"
        while sum(path.stat().st_size for path in blobs.glob("*.hardtack.incomplete")) < size // 2:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        before, now = yard.resume(tmp_path / "store")
        assert before >= size // 2
        assert before + now == model.size
