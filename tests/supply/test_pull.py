"""A lock into a store: what is there stays, what is wrong is replaced, what is cut off goes on, in any process."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download
from huggingface_hub.utils._fixes import WeakFileLock

from hardtack.errors import DiskError, LockError, Mismatch, UnknownModel, UnknownRepo
from hardtack.mirror import Served
from hardtack.mirror.messages import Request, Response
from hardtack.places import Store
from hardtack.spec.lock import Lock, LockedModel
from hardtack.spec.lock_text import write_lock
from hardtack.spec.words import Task
from hardtack.supply.hub import Hub
from hardtack.supply.local import resolve_local
from hardtack.supply.patience import Patience
from hardtack.supply.pull import pull, pull_model
from hardtack.supply.report import State
from hardtack.supply.resolve import resolve
from hardtack.supply.store import Shelf
from tests.hub import FixtureHub, client_environment, lay_out
from tests.supply.conftest import CHOSEN, FILES, REPO, WANTED, WEIGHTS, Heard, everything

SOURCE = Path(__file__).resolve().parents[2] / "src"
CHILD = """
import sys
from pathlib import Path
from hardtack.places import Store
from hardtack.spec.lock_text import read_lock
from hardtack.supply.hub import Hub
from hardtack.supply.pull import pull
lock, url, root = sys.argv[1:]
pulled = pull(read_lock(Path(lock)), Store(Path(root) / "hub", Path(root) / "own"), Hub(url))
print(pulled.transferred)
"""


def child(lock: Path, url: str, root: Path, home: Path) -> subprocess.Popen[str]:
    """A pull in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, lock, url, root],
        env=client_environment(url, home) | {"PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(program: str, lock: Path, url: str, root: Path) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own, to its end."""
    return subprocess.run(
        [sys.executable, "-c", program, lock, url, root],
        env=client_environment(url, root / "home") | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def lock_file(lock: Lock, tmp_path: Path) -> Path:
    write_lock(lock, tmp_path / "hardtack.lock")
    return tmp_path / "hardtack.lock"


def weights_of(lock: Lock, store: Store) -> tuple[Path, Path]:
    """Where the weights lie: the name in the snapshot, and the blob."""
    model = lock.models[0]
    file = next(file for file in model.files if file.path == "model.safetensors")
    shelf = Shelf(store, REPO)
    return shelf.snapshot(model.commit) / file.path, shelf.blob("", file.sha256)


def test_everything_once(lock: Lock, store: Store, hub: Hub, fixture_hub: FixtureHub, heard: Heard) -> None:
    pulled = pull(lock, store, hub, progress=heard)
    (snapshot,) = pulled.snapshots
    assert [file.path for file in snapshot.files] == list(CHOSEN)
    assert pulled.count(State.FETCHED) == len(CHOSEN)
    assert pulled.transferred == sum(heard.done.values()) == lock.models[0].size
    assert snapshot.directory == store.snapshot(REPO, lock.models[0].commit)
    assert (snapshot.directory / "model.safetensors").read_bytes() == WEIGHTS
    assert fixture_hub.count() == 1 + len(CHOSEN)


def test_the_second_pull_asks_nobody_and_writes_nothing(
    lock: Lock, store: Store, hub: Hub, fixture_hub: FixtureHub
) -> None:
    pull(lock, store, hub)
    before = everything(store.hub)
    fixture_hub.forget()
    pulled = pull(lock, store, hub)
    assert pulled.count(State.THERE) == len(CHOSEN)
    assert (pulled.transferred, pulled.notes, fixture_hub.count()) == (0, (), 0)
    assert everything(store.hub) == before


def test_after_locking_only_the_weights_are_fetched(store: Store, hub: Hub, fixture_hub: FixtureHub) -> None:
    model = resolve(WANTED, hub, store)
    fixture_hub.forget()
    pulled = pull(Lock("", (model,)), store, hub)
    assert pulled.count(State.ADOPTED) == len(CHOSEN) - 1
    assert fixture_hub.count("GET", "*/resolve/*") == 1
    assert pulled.transferred == len(WEIGHTS)


@pytest.mark.parametrize("damage", [b"short", bytes(len(WEIGHTS)), b""])
def test_what_is_wrong_is_replaced_and_said(lock: Lock, store: Store, hub: Hub, heard: Heard, damage: bytes) -> None:
    pull(lock, store, hub)
    pointer, blob = weights_of(lock, store)
    blob.write_bytes(damage)
    pulled = pull(lock, store, hub, progress=heard)
    assert (pulled.count(State.REPLACED), pulled.count(State.THERE)) == (1, len(CHOSEN) - 1)
    assert pointer.read_bytes() == WEIGHTS
    assert any("model.safetensors is not what the lock says" in text for text in heard.said)


def test_a_name_that_leads_to_the_wrong_blob_is_mended(lock: Lock, store: Store, hub: Hub) -> None:
    pull(lock, store, hub)
    pointer, _ = weights_of(lock, store)
    pointer.unlink()
    pointer.symlink_to("config.json")
    pulled = pull(lock, store, hub)
    assert (pulled.count(State.ADOPTED), pulled.transferred) == (1, 0)
    assert pointer.read_bytes() == WEIGHTS


def test_what_huggingface_hub_left_is_adopted(lock: Lock, store: Store, hub: Hub, fixture_hub: FixtureHub) -> None:
    snapshot_download(REPO, endpoint=fixture_hub.url, cache_dir=store.hub)
    fixture_hub.forget()
    pulled = pull(lock, store, hub)
    assert (pulled.count(State.THERE), fixture_hub.count()) == (len(CHOSEN), 0)
    assert snapshot_download(REPO, cache_dir=store.hub, local_files_only=True)


@pytest.mark.parametrize("linkable", [True, False])
def test_a_blob_in_the_shared_store_becomes_the_folders_own(
    lock: Lock, store: Store, hub: Hub, fixture_hub: FixtureHub, monkeypatch: pytest.MonkeyPatch, linkable: bool
) -> None:
    pull(lock, store, hub)
    pointer, blob = weights_of(lock, store)
    shared = store.hub / "blobs" / "ab" / ("ab" + "0" * 62)
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    shared.chmod(0o444)
    blob.symlink_to(os.path.relpath(shared, blob.parent))
    if not linkable:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(18, "Invalid cross-device link")))
    fixture_hub.forget()
    pulled = pull(lock, store, hub)
    assert (pulled.count(State.ADOPTED), fixture_hub.count()) == (1, 0)
    assert not blob.is_symlink()
    assert blob.samefile(shared) is linkable
    shutil.rmtree(store.hub / "blobs")
    assert pointer.read_bytes() == WEIGHTS
    assert pull(lock, store, hub).count(State.THERE) == len(CHOSEN)


