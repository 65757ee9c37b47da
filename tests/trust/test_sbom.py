"""The bill of materials: valid CycloneDX, complete, the same each time, and of whatever brings a lock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation import make_schemabased_validator
from hypothesis import given, settings

from hardtack.cli import cli, main
from hardtack.spec.lock import Lock
from hardtack.spec.lock_text import render_lock
from hardtack.trust.sbom import bill_of, licenses_of
from tests.spec.test_lock_text import CASES, locks
from tests.voyage import Voyage

GOLDEN = Path(__file__).parent / "golden"
VALIDATOR = make_schemabased_validator(OutputFormat.JSON, SchemaVersion.V1_6)


def text_of(bill: dict[str, Any]) -> str:
    return json.dumps(bill, indent=2, ensure_ascii=False) + "\n"


def parts_of(parts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for part in parts:
        yield part
        yield from parts_of(part.get("components", []))


@pytest.mark.parametrize("case", CASES)
def test_bills_are_these_words(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardtack.trust.sbom.__version__", "0.0.0")
    assert text_of(bill_of(render_lock(CASES[case]))) == (GOLDEN / f"{case}.cdx.json").read_text(encoding="utf-8")


def test_each_golden_file_has_a_case() -> None:
    assert sorted(CASES) == sorted(path.name.removesuffix(".cdx.json") for path in GOLDEN.iterdir())


@settings(max_examples=60, deadline=None)
@given(locks)
def test_any_bill_is_valid_and_leaves_nothing_out(lock: Lock) -> None:
    bill = bill_of(render_lock(lock), timestamp="2026-01-31T12:00:00Z")
    assert VALIDATOR.validate_str(text_of(bill)) is None
    parts = list(parts_of(bill["components"]))
    hashes = {(part["name"], part["hashes"][0]["content"]) for part in parts if part["type"] == "file"}
    for model in lock.models:
        own = [file for code in model.code for file in code.files]
        own += [*model.files, *model.added, *(file for build in model.builds for file in build.files)]
        assert {(file.path, file.sha256) for file in own} <= hashes
    refs = [part["bom-ref"] for part in (*parts, *bill.get("services", ()))]
    assert len(refs) == len(set(refs))
    (roots,) = bill["dependencies"]
    assert sorted(roots["dependsOn"]) == sorted(model.key for model in lock.models)


@pytest.mark.parametrize(
    ("said", "licenses"),
    [
        ("apache-2.0", [{"license": {"id": "Apache-2.0"}}]),
        ("mit, cc-by-4.0", [{"expression": "MIT AND CC-BY-4.0"}]),
        ("mit or gpl-3.0-only", [{"expression": "MIT OR GPL-3.0-only"}]),
        ("llama3.1", [{"license": {"name": "llama3.1"}}]),
        ("other", [{"license": {"name": "other"}}]),
        ("mit, other", [{"license": {"name": "mit, other"}}]),
    ],
)
def test_licences_are_spdx_where_they_can_be(said: str, licenses: list[object]) -> None:
    assert licenses_of(said) == licenses


def test_the_same_lock_has_the_same_bill_wherever_it_lies(tmp_path: Path) -> None:
    with Voyage(tmp_path) as voyage:
        pantry = voyage.baked()
        archive = tmp_path / "models.tar"
        assert voyage.run("pack", "-o", str(archive)).returncode == 0
        ours = voyage.run("sbom")
    assert ours.returncode == 0, ours.stderr
    assert VALIDATOR.validate_str(ours.stdout) is None
    ask = CliRunner().invoke
    assert ask(cli, ["sbom", str(archive)]).stdout == ours.stdout
    assert ask(cli, ["sbom", str(voyage.folder / "hardtack.lock"), "--json"]).stdout == ours.stdout
    laid = json.loads(ask(cli, ["sbom", str(pantry)]).stdout)
    assert any(part["name"] == "hardtack/golden.json" for part in parts_of(laid["components"]))
    purl = "pkg:huggingface/tiny/bert@"
    assert sum(str(part.get("purl")).startswith(purl) for part in laid["components"]) == 1


def test_it_is_written_and_dated_where_asked(tmp_path: Path) -> None:
    lock, out = tmp_path / "hardtack.lock", tmp_path / "models.cdx.json"
    lock.write_text(render_lock(CASES["a-plain-embedder"]))
    done = CliRunner().invoke(cli, ["sbom", str(lock), "-o", str(out), "--timestamp", "2026-01-31T12:00:00Z"])
    assert (done.exit_code, done.stdout) == (0, "")
    assert json.loads(out.read_text())["metadata"]["timestamp"] == "2026-01-31T12:00:00Z"


def test_what_is_no_lock_and_no_time_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = tmp_path / "hardtack.lock"
    assert main(["sbom", str(lock)]) != 0
    assert "there is no lock" in capsys.readouterr().err
    lock.write_text(render_lock(CASES["no-model"]))
    assert main(["sbom", str(lock), "--timestamp", "yesterday"]) == 2
    assert "2026-01-31T12:00:00Z" in capsys.readouterr().err
