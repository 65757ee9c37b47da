"""What the makers of linters say of every scaffold."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.bake.test_scaffold import CASES, files_of
from tests.containers.tools import say

pytestmark = pytest.mark.containers

BIN = Path(sys.executable).parent


@pytest.mark.parametrize("case", CASES)
def test_no_linter_has_a_word_to_say(case: str, tmp_path: Path) -> None:
    for path, text in files_of(case).items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert say(BIN / "hadolint", *tmp_path.glob("Dockerfile*")) == ""
    say("sh", "-n", tmp_path / "dev.sh")
    schema: list[str | Path] = [BIN / "check-jsonschema", "--builtin-schema"]
    if files := sorted(tmp_path.glob("compose.*.yml")):
        say(*schema, "vendor.compose-spec", *files)
    if files := sorted(tmp_path.glob(".github/workflows/*.yml")):
        say(*schema, "vendor.github-workflows", *files)
    if files := sorted(tmp_path.glob("kubernetes/*.yaml")):
        said = say(BIN / "kubernetes-validate", "--strict", *files)
        assert said.count(" passed ") >= 7
