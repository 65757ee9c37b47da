"""Builds in the store: those that no known lock names go, but not while somebody builds or a lock cannot be read."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from hardtack.cli import cli
from hardtack.places import Store
from hardtack.spec.digest import tree_digest
from hardtack.spec.lock import Lock, LockedBuild, LockedFile, LockedModel
from hardtack.spec.lock_text import write_lock
from hardtack.spec.words import Precision, Task
from hardtack.supply.prune import prunable, prune
from hardtack.supply.registry import building, remember
from hardtack.supply.usage import usage

FILES = ("build.toml", "model.bin", "model.xml")


def built(name: str) -> LockedModel:
    file = LockedFile("config.json", 2, "1" * 64)
    files = tuple(LockedFile(f"hardtack/{name}/{each}", 3, "2" * 64) for each in FILES)
    build = LockedBuild("static/4", Precision.INT8, tree_digest((f.path, f.sha256) for f in files), files)
    digest = tree_digest([(file.path, file.sha256)])
    return LockedModel("emb", Task.EMBED, "./emb", source="local", digest=digest, files=(file,), builds=(build,))


def lay(store: Store, name: str) -> Path:
    folder = store.builds / name
    folder.mkdir(parents=True)
    for each in FILES:
        (folder / each).write_text("abc")
    return folder


def use(store: Store, project: Path, *models: LockedModel) -> None:
    project.mkdir(exist_ok=True)
    lock = Lock("", models)
    write_lock(lock, project / "hardtack.lock")
    remember(store, lock, project / "hardtack.lock")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that a project uses, whose lock names one build."""
    store = Store(tmp_path / "hf/hub", tmp_path / "hf/hardtack")
    use(store, tmp_path / "project", built("int8-1"))
    return store


def test_a_build_goes_once_no_lock_names_it(store: Store, tmp_path: Path) -> None:
    mine, refused, cut_off = lay(store, "int8-1"), lay(store, "int8-2"), lay(store, ".int8-1.x7")
    swept = lay(store, ".int8-2.gone")  # what a prune left that was cut off
    assert {each.path for each in usage(store).builds} == {mine, refused, cut_off, swept}
    shown = prunable(store)
    assert {each.path for each in shown.builds} == {refused, cut_off, swept}
    assert shown.freed == 27
    assert prune(store) == shown
    assert list(store.builds.iterdir()) == [mine]
    use(store, tmp_path / "project", replace(built("int8-1"), builds=()))
    assert [each.path for each in prune(store).builds] == [mine]
    assert list(store.builds.iterdir()) == []


def test_another_projects_build_stays(store: Store, tmp_path: Path) -> None:
    lay(store, "int8-1"), lay(store, "int8-2")
    use(store, tmp_path / "other", built("int8-2"))
    assert prune(store).builds == ()
    assert len(list(store.builds.iterdir())) == 2


@pytest.mark.parametrize("harm", ["unclear", "gone"])
def test_where_a_lock_cannot_be_read_all_builds_stay(harm: str, store: Store, tmp_path: Path) -> None:
    other = lay(store, "int8-2")
    lock = tmp_path / "project/hardtack.lock"
    lock.unlink()
    if harm == "gone":
        lock.parent.rmdir()
    assert prune(store).builds == ()
    assert other.exists()
    if harm == "gone":
        assert [each.path for each in prune(store, gone=True).builds] == [other]


def test_while_somebody_builds_all_builds_stay_and_that_is_said(store: Store) -> None:
    other = lay(store, "int8-2")
    with building(store), building(store):  # two at once do not wait for each other
        going = prune(store)
    assert (going.builds, going.freed) == ((), 0)
    assert going.notes == (f"{store.builds}: somebody may be building just now; builds are kept",)
    assert other.exists()
    assert [each.path for each in prune(store).builds] == [other]


def test_a_builder_that_was_killed_keeps_nothing(store: Store) -> None:
    other = lay(store, "int8-2")
    code = (
        "import sys, os\nfrom pathlib import Path\nfrom hardtack.places import Store\n"
        "from hardtack.supply.registry import building\n"
        "with building(Store(Path(sys.argv[1]), Path(sys.argv[2]))):\n    print('building', flush=True)\n    input()\n"
    )
    command = [sys.executable, "-c", code, str(store.hub), str(store.own)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as builder:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "building\n"
        assert prune(store).builds == ()
        builder.kill()
        builder.wait()
    assert [each.path for each in prune(store).builds] == [other]


def test_the_command_line_lists_and_sweeps_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    other = lay(store, "int8-2")
    monkeypatch.setenv("HF_HOME", str(store.hub.parent))
    ask = CliRunner().invoke
    assert f"{store.builds}: 9 B in builds" in ask(cli, ["cache"]).output
    assert json.loads(ask(cli, ["cache", "--json"]).stdout)["builds"] == [{"path": str(other), "size": 9}]
    assert "a build" in ask(cli, ["cache", "prune"]).output
    assert json.loads(ask(cli, ["cache", "prune", "--yes", "--json"]).stdout)["builds"] == [str(other)]
    assert not other.exists()
