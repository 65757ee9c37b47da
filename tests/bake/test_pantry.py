from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardtack.bake.pantry import bake
from hardtack.errors import DiskError, Mismatch, Misused
from hardtack.offline.prove import check_pantry
from hardtack.spec.lock import LOCK_NAME
from hardtack.spec.lock_text import read_lock
from tests.voyage import Voyage


@pytest.fixture
def voyage(tmp_path: Path) -> Iterator[Voyage]:
    with Voyage(tmp_path) as voyage:
        voyage.project.lock()
        voyage.project.pull()
        yield voyage


def left(voyage: Voyage) -> list[str]:
    """What lies beside the pantry that a bake might have left."""
    return sorted(path.name for path in voyage.root.iterdir() if path.name.startswith("."))


def test_a_pantry_holds_what_its_lock_lists_and_nothing_else(voyage: Voyage) -> None:
    baked = voyage.project.bake(voyage.pantry)
    assert check_pantry(voyage.pantry).good
    assert baked.lock == read_lock(voyage.pantry / LOCK_NAME)
    assert {model.key for model in baked.lock.models} == {"emb", "static", "rerank", "classify", "llm"}
    assert baked.files == sum(path.is_file() for path in voyage.pantry.rglob("*"))
    assert baked.bytes == sum(path.stat().st_size for path in voyage.pantry.rglob("*") if path.is_file())
    assert left(voyage) == []


def test_the_digest_is_what_sha256sum_says(voyage: Voyage) -> None:
    baked = voyage.project.bake(voyage.pantry)
    line = "find . -type f -printf '%P\\0' | xargs -0 sha256sum | LC_ALL=C sort | sha256sum"
    said = subprocess.run(["sh", "-c", line], cwd=voyage.pantry, capture_output=True, text=True, check=True).stdout
    assert baked.digest == "sha256:" + said.split()[0]


def test_baking_twice_gives_the_same_bytes(voyage: Voyage) -> None:
    first = voyage.project.bake(voyage.pantry)
    second = voyage.project.bake(voyage.root / "elsewhere")
    assert first.digest == second.digest
    assert first.digest == voyage.project.bake(voyage.pantry).digest  # over the old one
    assert left(voyage) == []


def test_nothing_in_a_pantry_is_writable_and_everybody_can_read_it(voyage: Voyage) -> None:
    before = os.umask(0o077)
    try:
        voyage.project.bake(voyage.pantry)
    finally:
        os.umask(before)
    for path in voyage.pantry.rglob("*"):
        assert not path.is_symlink()
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o755 if path.is_dir() else 0o444), path


def test_golden_answers_are_of_every_model_that_loads(voyage: Voyage) -> None:
    voyage.project.bake(voyage.pantry)
    shapes = {}
    for path in sorted(voyage.pantry.glob("*/hardtack/golden.json")):
        answers = json.loads(path.read_bytes())["answers"]
        shapes[path.parts[-3]] = (len(answers), len(answers[0]))
    # the classifier's two groups of three labels lie side by side
    assert shapes == {"classify": (16, 6), "emb": (16, shapes["emb"][1]), "rerank": (4, 4), "static": (16, 8)}


def test_a_path_of_the_manifest_is_laid_under_the_pantry(voyage: Voyage) -> None:
    text = voyage.manifest.read_text().replace('repo = "tiny/bert"', 'repo = "tiny/bert"\npath = "/app/models/emb"')
    voyage.manifest.write_text(text)
    voyage.project.lock()
    voyage.project.bake(voyage.pantry)
    assert (voyage.pantry / "app/models/emb/config.json").is_file()
    assert check_pantry(voyage.pantry).good


@pytest.mark.parametrize("harm", ["changed", "cut", "missing"])
def test_a_file_that_changed_since_the_pull_stops_the_bake(voyage: Voyage, harm: str) -> None:
    lock = voyage.project.current()
    model = lock.find("emb")
    weights = voyage.project.source(model) / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    real = weights.resolve()
    if harm == "missing":
        real.unlink()
    else:
        real.write_bytes(data if harm == "changed" else data[:-1])
    with pytest.raises(Mismatch) as refused:
        voyage.project.bake(voyage.pantry)
    assert str(weights) in refused.value.where
    assert refused.value.mend == "hardtack pull"
    assert not voyage.pantry.exists()
    assert left(voyage) == []


def test_a_failed_bake_leaves_the_old_pantry(voyage: Voyage) -> None:
    before = voyage.project.bake(voyage.pantry)
    weights = voyage.folder / "static/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + bytes(4))  # another last number
    with pytest.raises(Mismatch) as refused:
        voyage.project.bake(voyage.pantry)
    assert refused.value.mend == "hardtack lock --upgrade static"
    assert check_pantry(voyage.pantry).good
    assert read_lock(voyage.pantry / LOCK_NAME) == before.lock
    voyage.project.lock(upgrade=["static"])  # what mends it
    assert voyage.project.bake(voyage.pantry).digest != before.digest


def test_what_is_no_pantry_is_never_replaced(voyage: Voyage) -> None:
    for what in ("file", "folder", "project"):
        place = voyage.root / what
        if what == "file":
            place.write_text("mine")
        elif what == "folder":
            place.mkdir()
            (place / "mine").write_text("mine")
        else:
            place = voyage.folder  # it holds a lock, but a manifest, too
        with pytest.raises(Misused):
            voyage.project.bake(place)
    assert (voyage.root / "file").read_text() == "mine"
    assert (voyage.root / "folder/mine").read_text() == "mine"
    assert voyage.manifest.exists()


def test_no_space_is_said_before_the_first_byte(voyage: Voyage, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = voyage.project.current()
    origins = voyage.project.origins(lock)
    with pytest.raises(DiskError) as refused:
        bake(lock, origins, voyage.pantry, free=lambda _: 10)
    assert refused.value.found == "10 bytes free"
    assert not voyage.pantry.exists()
