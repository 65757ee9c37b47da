"""Unpacking: as pull leaves it, vouched for by somebody, and nothing half-done."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir, snapshot_download

from hardtack.errors import DiskError, Mismatch, Misused, Refused, Untrusted, Unverified
from hardtack.places import Store
from hardtack.spec.digest import hash_bytes, tree_digest
from hardtack.spec.lock import Lock, LockedBuild, LockedFile
from hardtack.spec.lock_text import read_lock, write_lock
from hardtack.spec.words import Precision
from hardtack.supply.archive import Trust
from hardtack.supply.archive_pack import pack
from hardtack.supply.archive_unpack import Unpacked, unpack
from hardtack.supply.hub import Hub
from hardtack.supply.pull import pull
from hardtack.supply.registry import Standing, known
from hardtack.supply.report import State
from hardtack.supply.store import project_id
from tests.hub import lay_out
from tests.supply.conftest import CHOSEN, REPO, Heard
from tests.supply.test_archive_pack import local

ANYWAY = Trust(anyway=True)


@pytest.fixture
def made(lock: Lock, hub: Hub, tmp_path: Path) -> bytes:
    """An archive of a Hub model, a local one, and a build, made from a store that is gone afterwards."""
    there = tmp_path / "there"
    store = Store(there / "hub", there / "own")
    pull(lock, store, hub)
    lay_out(there / "mine", {"config.json": "{}"})
    hashes = hash_bytes(b"graph")
    lay_out(store.builds, {"int8-1/model.xml": b"graph"})
    built = LockedBuild(
        "int8",
        Precision.INT8,
        tree_digest([("hardtack/int8-1/model.xml", hashes.sha256)]),
        (LockedFile("hardtack/int8-1/model.xml", hashes.size, hashes.sha256),),
    )
    whole = Lock(lock.manifest, (replace(lock.models[0], builds=(built,)), local("./mine")))
    out = io.BytesIO()
    pack(whole, store, there, out)
    return out.getvalue()


def contents(root: Path) -> dict[str, bytes | str]:
    """Every file and link beneath a folder."""
    paths = sorted(path for path in root.rglob("*") if path.is_symlink() or path.is_file())
    return {str(p.relative_to(root)): str(p.readlink()) if p.is_symlink() else p.read_bytes() for p in paths}


def opened(archive: bytes, store: Store, folder: Path, trust: Trust, **rest: object) -> Unpacked:
    folder.mkdir(exist_ok=True)
    return unpack(io.BytesIO(archive), store, folder / "hardtack.lock", trust, **rest)  # type: ignore[arg-type]


def test_as_pull_leaves_it(made: bytes, store: Store, lock: Lock, hub: Hub, tmp_path: Path) -> None:
    here = tmp_path / "here"
    done = opened(made, store, here, ANYWAY)
    pulled = Store(tmp_path / "p" / "hub", tmp_path / "p" / "own")
    pull(lock, pulled, hub, project=project_id(here / "hardtack.lock"))
    assert contents(store.hub) == {k: v for k, v in contents(pulled.hub).items() if "/.no_exist/" not in k}
    assert set(done.states.values()) == {State.ADOPTED}
    assert snapshot_download(REPO, cache_dir=store.hub, local_files_only=True)
    assert not scan_cache_dir(store.hub).warnings
    assert (here / "mine/config.json").read_bytes() == b"{}"
    assert (store.builds / "int8-1/model.xml").read_bytes() == b"graph"
    assert read_lock(here / "hardtack.lock").models[0].key == "emb"
    assert done.lock_written == here / "hardtack.lock"
    assert not list(tmp_path.rglob(".hardtack-unpacking-*"))


def test_a_second_time_writes_nothing(made: bytes, store: Store, tmp_path: Path) -> None:
    opened(made, store, tmp_path / "here", ANYWAY)
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    done = opened(made, store, tmp_path / "here", Trust(read_lock(tmp_path / "here" / "hardtack.lock")))
    assert set(done.states.values()) == {State.THERE}
    assert (done.bytes, done.lock_written) == (0, None)
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_prune_knows_whose_it_is(made: bytes, store: Store, lock: Lock, tmp_path: Path) -> None:
    opened(made, store, tmp_path / "here", ANYWAY)
    (project,) = known(store)
    assert project.standing is Standing.HERE
    assert project.lock == tmp_path / "here" / "hardtack.lock"
    assert project.brought == {*project.keeps} == {(REPO, lock.models[0].commit)}


def test_it_mends_what_is_wrong(made: bytes, store: Store, lock: Lock, tmp_path: Path) -> None:
    opened(made, store, tmp_path / "here", ANYWAY)
    (store.snapshot(REPO, lock.models[0].commit) / "config.json").resolve().write_bytes(b"rotten")
    done = opened(made, store, tmp_path / "here", ANYWAY)
    assert [name.rpartition("/")[2] for name, state in done.states.items() if state is State.ADOPTED] == ["config.json"]
    assert opened(made, store, tmp_path / "here", ANYWAY).bytes == 0


class TestWhoVouches:
    def test_nobody(self, made: bytes, store: Store, tmp_path: Path) -> None:
        with pytest.raises(Unverified) as caught:
            opened(made, store, tmp_path / "here", Trust())
        assert "--expect sha256:" in caught.value.mend
        assert not store.hub.exists()

    def test_a_digest(self, made: bytes, store: Store, tmp_path: Path) -> None:
        digest = opened(made, store, tmp_path / "here", ANYWAY).digest
        other = Store(tmp_path / "o", tmp_path / "oo")
        assert "--expect" in opened(made, other, tmp_path / "there2", Trust(expect=digest)).vouched
        with pytest.raises(Mismatch):
            opened(made, Store(tmp_path / "q", tmp_path / "qq"), tmp_path / "q2", Trust(expect="sha256:" + "0" * 64))
        assert not (tmp_path / "q").exists()

    def test_what_is_no_digest(self) -> None:
        with pytest.raises(Misused):
            Trust(expect="abc")

    def test_the_projects_lock(self, made: bytes, store: Store, lock: Lock, tmp_path: Path) -> None:
        """It knows neither the local model nor the build, so it cannot vouch for them."""
        with pytest.raises(Mismatch) as caught:
            opened(made, store, tmp_path / "here", Trust(lock))
        assert "2 files" in caught.value.what
        assert not store.hub.exists()
        assert opened(made, store, tmp_path / "here", Trust(lock, anyway=True)).vouched.startswith("nobody")

    def test_a_lock_of_more_than_the_archive(self, lock: Lock, store: Store, hub: Hub, tmp_path: Path) -> None:
        pull(lock, store, hub)
        out = io.BytesIO()
        pack(lock, store, tmp_path, out)
        more = lock.with_model(local("./mine"))
        write_lock(more, tmp_path / "hardtack.lock")
        other = Store(tmp_path / "o", tmp_path / "oo")
        before = (tmp_path / "hardtack.lock").read_bytes()
        assert unpack(io.BytesIO(out.getvalue()), other, tmp_path / "hardtack.lock", Trust(more)).vouched
        assert (tmp_path / "hardtack.lock").read_bytes() == before
        assert (other.repo(REPO) / "refs/main").read_text() == lock.models[0].commit

    def test_names_of_revisions_are_the_projects_to_say(
        self, lock: Lock, store: Store, hub: Hub, tmp_path: Path
    ) -> None:
        pull(lock, store, hub)
        out = io.BytesIO()
        pack(Lock("", (replace(lock.models[0], requested="v9"),)), store, tmp_path, out)
        other = Store(tmp_path / "o", tmp_path / "oo")
        unpack(io.BytesIO(out.getvalue()), other, tmp_path / "hardtack.lock", Trust(lock))
        assert not (other.repo(REPO) / "refs/v9").exists()


class TestSignedToo:
    """What a key vouches for, with the others that may vouch; the key itself is the trust room's."""

    @staticmethod
    def signed(text: bytes) -> str:
        assert b"\nversion = 1\n" in text
        return "the key X"

    @staticmethod
    def unsigned(_: bytes) -> str:
        raise Untrusted("there is no signature")

    def test_a_key_will_do(self, made: bytes, store: Store, tmp_path: Path) -> None:
        assert opened(made, store, tmp_path / "here", Trust(signed=self.signed)).vouched == "the key X"

    def test_a_key_that_was_given_must_hold(self, made: bytes, store: Store, lock: Lock, tmp_path: Path) -> None:
        digest = opened(made, Store(tmp_path / "o", tmp_path / "oo"), tmp_path / "there2", ANYWAY).digest
        whole = read_lock(tmp_path / "there2" / "hardtack.lock")
        for trust in (Trust(), Trust(whole), Trust(lock, expect=digest), ANYWAY):
            with pytest.raises(Untrusted):
                opened(made, store, tmp_path / "here", replace(trust, signed=self.unsigned))
        assert not store.hub.exists()
        assert list((tmp_path / "here").iterdir()) == []

    def test_a_digest_that_was_given_must_hold_too(self, made: bytes, store: Store, tmp_path: Path) -> None:
        with pytest.raises(Mismatch):
            opened(made, store, tmp_path / "here", Trust(expect="sha256:" + "0" * 64, signed=self.signed))
        assert not store.hub.exists()

    def test_a_key_does_not_say_which(self, made: bytes, store: Store, lock: Lock, tmp_path: Path) -> None:
        """An older archive is signed, too: where a lock says what is wanted, it is asked as well."""
        with pytest.raises(Mismatch):
            opened(made, store, tmp_path / "here", Trust(lock, signed=self.signed))
        assert not store.hub.exists()
        done = opened(made, store, tmp_path / "here", Trust(lock, anyway=True, signed=self.signed))
        assert done.vouched == "the key X"
        again = Trust(lock, expect=done.digest, signed=self.signed)
        both = "the key X and the digest given with --expect"
        assert opened(made, store, tmp_path / "here", again).vouched == both


