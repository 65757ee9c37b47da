"""A directory beside the manifest is locked as a repository is, but without a commit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hardtack.errors import ManifestError, Refused
from hardtack.spec.digest import hash_bytes
from hardtack.supply.local import resolve_local
from tests.hub import lay_out
from tests.supply.conftest import CHOSEN, FILES, WANTED, WEIGHTS

LOCAL = replace(WANTED, repo="./my-model")


def test_the_same_files_as_from_the_hub(tmp_path: Path) -> None:
    lay_out(tmp_path / "my-model", FILES | {".git/config": "x", ".cache/huggingface/x.json": "{}"})
    model = resolve_local(LOCAL, tmp_path)
    assert tuple(file.path for file in model.files) == CHOSEN
    assert (model.source, model.repo, model.commit) == ("local", "./my-model", "")
    weights = next(file for file in model.files if file.path == "model.safetensors")
    assert weights.sha256 == hash_bytes(WEIGHTS).sha256
    assert resolve_local(LOCAL, tmp_path) == model


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(ManifestError):
        resolve_local(LOCAL, tmp_path)


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "my-model", FILES)
    (tmp_path / "secret.json").write_text("{}")
    (folder / "vocab.json").symlink_to("../secret.json")
    with pytest.raises(Refused, match="cannot be carried") as caught:
        resolve_local(LOCAL, tmp_path)
    assert "vocab.json" in caught.value.found


def test_a_link_within_is_fine(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "my-model", FILES)
    (folder / "vocab.json").symlink_to("tokenizer.json")
    assert "vocab.json" in {file.path for file in resolve_local(LOCAL, tmp_path).files}
