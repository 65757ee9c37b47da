from __future__ import annotations

from pathlib import Path

import pytest

from hardtack.build.recipe import Recipe
from hardtack.build.variant import (
    check_build,
    describe_builds,
    is_whole,
    lock_build,
    make,
    record_loss,
    record_speed,
)
from hardtack.errors import DiskError, Unable
from hardtack.spec.lock import LockedBuild, LockedModel
from hardtack.spec.words import Precision, Task

KEY = "int8-0123456789abcdef"
CALIBRATION = "sha256:" + "1" * 64
RECIPE = str(Recipe("static", 1, "2026.4.1", "3.4.0", CALIBRATION))


def write(out: Path) -> None:
    (out / "model.xml").write_text("<net/>")
    (out / "model.bin").write_bytes(b"\0" * 64)


@pytest.fixture
def build(tmp_path: Path) -> LockedBuild:
    place = make(tmp_path, KEY, "version = 1\n", write)
    record_loss(place, {"cosine-p1": 0.99512345})
    return lock_build(place, RECIPE, Precision.INT8)


def test_a_build_is_locked_by_its_three_files(tmp_path: Path, build: LockedBuild) -> None:
    assert [file.path for file in build.files] == [
        f"hardtack/{KEY}/{n}" for n in ("build.toml", "model.bin", "model.xml")
    ]
    assert check_build(build, tmp_path).good
    (tmp_path / KEY / "model.xml").write_text("<not/>")
    assert [finding.path for finding in check_build(build, tmp_path).findings] == [f"{KEY}/model.xml"]


def test_the_loss_is_written_once_and_speed_is_not_locked(tmp_path: Path, build: LockedBuild) -> None:
    record_loss(tmp_path / KEY, {"cosine-p1": 0.5})
    record_speed(tmp_path / KEY, {"fp32": 2.0, "int8": 1.0})
    assert lock_build(tmp_path / KEY, RECIPE, Precision.INT8) == build
    (row,) = describe_builds(LockedModel("m", Task.EMBED, builds=(build,)), tmp_path)
    assert row["here"]
    assert row["loss"] == {"cosine-p1": 0.99512}
    assert row["seconds"] == {"fp32": 2.0, "int8": 1.0}


def test_a_build_that_is_elsewhere_is_described_without_figures(tmp_path: Path, build: LockedBuild) -> None:
    (row,) = describe_builds(LockedModel("m", Task.EMBED, builds=(build,)), tmp_path / "elsewhere")
    assert (row["here"], row["loss"], row["seconds"]) == (False, {}, {})


def test_a_build_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def half(out: Path) -> None:
        (out / "model.xml").write_text("<net/>")
        raise Unable("stopped", where="m", expected="a build", found="half of one", mend="hardtack build m")

    with pytest.raises(Unable):
        make(tmp_path, KEY, "", half)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_build_leaves_the_old_one(tmp_path: Path, build: LockedBuild) -> None:
    with pytest.raises(DiskError):
        make(tmp_path, KEY, "", lambda out: None)  # a graph that was never written cannot be synced
    assert check_build(build, tmp_path).good


def test_a_disk_that_says_no_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError) as refused:
        make(tmp_path / "file", KEY, "", write)
    assert refused.value.exit_code == 3


def test_a_build_is_whole_with_all_its_files(tmp_path: Path, build: LockedBuild) -> None:
    assert is_whole(tmp_path / KEY)
    (tmp_path / KEY / "model.bin").unlink()
    assert not is_whole(tmp_path / KEY)