def test_wrong_bytes_from_the_hub_reach_no_snapshot(
    lock: Lock, store: Store, hub: Hub, fixture_hub: FixtureHub
) -> None:
    fixture_hub.wrong_bytes("model.safetensors")
    with pytest.raises(Mismatch) as caught:
        pull(lock, store, hub)
    assert "model.safetensors" in caught.value.where
    pointer, blob = weights_of(lock, store)
    assert not pointer.exists()
    assert list(blob.parent.glob(f"{blob.name}*")) == []
    fixture_hub.heal()
    assert pull(lock, store, hub).count(State.FETCHED) >= 1
    assert pointer.read_bytes() == WEIGHTS


def test_a_commit_that_is_gone_is_said_before_any_file(
    lock: Lock, store: Store, hub: Hub, fixture_hub: FixtureHub
) -> None:
    gone = Lock("", (replace(lock.models[0], commit="f" * 40),))
    with pytest.raises(UnknownRepo, match="f" * 40):
        pull(gone, store, hub)
    assert fixture_hub.count("GET", "*/resolve/*") == 0


def test_a_full_disk_is_said_before_the_first_byte(lock: Lock, store: Store, hub: Hub, fixture_hub: FixtureHub) -> None:
    size = lock.models[0].size
    with pytest.raises(DiskError, match="free space") as caught:
        pull(lock, store, hub, free=lambda _: size - 1)
    assert (caught.value.expected, caught.value.found) == (f"{size} bytes free", f"{size - 1} bytes free")
    assert fixture_hub.count() == 0
    pull(lock, store, hub, free=lambda _: size)


