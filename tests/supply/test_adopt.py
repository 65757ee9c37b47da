"""Files from a directory, by what they hold and not by what they are called."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from hardtack.errors import DiskError, Misused
from hardtack.places import Store
from hardtack.spec.lock import Lock
from hardtack.supply.adopt import adopt
from hardtack.supply.hub import Hub
from hardtack.supply.pull import pull
from hardtack.supply.report import State
from tests.hub import FixtureHub, lay_out
from tests.supply.conftest import CHOSEN, FILES, REPO, WEIGHTS, everything


def test_names_mean_nothing(lock: Lock, store: Store, tmp_path: Path, fixture_hub: FixtureHub) -> None:
    stick = lay_out(tmp_path / "stick", {f"some/where/{n}.dat": c for n, c in enumerate(FILES.values())})
    before = everything(stick)
    adopted = adopt(lock, store, stick)
    assert adopted.count(State.ADOPTED) == len(CHOSEN)
    assert fixture_hub.count() == 0
    assert everything(stick) == before
    assert snapshot_download(REPO, cache_dir=store.hub, local_files_only=True)
    (stick / "some/where/5.dat").write_bytes(b"changed later")
    assert adopt(lock, store, stick).count(State.THERE) == len(CHOSEN)


def test_a_copied_cache_with_dangling_links(
    lock: Lock, store: Store, hub: Hub, tmp_path: Path, fixture_hub: FixtureHub
) -> None:
    pull(lock, Store(tmp_path / "theirs", tmp_path / "own"), hub)
    shutil.copytree(tmp_path / "theirs", tmp_path / "copy", symlinks=True)
    weights = next(file for file in lock.models[0].files if file.path == "model.safetensors")
    (tmp_path / "copy" / "models--org--tiny" / "blobs" / weights.sha256).unlink()
    fixture_hub.forget()
    adopted = adopt(lock, store, tmp_path / "copy")
    assert (adopted.count(State.ADOPTED), adopted.count(State.MISSING)) == (len(CHOSEN) - 1, 1)
    assert not (store.repo(REPO) / "refs").exists()  # it is not whole
    assert pull(lock, store, hub).transferred == len(WEIGHTS)


# as transformers before 4.22 kept them, sentence-transformers before 2.3, huggingface_hub with --local-dir, a browser
FORMER: dict[str, Callable[[int, str], str]] = {
    "transformers": lambda n, path: f"{n:064x}.{n:040x}",
    "sentence-transformers": lambda n, path: f"org_tiny/{path}",
    "local-dir": lambda n, path: path,
    "browser": lambda n, path: f"Downloads/{path.rsplit('/', 1)[-1]} ({n})",
}


@pytest.mark.parametrize("layout", FORMER)
def test_caches_of_former_days_and_downloads_by_hand(
    lock: Lock, store: Store, tmp_path: Path, fixture_hub: FixtureHub, layout: str
) -> None:
    files = {FORMER[layout](n, path): content for n, (path, content) in enumerate(FILES.items())}
    notes = {f"{name}.json": '{"url": "https://cdn.example/x", "etag": null}' for name in files}
    adopted = adopt(lock, store, lay_out(tmp_path / "old", files | notes))
    assert (adopted.count(State.ADOPTED), fixture_hub.count()) == (len(CHOSEN), 0)
    assert snapshot_download(REPO, cache_dir=store.hub, local_files_only=True)


def test_right_size_wrong_bytes_are_not_taken(lock: Lock, store: Store, tmp_path: Path) -> None:
    stick = lay_out(tmp_path / "stick", {"model.safetensors": bytes(len(WEIGHTS))})
    assert adopt(lock, store, stick).count(State.MISSING) == len(CHOSEN)


def test_what_is_wrong_in_the_store_is_replaced(lock: Lock, store: Store, hub: Hub, tmp_path: Path) -> None:
    pull(lock, store, hub)
    weights = store.snapshot(REPO, lock.models[0].commit) / "model.safetensors"
    weights.write_bytes(bytes(len(WEIGHTS)))
    stick = lay_out(tmp_path / "stick", {"x": WEIGHTS})
    assert adopt(lock, store, stick).count(State.ADOPTED) == 1
    assert weights.read_bytes() == WEIGHTS


def test_no_directory(lock: Lock, store: Store, tmp_path: Path) -> None:
    with pytest.raises(Misused):
        adopt(lock, store, tmp_path / "nowhere")


def test_a_full_disk_is_said_first(lock: Lock, store: Store, tmp_path: Path) -> None:
    stick = lay_out(tmp_path / "stick", FILES)
    with pytest.raises(DiskError, match="free space"):
        adopt(lock, store, stick, free=lambda _: 1)
    assert not store.hub.exists()
