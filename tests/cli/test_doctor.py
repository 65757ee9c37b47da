"""What the doctor finds, each with what mends it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest.mock import Mock

import pytest

from hardtack.cli import doctor, main
from hardtack.cli.environment import decisions
from hardtack.errors import HubUnreachable
from hardtack.places import Store
from hardtack.runtime.instructions import Instructions
from hardtack.runtime.native.library import Ability, Library
from hardtack.settings import read_settings
from hardtack.spec.lock import Lock
from hardtack.supply.health import Finding, Health, hub_finding, legacy_findings, network_findings, store_findings
from hardtack.supply.hub import Hub
from hardtack.supply.patience import Patience
from hardtack.supply.pull import pull
from hardtack.supply.registry import remember
from tests.hub import FixtureHub, lay_out
from tests.supply.conftest import FILES, REPO


def of(findings: object, topic: str, health: Health) -> list[Finding]:
    return [finding for finding in findings if (finding.topic, finding.health) == (topic, health)]  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _no_pantry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARDTACK_PANTRY", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)


def test_every_decision_has_its_source(tmp_path: Path) -> None:
    environ = {
        "HOME": str(tmp_path), "HF_HOME": "/h", "HUGGINGFACE_HUB_CACHE": "/c", "HF_TOKEN": "hf_secret",
        "HARDTACK_POLICY": "online", "TRANSFORMERS_OFFLINE": "1", "EMBEDDING_MODEL": "org/tiny",
        "HARDTACK_API_KEYS": "k1 k2", "TRANSFORMERS_CACHE": "/old",
    }  # fmt: skip
    rows = {row.what: (row.value, row.source) for row in decisions(read_settings(environ), environ, tmp_path)}
    assert rows["store"] == ("/c", "HUGGINGFACE_HUB_CACHE")
    assert rows["policy"] == ("online", "HARDTACK_POLICY")
    assert rows["offline"] == ("yes", "TRANSFORMERS_OFFLINE")
    assert rows["token"] == ("set", "HF_TOKEN")
    assert rows["API keys"] == ("2", "HARDTACK_API_KEYS")
    assert rows["embed pin"] == ("org/tiny@main", "EMBEDDING_MODEL")
    assert rows["engine"] == ("auto", "default")
    assert rows["read from, too"] == ("/old", "TRANSFORMERS_CACHE")
    assert not any("secret" in value or "k1" in value for value, _ in rows.values())
    del environ["HARDTACK_POLICY"]
    rows = {row.what: (row.value, row.source) for row in decisions(read_settings(environ), environ, tmp_path)}
    assert rows["policy"] == ("strict", "TRANSFORMERS_OFFLINE")


def test_a_good_place_is_exit_0_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--offline"]) == 0
    out = capsys.readouterr().out
    assert "✓ cpu:" in out
    assert "was not asked: --offline" in out
    assert main(["doctor", "--offline", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["good"] is True
    assert {row["topic"] for row in found["findings"]} >= {"cpu", "engine", "guard", "disk", "store", "hub"}


def test_a_hub_that_does_not_answer_is_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert main(["doctor", "-q"]) == 1
    assert "✗ hub: http://127.0.0.1:9 does not answer" in capsys.readouterr().out
    monkeypatch.setenv("HARDTACK_POLICY", "strict")
    assert main(["doctor", "-q"]) == 0


def test_a_hub_answers_whatever_it_says_of_a_repository(tmp_path: Path) -> None:
    with FixtureHub() as hub:
        assert hub_finding(Hub(hub.url)).health is Health.GOOD
        hub.broken("*", times=None, status=500)
        assert hub_finding(Hub(hub.url, patience=Patience(attempts=1))).health is Health.BROKEN


def test_what_is_wrong_with_a_store(tmp_path: Path) -> None:
    from hardtack.mirror import Served
    from hardtack.spec.manifest import WantedModel
    from hardtack.spec.words import Task
    from hardtack.supply.resolve import resolve

    store = Store(tmp_path / "hub", tmp_path / "own")
    project = tmp_path / "project" / "hardtack.lock"
    with FixtureHub(Served(REPO, lay_out(tmp_path / "served", FILES))) as fixture:
        hub = Hub(fixture.url)
        lock = Lock("", (resolve(WantedModel("emb", Task.EMBED, REPO), hub, store),))
        remember(store, lock, project)
        pull(lock, store, hub)
    assert not of(store_findings(store), "store", Health.BROKEN)
    blob = (store.snapshot(REPO, lock.models[0].commit) / "config.json").resolve()
    blob.rename(blob.with_name("x.hardtack.incomplete"))
    found = list(store_findings(store, free=lambda _: 1_000_000_000))
    (broken,) = of(found, "store", Health.BROKEN)
    assert "config.json" in broken.text
    assert broken.mend == "hardtack pull"
    notes = " ".join(finding.text for finding in of(found, "store", Health.NOTE))
    assert "1 downloads were cut off" in notes
    assert str(project) in notes
    assert of(found, "disk", Health.NOTE)[0].mend == "hardtack cache prune"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_files_of_another_user_are_named() -> None:
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom hardtack.places import Store\n"
        "from hardtack.supply.health import store_findings\nos.setuid(65534)\n"
        "print([f.text for f in store_findings(Store(Path(sys.argv[1]), Path(sys.argv[2])))])"
    )
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        Path(name).chmod(0o755)
        root = lay_out(Path(name, "hub"), {"models--org--tiny/blobs/x": "x"})
        done = subprocess.run(
            [sys.executable, "-c", program, root, Path(name, "own")], capture_output=True, text=True,
            env={"PYTHONPATH": os.pathsep.join(sys.path), "HOME": "/"},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "not writable for user 65534" in done.stdout


def test_caches_of_former_days(tmp_path: Path) -> None:
    lay_out(tmp_path, {".cache/torch/sentence_transformers/m/x": "x", "old/y": "y", "hub/z": "z"})
    found = list(legacy_findings(tmp_path, tmp_path / "hub", (tmp_path / "old", tmp_path / "hub", tmp_path / "none")))
    assert [finding.mend.split()[-1] for finding in found] == [
        str(tmp_path / ".cache/torch/sentence_transformers"), str(tmp_path / "old"),
    ]  # fmt: skip


def test_proxies_and_certificates(tmp_path: Path) -> None:
    environ = {
        "HTTPS_PROXY": "http://me:secret@proxy:8080", "NO_PROXY": "localhost", "SSL_CERT_FILE": str(tmp_path / "none"),
        "REQUESTS_CA_BUNDLE": "/ca.pem",
    }  # fmt: skip
    found = list(network_findings(environ))
    assert [finding.text for finding in of(found, "proxy", Health.NOTE)] == [
        "HTTPS_PROXY=http://…@proxy:8080", "NO_PROXY=localhost",
    ]  # fmt: skip
    (broken,) = of(found, "certificates", Health.BROKEN)
    assert broken.mend == "unset SSL_CERT_FILE"
    del environ["SSL_CERT_FILE"]
    (note,) = of(network_findings(environ), "certificates", Health.NOTE)
    assert note.mend == "export SSL_CERT_FILE=/ca.pem"


@pytest.mark.parametrize(
    ("flags", "able", "health", "says", "mended"),
    [
        ("avx2 amx_tile amx_bf16", Ability(Mock(spec=Library)), Health.GOOD, "can run here", False),
        ("avx2 amx_tile amx_bf16", Ability(None, "no library", built=False), Health.NOTE, "no library", True),
        ("avx2 amx_tile amx_bf16", Ability(None, "no permission"), Health.NOTE, "no permission", False),
        ("avx2", Ability(None, "no library", built=False), Health.NOTE, "nothing is missed", False),
    ],
)
def test_what_is_missed_of_the_native_engine(
    flags: str, able: Ability, health: Health, says: str, mended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "read_instructions", lambda: Instructions(flags=frozenset(flags.split())))
    monkeypatch.setattr(doctor, "ability", lambda: able)
    finding = doctor._native()
    assert finding.health is health
    assert says in finding.text
    assert bool(finding.mend) is mended


def test_engines_are_looked_for_and_not_imported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(doctor, "ability", lambda: Ability(None, "no AMX"))
    assert main(["doctor", "--offline", "-q"]) == 1
    out = capsys.readouterr().out
    assert "openvino is not installed" in out
    assert "pip install openvino" in out
    assert "torch" not in sys.modules
    # an image for the native engine alone is no broken one
    monkeypatch.setattr(doctor, "ability", lambda: Ability(Mock(spec=Library)))
    assert main(["doctor", "--offline", "-q"]) == 0


def test_former_names_are_explained(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_ENABLE_HF_TRANSFER", "1")
    monkeypatch.setenv("TRANSFORMERS_CACHE", "/old")
    assert main(["doctor", "--offline"]) == 0
    out = capsys.readouterr().out
    assert "HF_HUB_ENABLE_HF_TRANSFER: ignored" in out
    assert "TRANSFORMERS_CACHE: gone from transformers; hardtack still reads from it; now HF_HUB_CACHE" in out


def test_certificates_that_are_not_there_are_one_clear_error(tmp_path: Path) -> None:
    program = "import sys\nfrom hardtack.supply.hub import Hub\nHub('https://127.0.0.1:9').list('org/tiny', 'main')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path), "SSL_CERT_FILE": str(tmp_path / "none")},
    )  # fmt: skip
    assert "Misused: the certificates to trust cannot be read" in done.stderr
    assert HubUnreachable.__name__ not in done.stderr