def test_what_is_there_in_part_needs_less_space(lock: Lock, store: Store, hub: Hub) -> None:
    _, blob = weights_of(lock, store)
    partial = Shelf(store, REPO).partial(blob)
    lay_out(partial.parent, {partial.name: WEIGHTS[:1_000_000]})
    pulled = pull(lock, store, hub, free=lambda _: lock.models[0].size - 1_000_000)
    assert pulled.transferred == lock.models[0].size - 1_000_000


def test_a_disk_that_fills_half_way_loses_nothing(
    lock: Lock, lock_file: Path, fixture_hub: FixtureHub, tmp_path: Path
) -> None:
    root = tmp_path / "small"
    limit = 1_234_567
    program = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {resource.RLIM_INFINITY}))\n{CHILD}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, lock_file, fixture_hub.url, root],
        env=client_environment(fixture_hub.url, tmp_path / "home") | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "hardtack.errors.DiskError: the disk is full; what has come so far is kept" in done.stderr
    store = Store(root / "hub", root / "own")
    _, blob = weights_of(lock, store)
    assert Shelf(store, REPO).partial(blob).read_bytes() == WEIGHTS[:limit]
    assert pull(lock, store, Hub(fixture_hub.url)).transferred >= len(WEIGHTS) - limit
    assert blob.read_bytes() == WEIGHTS


def test_a_pull_that_is_killed_goes_on_in_another_process(
    lock: Lock, lock_file: Path, fixture_hub: FixtureHub, tmp_path: Path
) -> None:
    sent = 2_000_000
    stall = fixture_hub.stall("model.safetensors", after=sent, times=1)
    root = tmp_path / "killed"
    store = Store(root / "hub", root / "own")
    _, blob = weights_of(lock, store)
    partial = Shelf(store, REPO).partial(blob)
    process = child(lock_file, fixture_hub.url, root, tmp_path / "home")
    assert stall.reached.wait(30)
    while not (partial.exists() and partial.stat().st_size == sent):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not blob.exists()
    fixture_hub.heal()
    ranges: list[str | None] = []

    def note(request: Request, true: Response) -> Response:
        ranges.append(request.header("range"))
        return true

    fixture_hub.fault("model.safetensors", note)
    again = child(lock_file, fixture_hub.url, root, tmp_path / "home")
    out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert ranges == [f"bytes={sent}-"]
    assert int(out) <= lock.models[0].size - sent
    assert blob.read_bytes() == WEIGHTS
    assert not partial.exists()


