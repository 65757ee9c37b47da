from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hardtack.errors import LockError, ManifestError, Mismatch, Refused, StaleLock, UnknownRepo
from hardtack.project import Project
from hardtack.spec.lock_text import read_lock
from tests.models import make_bert
from tests.voyage import Voyage


@pytest.fixture
def voyage(tmp_path: Path) -> Iterator[Voyage]:
    with Voyage(tmp_path) as voyage:
        yield voyage


def edit(voyage: Voyage, old: str, new: str) -> None:
    text = voyage.manifest.read_text()
    assert old in text
    voyage.manifest.write_text(text.replace(old, new))


def test_locking_names_every_file_and_fetches_no_weights(voyage: Voyage) -> None:
    lock = voyage.project.lock()
    assert lock == read_lock(voyage.project.lock_path)
    assert {model.key: model.source for model in lock.models} == {
        "emb": "hub", "static": "local", "rerank": "hub", "classify": "hub", "llm": "",
    }  # fmt: skip
    assert lock.find("emb").requested == "main"
    assert [group.name for group in lock.find("classify").labels] == ["category", "priority"]
    assert voyage.hub.count("GET", "model.safetensors") == 0


def test_a_fresh_lock_asks_nobody(voyage: Voyage) -> None:
    first = voyage.project.lock()
    asked = voyage.hub.count()
    assert voyage.project.lock() == first
    assert voyage.hub.count() == asked


def test_labels_make_no_lock_stale_and_are_carried_over(voyage: Voyage) -> None:
    voyage.project.lock()
    edit(voyage, '["high", "medium", "low"]', '["high", "low"]')
    asked = voyage.hub.count()
    assert voyage.project.current().find("classify").labels[1].values == ("high", "low")
    assert voyage.project.lock().find("classify").labels[1].values == ("high", "low")
    assert voyage.hub.count() == asked


def test_what_decides_bytes_makes_it_stale(voyage: Voyage) -> None:
    voyage.project.lock()
    edit(voyage, 'repo = "tiny/ranker"', 'repo = "tiny/ranker"\nprecision = "fp32"')
    for verb in (voyage.project.current, voyage.project.pull, lambda: voyage.project.bake(voyage.pantry)):
        with pytest.raises(StaleLock) as refused:
            verb()
        assert refused.value.mend == "hardtack lock"
    voyage.project.pull(frozen=True)
    assert not voyage.pantry.exists()


def test_a_model_stays_at_its_commit_until_it_is_upgraded(tmp_path: Path, voyage: Voyage) -> None:
    before = voyage.project.lock().find("emb").commit
    make_bert(voyage.served["tiny/bert"], seed=1)  # upstream moves
    from hardtack.mirror import Served
    from tests.hub import FixtureHub

    old = make_bert(tmp_path / "old")
    own = voyage.hub
    with FixtureHub(
        Served("tiny/bert", voyage.served["tiny/bert"]),
        Served("tiny/bert", old, commit=before),
        *(Served(repo, path) for repo, path in voyage.served.items() if repo != "tiny/bert"),
    ) as moved:
        voyage.hub = moved
        edit(voyage, 'repo = "tiny/t5"', 'repo = "tiny/t5"\nprecision = "fp32"')
        assert voyage.project.lock().find("emb").commit == before
        after = voyage.project.lock(["emb"]).find("emb")
        assert after.commit != before
        assert after.requested == "main"
    voyage.hub = own  # the voyage ends it


def test_a_wrong_revision_is_named(voyage: Voyage) -> None:
    edit(voyage, 'repo = "tiny/bert"', 'repo = "tiny/bert"\nrevision = "nightly"')
    with pytest.raises(UnknownRepo) as refused:
        voyage.project.lock()
    assert "nightly" in str(refused.value)
    assert refused.value.exit_code == 2
    assert not voyage.project.lock_path.exists()


def test_a_licence_that_the_policy_does_not_allow_is_refused(voyage: Voyage) -> None:
    (voyage.served["tiny/bert"] / "README.md").write_text("---\nlicense: mit\n---\n")
    voyage.manifest.write_text(
        '[models.emb]\ntask = "embed"\nrepo = "./static"\n[policy]\nallow-licenses = ["apache-2.0"]\n'
    )
    with pytest.raises(Refused) as refused:
        voyage.project.lock()
    assert refused.value.expected == "apache-2.0"
    assert not voyage.project.lock_path.exists()


def test_a_store_with_a_wrong_byte_is_found_and_mended(voyage: Voyage) -> None:
    voyage.project.lock()
    voyage.project.pull()
    assert all(checked.good for checked in voyage.project.verify().values())
    blob = (voyage.project.source(voyage.project.current().find("emb")) / "model.safetensors").resolve()
    data = bytearray(blob.read_bytes())
    data[7] ^= 1
    blob.write_bytes(data)
    assert [f.path for f in voyage.project.verify()["emb"].findings] == ["model.safetensors"]
    voyage.project.pull()
    assert all(checked.good for checked in voyage.project.verify().values())


def test_a_hub_that_lies_is_refused_and_nothing_is_left(voyage: Voyage) -> None:
    voyage.project.lock()
    voyage.hub.wrong_bytes("model.safetensors")
    with pytest.raises(Mismatch) as refused:
        voyage.project.pull()
    assert "model.safetensors" in refused.value.where
    assert not voyage.project.verify()["emb"].good
    assert not any((voyage.store.hub).rglob("*safetensors"))


def test_there_is_a_project_or_an_error_that_says_how_to_start(
    tmp_path: Path, voyage: Voyage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARDTACK_MANIFEST", raising=False)
    monkeypatch.delenv("HARDTACK_LOCK", raising=False)
    deep = voyage.folder / "src" / "deep"
    deep.mkdir(parents=True)
    assert Project.here(deep).manifest_path == voyage.manifest
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ManifestError) as refused:
        Project.here(empty)
    assert refused.value.mend == "hardtack init"
    assert Project.here(empty, new=True).manifest_path == empty / "hardtack.toml"


def test_a_project_without_a_lock_says_so(voyage: Voyage) -> None:
    with pytest.raises(LockError) as refused:
        voyage.project.pull()
    assert refused.value.mend == "hardtack lock"
