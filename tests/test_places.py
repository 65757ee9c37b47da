from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hardtack.errors import DiskError
from hardtack.places import (
    Place,
    Store,
    candidates,
    find_lock,
    find_upward,
    first_existing,
    is_pantry,
    policy_of,
    store_of,
)  # fmt: skip
from hardtack.settings import Policy, Settings, read_settings
from hardtack.spec.lock import LockedModel
from hardtack.spec.words import Task

COMMIT = "c" * 40
HUB = LockedModel("emb", Task.EMBED, repo="org/name", commit=COMMIT)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"HARDTACK_PANTRY": str(tmp_path / "pantry"), "HF_HOME": str(tmp_path / "hf")})


@pytest.fixture
def locked_away(tmp_path: Path) -> Iterator[Path]:
    """A folder that may not be searched, and a user to whom that matters."""
    folder = tmp_path / "away"
    folder.mkdir()
    (folder / "hardtack.lock").touch()
    for above in (tmp_path, *tmp_path.parents[:3]):  # pytest makes them for the owner alone
        above.chmod(above.stat().st_mode | 0o055)
    folder.chmod(0)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(was)
    folder.chmod(0o700)


def lay(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_store_is_the_standard_cache(settings: Settings, tmp_path: Path) -> None:
    store = store_of(settings)
    assert store == Store(tmp_path / "hf/hub", tmp_path / "hf/hardtack")
    assert store.repo("org/name") == tmp_path / "hf/hub/models--org--name"
    assert store.repo("gpt2") == tmp_path / "hf/hub/models--gpt2"
    assert store.snapshot("org/name", COMMIT) == tmp_path / f"hf/hub/models--org--name/snapshots/{COMMIT}"


def test_a_pantry_is_a_folder_with_a_lock(tmp_path: Path) -> None:
    assert not is_pantry(tmp_path / "missing")
    assert not is_pantry(lay(tmp_path / "empty"))
    assert not is_pantry(tmp_path / lay(tmp_path / "file", "x") / "x")
    (lay(tmp_path / "odd") / "hardtack.lock").mkdir()
    assert not is_pantry(tmp_path / "odd")
    assert is_pantry(lay(tmp_path / "pantry", "hardtack.lock"))


def test_the_lock_of_the_environment_goes_before_the_pantrys_before_one_above(
    settings: Settings, tmp_path: Path
) -> None:
    start = lay(tmp_path / "project/src/deep")
    assert find_lock(settings, start) is None
    lay(tmp_path / "project", "hardtack.lock")
    assert find_lock(settings, start) == tmp_path / "project/hardtack.lock"
    lay(settings.pantry, "hardtack.lock")
    assert find_lock(settings, start) == settings.pantry / "hardtack.lock"
    said = replace(settings, lock=tmp_path / "said.lock")
    assert find_lock(said, start) == tmp_path / "said.lock"


def test_upward_takes_the_nearest_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = lay(tmp_path / "a/b/c")
    lay(tmp_path / "a", "x.toml")
    (tmp_path / "a/b/x.toml").mkdir()
    assert find_upward(deep, "x.toml") == tmp_path / "a/x.toml"
    monkeypatch.chdir(deep)
    assert find_upward(Path(), "x.toml") == tmp_path / "a/x.toml"
    lay(deep, "x.toml")
    assert find_upward(Path(), "x.toml") == deep / "x.toml"


def test_policy(settings: Settings) -> None:
    assert policy_of(settings) is Policy.ONLINE
    assert policy_of(replace(settings, offline=True)) is Policy.STRICT
    assert policy_of(replace(settings, offline=True, policy=Policy.ONLINE)) is Policy.ONLINE
    lay(settings.pantry, "hardtack.lock")
    assert policy_of(settings) is Policy.STRICT
    assert policy_of(replace(settings, policy=Policy.ONLINE)) is Policy.ONLINE


def shown(model: LockedModel, lock: Path, settings: Settings, root: Path) -> list[tuple[str, str]]:
    return [(os.path.relpath(place.directory, root), place.source) for place in candidates(model, lock, settings)]


def test_order_of_places(settings: Settings, tmp_path: Path) -> None:
    store = (f"hf/hub/models--org--name/snapshots/{COMMIT}", "store")
    project = lay(tmp_path / "project", "hardtack.lock", "hardtack.toml")
    assert shown(HUB, project / "hardtack.lock", settings, tmp_path) == [store]
    lay(settings.pantry, "hardtack.lock")
    assert shown(HUB, project / "hardtack.lock", settings, tmp_path) == [("pantry/emb", "pantry"), store]
    # a pantry's own lock, and the same folder twice
    assert shown(HUB, settings.pantry / "hardtack.lock", settings, tmp_path) == [("pantry/emb", "pantry"), store]
    carried = lay(tmp_path / "carried", "hardtack.lock")
    assert shown(replace(HUB, path="/app/m"), carried / "hardtack.lock", settings, tmp_path) == [
        ("carried/app/m", "pantry"), ("pantry/app/m", "pantry"), store,
    ]  # fmt: skip


def test_places_of_a_local_directory_and_of_none(settings: Settings, tmp_path: Path) -> None:
    local = LockedModel("mine", Task.EMBED, repo="./my-model", source="local")
    assert shown(local, tmp_path / "p/hardtack.lock", settings, tmp_path) == [("p/my-model", "local")]
    lay(settings.pantry, "hardtack.lock")
    assert shown(local, settings.pantry / "hardtack.lock", settings, tmp_path) == [
        ("pantry/mine", "pantry"), ("pantry/my-model", "local"),
    ]  # fmt: skip
    external = LockedModel("llm", Task.EXTERNAL, note="elsewhere")
    assert shown(external, settings.pantry / "hardtack.lock", settings, tmp_path) == []


def test_old_caches_come_last(settings: Settings, tmp_path: Path) -> None:
    settings = replace(settings, legacy_caches=(tmp_path / "old",))
    assert shown(HUB, tmp_path / "hardtack.lock", settings, tmp_path)[-2:] == [
        (f"hf/hub/models--org--name/snapshots/{COMMIT}", "store"),
        (f"old/models--org--name/snapshots/{COMMIT}", "legacy"),
    ]


def test_first_existing_says_where_it_looked(tmp_path: Path) -> None:
    lay(tmp_path, "file")
    a, b, c, d = (Place(tmp_path / name, "path") for name in ("missing", "file", "here", "beyond"))
    lay(c.directory)
    assert first_existing(iter((a, b, c, d))) == (c, (a, b, c))
    assert first_existing([a, b]) == (None, (a, b))


def test_what_may_not_be_searched_is_an_error_and_no_absence(settings: Settings, locked_away: Path) -> None:
    settings = replace(settings, pantry=locked_away)
    for ask in (
        lambda: is_pantry(locked_away),
        lambda: policy_of(settings),
        lambda: find_lock(settings, Path("/")),
        lambda: first_existing([Place(locked_away / "emb", "pantry")]),
    ):
        with pytest.raises(DiskError) as caught:
            ask()
        assert caught.value.found == "Permission denied"
        assert caught.value.mend.startswith("ls -ld ")
    assert find_upward(locked_away / "below", "hardtack.lock") is None