def test_two_pulls_at_once_fetch_the_weights_once(
    lock: Lock, lock_file: Path, fixture_hub: FixtureHub, tmp_path: Path
) -> None:
    stall = fixture_hub.stall("model.safetensors", after=1_000_000, times=1)
    root = tmp_path / "shared"
    first = child(lock_file, fixture_hub.url, root, tmp_path / "home")
    assert stall.reached.wait(30)
    second = child(lock_file, fixture_hub.url, root, tmp_path / "home")
    while fixture_hub.count("GET", f"*/revision/{lock.models[0].commit}") < 2:
        assert second.poll() is None
    stall.release.set()
    for process in (first, second):
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert fixture_hub.count("GET", "model.safetensors") == 1
    pointer, _ = weights_of(lock, Store(root / "hub", root / "own"))
    assert pointer.read_bytes() == WEIGHTS
    assert pull(lock, Store(root / "hub", root / "own"), Hub(fixture_hub.url)).transferred == 0


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_store_that_cannot_be_written_serves(
    lock: Lock, hub: Hub, fixture_hub: FixtureHub, open_folder: Path
) -> None:
    store = Store(open_folder / "hub", open_folder / "own")
    pull(lock, store, hub)
    shutil.rmtree(store.hub / "models--org--tiny" / "refs")
    write_lock(lock, open_folder / "hardtack.lock")
    (open_folder / "hardtack.lock").chmod(0o644)
    for path in [store.hub, *store.hub.rglob("*")]:
        if path.is_dir():
            path.chmod(0o555)
    before = everything(store.hub)
    fixture_hub.forget()
    # root may write everywhere: become nobody, once everything is imported that only root may read
    program = CHILD.replace("lock, url", "import os; os.geteuid() or os.setuid(65534)\nlock, url", 1)
    try:
        done = run(program, open_folder / "hardtack.lock", fixture_hub.url, open_folder)
    finally:
        for path in [store.hub, *store.hub.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0\n"
    assert fixture_hub.count() == 0
    assert everything(store.hub).keys() == before.keys()


def test_a_shared_store_that_cannot_be_written_serves(
    lock: Lock, store: Store, hub: Hub, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(lock, store, hub)
    pointer, blob = weights_of(lock, store)
    outside = store.hub / "elsewhere"
    blob.rename(outside)
    blob.symlink_to(outside)

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", read_only)  # locks and folders are opened by it, files to read are not
    pulled = pull(lock, store, hub, progress=heard)
    assert pulled.count(State.THERE) == len(CHOSEN)
    assert any("lies outside" in text for text in heard.said)
    assert blob.is_symlink()
    assert pointer.read_bytes() == WEIGHTS


def test_huggingface_hub_at_work_on_the_same_blob_is_waited_for(
    lock: Lock, store: Store, hub: Hub, fixture_hub: FixtureHub
) -> None:
    _, blob = weights_of(lock, store)
    theirs = store.hub / ".locks" / "models--org--tiny" / f"{blob.name}.lock"
    theirs.parent.mkdir(parents=True)
    heard = Heard()
    with ThreadPoolExecutor(1) as pool:
        with WeakFileLock(theirs):
            ours = pool.submit(pull, lock, store, hub, progress=heard)
            while not any("somebody else" in text for text in heard.said):
                assert not ours.done()
            blob.parent.mkdir(parents=True, exist_ok=True)
            blob.write_bytes(WEIGHTS)
        assert ours.result(30).count(State.FETCHED) == len(CHOSEN)
    assert fixture_hub.count("GET", "model.safetensors") == 0


def test_an_offline_variable_is_obeyed_and_named(
    lock: Lock, lock_file: Path, fixture_hub: FixtureHub, tmp_path: Path
) -> None:
    program = f"import os; os.environ['HF_HUB_OFFLINE'] = '1'\n{CHILD}"
    done = run(program, lock_file, fixture_hub.url, tmp_path / "offline")
    assert "HubUnreachable: an offline variable is set" in done.stderr
    assert fixture_hub.count() == 0


def test_an_interrupt_ends_all_threads(lock: Lock, lock_file: Path, fixture_hub: FixtureHub, tmp_path: Path) -> None:
    stall = fixture_hub.stall("model.safetensors", after=1_000_000, times=1)
    process = child(lock_file, fixture_hub.url, tmp_path / "cut", tmp_path / "home")
    assert stall.reached.wait(30)
    process.send_signal(signal.SIGINT)
    stall.release.set()
    _, err = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err


def test_code_of_other_repositories_comes_too(lock: Lock, tmp_path: Path, store: Store) -> None:
    config = {"auto_map": {"AutoModel": "org/code--module.Model"}}
    model_dir = lay_out(tmp_path / "m", {"config.json": json.dumps(config), "model.safetensors": b"x"})
    code_dir = lay_out(tmp_path / "c", {"module.py": "import helper", "helper.py": ""})
    with FixtureHub(Served(REPO, model_dir), Served("org/code", code_dir)) as fixture:
        hub = Hub(fixture.url)
        model = resolve(replace(WANTED, trust_remote_code=True), hub, store)
        pulled = pull(Lock("", (model,)), store, hub, project="p")
        code = model.code[0]
        assert (store.snapshot("org/code", code.commit) / "module.py").read_text() == "import helper"
        refs = store.repo("org/code") / "refs"
        assert [path.relative_to(refs).as_posix() for path in refs.rglob("*") if path.is_file()] == ["hardtack/p/emb"]
        assert [snapshot.repo for snapshot in pulled.snapshots] == [REPO, "org/code"]


def test_external_models_are_nobodys_business(lock: Lock, store: Store, hub: Hub, fixture_hub: FixtureHub) -> None:
    external = LockedModel("llm", Task.EXTERNAL, source="", note="elsewhere")
    assert pull(Lock("", (external,)), store, hub).snapshots == ()
    assert fixture_hub.count() == 0
    assert not store.hub.exists()


def test_local_models_are_only_checked(store: Store, hub: Hub, fixture_hub: FixtureHub, tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "project" / "mine", FILES)
    model = resolve_local(replace(WANTED, repo="./mine"), folder.parent)
    lock = Lock("", (model,), str(folder.parent / "hardtack.lock"))
    assert pull(lock, store, hub).count(State.THERE) == len(CHOSEN)
    (folder / "config.json").write_text("{ }")
    with pytest.raises(Mismatch) as caught:
        pull(lock, store, hub)
    assert caught.value.mend == "hardtack lock"
    assert fixture_hub.count() == 0


def test_a_selection(lock: Lock, store: Store, hub: Hub) -> None:
    both = Lock("", (lock.models[0], replace(lock.models[0], key="other", repo="org/other")))
    for name in ("emb", REPO, "tiny"):
        assert [snapshot.keys for snapshot in pull(both, store, hub, select=[name]).snapshots] == [("emb",)]
    with pytest.raises(UnknownModel):
        pull(both, store, hub, select=["nothing"])


def test_two_models_of_one_repository_share_it(lock: Lock, store: Store, hub: Hub, fixture_hub: FixtureHub) -> None:
    small = replace(lock.models[0], key="small", files=lock.models[0].files[:2])
    pulled = pull(Lock("", (lock.models[0], small)), store, hub, project="p")
    assert [snapshot.keys for snapshot in pulled.snapshots] == [("emb", "small")]
    assert fixture_hub.count("GET", "*/resolve/*") == len(CHOSEN)
    refs = store.repo(REPO) / "refs" / "hardtack" / "p"
    assert sorted(path.name for path in refs.iterdir()) == ["emb", "small"]


def test_models_that_disagree_are_refused(lock: Lock, store: Store, hub: Hub) -> None:
    first = lock.models[0]
    other = replace(first, key="other", files=(replace(first.files[0], sha256="0" * 64),))
    with pytest.raises(LockError, match="different hashes"):
        pull(Lock("", (first, other)), store, hub)


def test_one_model(locked: LockedModel, store: Store, hub: Hub) -> None:
    folder = pull_model(locked, store, hub)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_the_report_is_the_same_every_time(lock: Lock, tmp_path: Path, fixture_hub: FixtureHub) -> None:
    def states(name: str) -> list[tuple[str, State]]:
        pulled = pull(lock, Store(tmp_path / name, tmp_path / "own"), Hub(fixture_hub.url, patience=Patience()))
        return [(file.path, file.state) for snapshot in pulled.snapshots for file in snapshot.files]

    assert states("a") == states("b")
