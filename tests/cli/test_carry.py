"""The verbs that carry models, as they are typed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hardtack.cli import main
from tests.trust.conftest import Pair
from tests.voyage import Voyage


@pytest.fixture(scope="module")
def voyage(tmp_path_factory: pytest.TempPathFactory) -> Voyage:
    """A project that was pulled from a Hub that is gone."""
    made = Voyage(tmp_path_factory.mktemp("voyage"))
    with made:
        made.project.lock()
        made.project.pull()
    return made


def hardtack(
    folder: Path, *arguments: str, stdin: bytes | None = None, **more: str
) -> subprocess.CompletedProcess[bytes]:
    """``hardtack ARGUMENTS`` in a folder, with a store of the folder's own."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    env = kept | {"HOME": str(folder), "HF_HOME": str(folder / "hf"), "HF_ENDPOINT": "http://127.0.0.1:9"} | more
    command = [sys.executable, "-W", "error", "-m", "hardtack", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, input=stdin, timeout=60)


def test_over_an_air_gap(voyage: Voyage, tmp_path: Path) -> None:
    packed = voyage.run("pack", "-o", "models.tar")
    assert packed.returncode == 0, packed.stderr
    digest = packed.stdout.strip()
    archive = voyage.folder / "models.tar"

    refused = hardtack(tmp_path, "unpack", str(archive))
    assert refused.returncode == 1
    assert b"vouches only for itself" in refused.stderr
    assert sorted(tmp_path.iterdir()) == []

    taken = hardtack(tmp_path, "unpack", "-", "--expect", digest, "--json", stdin=archive.read_bytes())
    assert taken.returncode == 0, taken.stderr
    assert json.loads(taken.stdout)["models"] == ["classify", "emb", "rerank", "static"]
    assert hardtack(tmp_path, "verify", "-q").returncode == 0
    baked = hardtack(tmp_path, "pull", "--json")
    assert baked.returncode == 0, "all is there: the Hub, which is not there, is not asked"
    assert json.loads(baked.stdout)["transferred"] == 0


def test_stdout_is_the_archive(voyage: Voyage) -> None:
    whole = voyage.run("pack", "emb", "-q", "-o", "one.tar")
    assert whole.returncode == 0
    command = [sys.executable, "-m", "hardtack", "pack", "emb", "-o", "-"]
    piped = subprocess.run(command, cwd=voyage.folder, env=voyage.environment(), capture_output=True, check=True)
    assert piped.stdout == (voyage.folder / "one.tar").read_bytes()
    assert whole.stdout.strip() in piped.stderr.decode()
    assert voyage.run("pack", "-o", "-", "--json").returncode == 2


def test_into_a_folder_with_a_lock(voyage: Voyage, tmp_path: Path) -> None:
    assert voyage.run("pack", "emb", "-o", "emb.tar").returncode == 0
    shutil.copy(voyage.folder / "hardtack.lock", tmp_path)
    done = hardtack(tmp_path, "unpack", str(voyage.folder / "emb.tar"), "--into", str(tmp_path))
    assert done.returncode == 0
    assert b"the project's lock" in done.stderr


def test_no_such_archive(tmp_path: Path) -> None:
    assert hardtack(tmp_path, "unpack", "nothing.tar").returncode == 3


