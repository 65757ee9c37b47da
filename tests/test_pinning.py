from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hardtack.errors import Mismatch, UnknownModel
from hardtack.loaders import load_embedder, make_manager
from hardtack.settings import Settings, read_settings
from tests.models import make_bert
from tests.voyage import Voyage


@pytest.fixture
def voyage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Voyage]:
    empty = tmp_path / "no-project"
    empty.mkdir()
    monkeypatch.chdir(empty)  # nothing above it holds a lock
    with Voyage(tmp_path) as voyage:
        yield voyage


def settings(voyage: Voyage, **more: str) -> Settings:
    return read_settings(voyage.environment(EMBED_REPO="tiny/bert", **more))


def test_the_first_use_makes_a_lock_that_later_ones_go_by(voyage: Voyage) -> None:
    first = load_embedder(settings=settings(voyage))
    assert first.identity.verified == "full"
    assert len(list((voyage.store.own / "pins").iterdir())) == 1
    vectors = first.encode(["a cat sits"])

    make_bert(voyage.served["tiny/bert"], seed=5)  # upstream moves: nothing here does
    asked = voyage.hub.count()
    again = load_embedder(settings=settings(voyage, HARDTACK_POLICY="strict"))
    assert again.commit == first.commit
    np.testing.assert_array_equal(again.encode(["a cat sits"]), vectors)
    assert voyage.hub.count() == asked


def test_the_lock_is_enforced(voyage: Voyage) -> None:
    model = load_embedder(settings=settings(voyage))
    weights = model.identity.directory / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.resolve().write_bytes(data)
    with pytest.raises(Mismatch):
        load_embedder(settings=settings(voyage, HARDTACK_POLICY="strict"))


def test_a_commit_is_taken_at_its_word(voyage: Voyage) -> None:
    commit = voyage.hub.commit("tiny/bert")
    assert load_embedder(settings=settings(voyage, EMBED_COMMIT=commit)).commit == commit


def test_strict_makes_no_lock(voyage: Voyage) -> None:
    with pytest.raises(UnknownModel) as refused:
        load_embedder(settings=settings(voyage, HF_HUB_OFFLINE="1"))
    assert refused.value.mend == "hardtack add tiny/bert --task embed"
    assert voyage.hub.count() == 0


def test_a_manager_serves_what_is_pinned(voyage: Voyage) -> None:
    manager = make_manager(settings(voyage))
    assert manager.embed.encode("a cat").ndim == 1
