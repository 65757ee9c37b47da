from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardtack.errors import LockError
from hardtack.offline import prove as prove_module
from hardtack.offline.guard import Guarding
from hardtack.offline.prove import check_pantry, prove, read_pantry
from hardtack.spec.lock import LOCK_NAME
from hardtack.spec.verify import Kind
from tests.voyage import Voyage


@pytest.fixture(scope="module")
def voyage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voyage]:
    with Voyage(tmp_path_factory.mktemp("voyage")) as voyage:
        voyage.baked()
        yield voyage


@pytest.fixture
def pantry(voyage: Voyage) -> Iterator[Path]:
    yield voyage.pantry
    voyage.project.bake(voyage.pantry)  # whatever the test did to it


def spoil(path: Path, data: bytes | None = None) -> None:
    path.chmod(0o644)
    old = bytearray(path.read_bytes())
    old[len(old) // 2] ^= 1
    path.write_bytes(bytes(old) if data is None else data)


def test_a_pantry_is_proven(pantry: Path) -> None:
    proof = prove(pantry)
    assert proof.proven, proof.why
    assert proof.attempts == 0
    assert [model.key for model in proof.models] == ["classify", "emb", "rerank", "static"]
    for model in proof.models:
        assert model.good
        assert model.drift is not None
        assert model.drift["good"]
        assert 0 < model.load_seconds <= model.seconds
        assert model.memory_mb > 20
    assert proof.digest == read_pantry(pantry)[1]
    assert json.loads(json.dumps(proof.as_json()))["proven"] is True


def test_a_changed_byte_is_refused_at_load_and_named(pantry: Path) -> None:
    spoil(pantry / "emb/model.safetensors")
    proof = prove(pantry)
    assert not proof.proven
    assert [(f.kind, f.path) for f in proof.files.findings] == [(Kind.CHANGED, "emb/model.safetensors")]
    refused = next(model for model in proof.models if model.key == "emb")
    assert not refused.good
    assert "model.safetensors" in refused.why


def test_other_golden_answers_are_a_drift(pantry: Path, voyage: Voyage) -> None:
    # the right hash of wrong answers: as if the numbers came out differently on this CPU
    path = pantry / "static/hardtack/golden.json"
    document = json.loads(path.read_bytes())
    document["answers"][0] = [-value for value in document["answers"][0]]
    spoil(path, json.dumps(document).encode())
    lock = (pantry / LOCK_NAME).read_text()
    line = next(row for row in lock.splitlines() if "golden.json" in row and _hash_line(row, voyage, "static"))
    from hardtack.spec.digest import hash_file

    hashes = hash_file(path)
    (pantry / LOCK_NAME).chmod(0o644)
    (pantry / LOCK_NAME).write_text(
        lock.replace(line, f'  {{ path = "hardtack/golden.json", size = {hashes.size}, sha256 = "{hashes.sha256}" }},')
    )
    proof = prove(pantry)
    assert proof.files.good
    assert not proof.proven
    assert "static: golden answers drifted: cosine" in proof.why


def _hash_line(row: str, voyage: Voyage, key: str) -> bool:
    lock, _ = read_pantry(voyage.pantry)
    return lock.find(key).added[0].sha256 in row


def test_a_file_that_no_line_names_is_found(pantry: Path) -> None:
    extra = pantry / "emb/backdoor.py"
    extra.write_text("import os")
    assert [(f.kind, f.path) for f in check_pantry(pantry).findings] == [(Kind.EXTRA, "emb/backdoor.py")]
    assert not prove(pantry).proven


def test_where_the_kernel_cannot_nothing_is_proven(pantry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # what a kernel without user notification makes of `can_guard` is tested for real in test_cannot.py
    monkeypatch.setattr(
        prove_module, "can_guard", lambda: Guarding(able=False, how="seccomp", kernel="Linux", why_not="EINVAL")
    )
    proof = prove(pantry)
    assert not proof.proven
    assert "no guard: EINVAL" in proof.why
    assert proof.models == ()


def test_what_is_no_pantry_is_said(tmp_path: Path) -> None:
    with pytest.raises(LockError) as refused:
        prove(tmp_path)
    assert refused.value.mend == f"hardtack bake {tmp_path}"