class TestLocalModels:
    def test_somebodys_work_is_not_overwritten(self, made: bytes, store: Store, tmp_path: Path) -> None:
        lay_out(tmp_path / "here" / "mine", {"config.json": "mine"})
        with pytest.raises(Refused):
            opened(made, store, tmp_path / "here", ANYWAY)
        assert (tmp_path / "here/mine/config.json").read_text() == "mine"
        assert not store.hub.exists()

    def test_a_link_does_not_lead_out(self, made: bytes, store: Store, tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        (tmp_path / "here").mkdir()
        (tmp_path / "here" / "mine").symlink_to(tmp_path / "outside")
        with pytest.raises(Refused):
            opened(made, store, tmp_path / "here", ANYWAY)
        assert list((tmp_path / "outside").iterdir()) == []


def test_a_full_disk_is_said_before_the_first_byte(made: bytes, store: Store, tmp_path: Path) -> None:
    with pytest.raises(DiskError):
        opened(made, store, tmp_path / "here", ANYWAY, free=lambda _: 1000)
    assert not store.hub.exists()


def test_a_disk_that_fills_up_leaves_nothing(
    made: bytes, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hardtack.supply.archive_unpack.disk.put", full)
    with pytest.raises(DiskError):
        opened(made, store, tmp_path / "here", ANYWAY)
    assert not list(tmp_path.rglob(".hardtack-unpacking-*"))
    assert not [path for path in store.hub.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_killed_in_the_middle(made: bytes, store: Store, tmp_path: Path, heard: Heard) -> None:
    """What a killed process leaves is used by nobody, and removed by the next."""
    source = """
        import sys
        from pathlib import Path
        from hardtack.places import Store
        from hardtack.supply.archive import Trust
        from hardtack.supply.archive_unpack import unpack
        hub, own, lock = map(Path, sys.argv[1:])
        unpack(sys.stdin.buffer, Store(hub, own), lock, Trust(anyway=True))
        """
    here = tmp_path / "here"
    here.mkdir()
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(source),
        str(store.hub),
        str(store.own),
        str(here / "hardtack.lock"),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        assert child.stdin
        child.stdin.write(made[: len(made) - 2048])
        child.stdin.flush()
        # the pipe holds 64 KiB, so all but that much of the weights has been taken and staged by now
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    left = [
        path for path in tmp_path.rglob("*") if path.is_file() and (store.hub in path.parents or here in path.parents)
    ]
    assert left, "it was killed too early to show anything"
    assert all(".hardtack-unpacking-" in str(path) for path in left)
    opened(made, store, here, ANYWAY)
    assert not list(tmp_path.rglob(".hardtack-unpacking-*"))


def test_progress_and_what_is_said(made: bytes, store: Store, tmp_path: Path, heard: Heard) -> None:
    opened(made, store, tmp_path / "here", ANYWAY, progress=heard)
    assert "nobody but itself" in heard.said[0]
    assert len(heard.done) == len(CHOSEN) + 2
