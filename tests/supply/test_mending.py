"""Whatever was done to a store, a pull makes it right again, and fetches no more than what was hurt."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardtack.places import Store
from hardtack.spec.lock import Lock, LockedFile
from hardtack.spec.verify import check_files
from hardtack.supply.hub import Hub
from hardtack.supply.pull import pull
from hardtack.supply.store import Shelf
from tests.hub import FixtureHub
from tests.supply.conftest import CHOSEN, REPO


def _cut(pointer: Path, blob: Path) -> None:
    blob.write_bytes(blob.read_bytes()[: blob.stat().st_size // 2])


def _flip(pointer: Path, blob: Path) -> None:
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)


def _lose_blob(pointer: Path, blob: Path) -> None:
    blob.unlink()


def _lose_name(pointer: Path, blob: Path) -> None:
    pointer.unlink()


def _make_file(pointer: Path, blob: Path) -> None:
    pointer.unlink()
    shutil.copyfile(blob, pointer)
    blob.unlink()


def _mislead(pointer: Path, blob: Path) -> None:
    pointer.unlink()
    pointer.symlink_to("no-such-file")


def _half_come(pointer: Path, blob: Path) -> None:
    data = blob.read_bytes()
    blob.with_name(f"{blob.name}.hardtack.incomplete").write_bytes(data[: len(data) // 2])
    pointer.unlink()
    blob.unlink()


HARMS: tuple[Callable[[Path, Path], None], ...] = (
    _cut, _flip, _lose_blob, _lose_name, _make_file, _mislead, _half_come,
)  # fmt: skip


def hurt(store: Store, lock: Lock, file: LockedFile, harm: Callable[[Path, Path], None]) -> None:
    shelf = Shelf(store, REPO)
    harm(shelf.snapshot(lock.models[0].commit) / file.path, shelf.blob(file.git, file.sha256))


@given(harms=st.dictionaries(st.sampled_from(CHOSEN), st.sampled_from(HARMS)))
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_pull_makes_it_right_again(
    lock: Lock, tmp_path: Path, hub: Hub, fixture_hub: FixtureHub, harms: dict[str, Callable[[Path, Path], None]]
) -> None:
    top = Path(tempfile.mkdtemp(dir=tmp_path))
    store = Store(top / "hub", top / "own")
    pull(lock, store, hub)
    model = lock.models[0]
    for file in model.files:
        if file.path in harms:
            hurt(store, lock, file, harms[file.path])
    pulled = pull(lock, store, hub)
    assert check_files(store.snapshot(REPO, model.commit), model.files, extra=True).good
    assert pulled.transferred <= sum(file.size for file in model.files if file.path in harms)
    fixture_hub.forget()
    assert (pull(lock, store, hub).transferred, fixture_hub.count()) == (0, 0)
