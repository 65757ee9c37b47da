"""Disks that fill, cannot be written, know no links, or belong to somebody else; real ones where the kernel lets us.

A process gets a small file system of its own (tmpfs in a mount namespace), so that what fails is the disk itself and
not a stand-in for it. Where the kernel gives no namespace, those tests are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardtack.places import Store
from hardtack.spec.lock import Lock
from hardtack.spec.lock_render import write_lock
from hardtack.supply.hub import Hub
from hardtack.supply.pull import pull
from hardtack.supply.report import State
from hardtack.supply.store import Shelf
from tests.hub import FixtureHub, client_environment
from tests.supply.conftest import CHOSEN, REPO, WEIGHTS, everything

SOURCE = Path(__file__).resolve().parents[2] / "src"
NOBODY = 65534
NAMELESS = 54321  # in no list of users, as OpenShift gives them

START = """
import os, subprocess, sys
from pathlib import Path
from hardtack.errors import DiskError
from hardtack.places import Store
from hardtack.spec.lock_text import read_lock
from hardtack.supply.hub import Hub
from hardtack.supply.pull import pull
lock, url, root = sys.argv[1:]
locked = read_lock(Path(lock))
store, hub = Store(Path(root) / "hub", Path(root) / "own"), Hub(url)
def mount(options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", root], check=True)
def remount(options):
    subprocess.run(["mount", "-o", f"remount,{options}", root], check=True)
"""
FULL_FIRST = """
mount("size=2m")
try:
    pull(locked, store, hub)
except DiskError as problem:
    print(problem.what, problem.mend, sep="\\n")
print(sorted(path.name for path in store.hub.rglob("*") if path.is_file()))
"""
FULL_HALF_WAY = """
mount("size=2m")
try:
    pull(locked, store, hub, free=lambda _: 1 << 40)
except DiskError as problem:
    print(problem.what, problem.mend, sep="\\n")
there = sum(path.stat().st_size for path in (store.repo("org/tiny") / "blobs").iterdir())
remount("size=20m")
print(there, pull(locked, store, hub).transferred)
"""
READ_ONLY = """
mount("size=20m")
pull(locked, store, hub)
remount("ro")
pulled = pull(locked, store, hub)
print(pulled.transferred, {file.state.value for snapshot in pulled.snapshots for file in snapshot.files})
"""
# an interpreter of root's own may be closed to others: what it loads late is loaded before
AS_SOMEBODY = """
import encodings.idna, stringprep
from huggingface_hub import get_session
get_session()
os.environ["HOME"] = "/nonexistent"
os.setgroups([]); os.setgid(0); os.setuid(USER)
try:
    pulled = pull(locked, store, hub)
    print(pulled.transferred, {file.state.value for snapshot in pulled.snapshots for file in snapshot.files})
except DiskError as problem:
    print(problem.what, problem.where, problem.mend, sep="\\n")
"""


def _namespaces() -> bool:
    unshare = shutil.which("unshare")
    # true needs to be able to mount, too: a container may have the one and not the other
    command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs none /tmp"]
    return unshare is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(not _namespaces(), reason="the kernel gives no mount namespace here")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def lock_file(lock: Lock, open_folder: Path) -> Path:
    write_lock(lock, open_folder / "hardtack.lock")
    (open_folder / "hardtack.lock").chmod(0o644)
    return open_folder / "hardtack.lock"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def run(program: str, lock: Path, hub: FixtureHub, root: Path, *before: str) -> list[str]:
    """What a program of a process of its own prints, in lines."""
    root.mkdir(exist_ok=True)
    done = subprocess.run(
        [*before, sys.executable, "-c", START + program, lock, hub.url, root],
        env=client_environment(hub.url, root / "home") | {"PYTHONPATH": str(SOURCE)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_mounts
def test_a_disk_that_is_too_small_is_said_and_nothing_is_asked_for(
    lock_file: Path, fixture_hub: FixtureHub, tmp_path: Path
) -> None:
    said = run(FULL_FIRST, lock_file, fixture_hub, tmp_path / "small", "unshare", "-rm")
    assert said == ["there is not enough free space", "hardtack cache prune", "[]"]
    assert fixture_hub.count() == 0


@needs_mounts
def test_a_disk_that_is_full_half_way_loses_nothing(
    lock: Lock, lock_file: Path, fixture_hub: FixtureHub, tmp_path: Path
) -> None:
    what, mend, figures = run(FULL_HALF_WAY, lock_file, fixture_hub, tmp_path / "small", "unshare", "-rm")
    assert what == "the disk is full; what has come so far is kept"
    assert mend.startswith("df -h ")
    there, then = map(int, figures.split())
    assert 1_000_000 < there < len(WEIGHTS)
    assert there + then == lock.models[0].size


@needs_mounts
def test_a_read_only_disk_serves(lock_file: Path, fixture_hub: FixtureHub, tmp_path: Path) -> None:
    said = run(READ_ONLY, lock_file, fixture_hub, tmp_path / "mounted", "unshare", "-rm")
    assert said == ["0 {'there'}"]
    assert fixture_hub.count() == 1 + len(CHOSEN)


@needs_root
@pytest.mark.parametrize("user", [NOBODY, NAMELESS])
def test_a_user_without_name_and_home_pulls(
    lock: Lock, lock_file: Path, fixture_hub: FixtureHub, open_folder: Path, user: int
) -> None:
    root = open_folder / "theirs"
    root.mkdir()
    os.chown(root, user, 0)
    said = run(AS_SOMEBODY.replace("USER", str(user)), lock_file, fixture_hub, root)
    assert said == [f"{lock.models[0].size} {{'fetched'}}"]
    fixture_hub.forget()
    # and what one user pulled, every other reads
    assert run(AS_SOMEBODY.replace("USER", "12345"), lock_file, fixture_hub, root) == ["0 {'there'}"]
    assert fixture_hub.count() == 0


@needs_root
def test_what_another_user_may_not_write_is_named(
    lock: Lock, lock_file: Path, hub: Hub, fixture_hub: FixtureHub, open_folder: Path
) -> None:
    store = Store(open_folder / "ours" / "hub", open_folder / "ours" / "own")
    pull(lock, store, hub)
    weights = next(file for file in lock.models[0].files if file.path == "model.safetensors")
    blob = Shelf(store, REPO).blob("", weights.sha256)
    blob.write_bytes(bytes(len(WEIGHTS)))
    before = everything(store.hub)
    what, where, mend = run(AS_SOMEBODY.replace("USER", str(NOBODY)), lock_file, fixture_hub, open_folder / "ours")
    assert what == "a file could not be written"
    assert where.startswith(str(store.hub))
    assert mend.startswith("ls -ld ")
    assert everything(store.hub) == before


def test_a_disk_without_links_holds_plain_files_and_is_complete(
    lock: Lock, store: Store, hub: Hub, fixture_hub: FixtureHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # what FAT and SMB say

    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(os, "link", refuse)
    pull(lock, store, hub)
    assert not any(path.is_symlink() for path in store.hub.rglob("*"))
    assert (store.snapshot(REPO, lock.models[0].commit) / "model.safetensors").read_bytes() == WEIGHTS
    before = everything(store.hub)
    fixture_hub.forget()
    assert pull(lock, store, hub).count(State.THERE) == len(CHOSEN)
    assert (everything(store.hub), fixture_hub.count()) == (before, 0)