class TestSigned:
    """Who made an archive, by a key that the far end has had before."""

    @pytest.fixture
    def ours(self, tmp_path: Path) -> Pair:
        return Pair.make(tmp_path, "ours")

    def test_from_the_lock_to_the_far_end(self, voyage: Voyage, ours: Pair, tmp_path: Path) -> None:
        lock, far = voyage.folder / "hardtack.lock", tmp_path / "far"
        far.mkdir()
        unsigned = voyage.run("pack", "-o", "a.tar", "--json")
        assert json.loads(unsigned.stdout)["signature"] is None
        assert voyage.run("sign", "--key", str(ours.private), "-q").stdout == f"{lock}.sig\n"
        packed = voyage.run("pack", "-o", "b.tar", "--json")
        assert json.loads(packed.stdout)["signature"] == "b.tar.sig"
        archive = voyage.folder / "b.tar"
        assert archive.read_bytes() == (voyage.folder / "a.tar").read_bytes(), "a signature leaves no trace in it"

        theirs = Pair.make(tmp_path, "theirs")
        cases = (("b.tar", theirs, b"not trusted"), ("a.tar", ours, b"there is no signature"))
        for name, pair, said in cases:
            refused = hardtack(far, "unpack", str(voyage.folder / name), "--trust", str(pair.public))
            assert refused.returncode == 1
            assert said in refused.stderr
        assert list(far.iterdir()) == []

        taken = hardtack(far, "unpack", str(archive), "--trust", str(theirs.public), "--trust", str(ours.public))
        assert taken.returncode == 0, taken.stderr
        assert b"(ours.pub)" in taken.stderr
        assert (far / "hardtack.lock.sig").read_bytes() == Path(f"{lock}.sig").read_bytes()
        kept = hardtack(far, "verify", "--trust", str(ours.public), "--json")
        assert json.loads(kept.stdout)["signed"].startswith("SHA256:")
        Path(f"{lock}.sig").unlink()

    def test_a_part_has_a_signature_of_its_own(self, voyage: Voyage, ours: Pair, tmp_path: Path) -> None:
        sig = voyage.folder / "hardtack.lock.sig"
        assert voyage.run("sign", "--key", str(ours.private)).returncode == 0
        packed = voyage.run("pack", "static", "-o", "part.tar")
        assert "not carried: hardtack sign FILE --key KEY" in packed.stderr
        assert voyage.run("sign", "part.tar", "-k", str(ours.private), "-o", "elsewhere.sig").returncode == 0
        sig.unlink()
        trust = ("--trust", str(ours.public), "--signature", str(voyage.folder / "elsewhere.sig"))
        archive = (voyage.folder / "part.tar").read_bytes()
        far = tmp_path / "far"
        far.mkdir()
        assert hardtack(far, "unpack", "-", *trust, stdin=archive).returncode == 0

    def test_only_a_lock_is_ever_signed(self, voyage: Voyage, ours: Pair, capsys: pytest.CaptureFixture[str]) -> None:
        output = voyage.folder / "x.sig"
        for what in ("hardtack.toml", "nothing", "static"):
            given = str(voyage.folder / what)
            assert main(["sign", given, "--key", str(ours.private), "--output", str(output)]) == 2, what
            assert given in capsys.readouterr().err
        assert not output.exists()

    def test_how_it_is_misused(self, ours: Pair) -> None:
        assert main(["sign"]) == 2
        assert main(["unpack", "x.tar", "--signature", "x.sig"]) == 2
        assert main(["unpack", "-", "--trust", str(ours.public)]) == 2


class TestRun:
    SOCKET = "import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM)"

    def test_it_is_offline_and_what_was_denied_is_said(self, tmp_path: Path) -> None:
        done = hardtack(tmp_path, "run", "--json", "report.json", "--", sys.executable, "-c", self.SOCKET, "--json")
        assert done.returncode == 1, "the command's own code: it died of the refusal"
        assert b"denied 1 \xc3\x97 socket(AF_INET, SOCK_STREAM)" in done.stderr
        report = json.loads((tmp_path / "report.json").read_text())
        assert (report["exit_code"], report["attempts"][0]["count"]) == (1, 1)

    def test_exit_codes(self, tmp_path: Path) -> None:
        assert hardtack(tmp_path, "run", "--", "sh", "-c", "exit 5").returncode == 5
        swallowed = ["--", sys.executable, "-c", f"try:\n {self.SOCKET}\nexcept OSError:\n pass"]
        assert hardtack(tmp_path, "run", *swallowed).returncode == 0
        assert hardtack(tmp_path, "run", "--fail-on-attempt", *swallowed).returncode == 1
        assert hardtack(tmp_path, "run", "--no-guard", "--fail-on-attempt", "--", "true").returncode == 2
        assert hardtack(tmp_path, "run", "--pantry", "nowhere", "--", "true").returncode == 2

    def test_it_says_what_it_does_not_cover(self, tmp_path: Path) -> None:
        done = hardtack(tmp_path, "run", "-v", "--", "env")
        assert b"not covered: " in done.stderr
        assert b"HF_HUB_OFFLINE=1" in done.stdout
        assert hardtack(tmp_path, "run", "-q", "--", "true").stderr == b""
        assert b"nothing is proven" in hardtack(tmp_path, "run", "--no-guard", "--", "true").stderr

    def test_where_there_is_a_guard_already_nothing_is_proven(self, tmp_path: Path) -> None:
        inner = [sys.executable, "-m", "hardtack", "run", "--", "echo", "ran"]
        done = hardtack(tmp_path, "run", "--", *inner)
        assert done.returncode == 1
        assert b"ran" not in done.stdout
        assert b"nothing is proven" in done.stderr
