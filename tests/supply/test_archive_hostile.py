"""Archives that mean harm: none of them writes anything, wherever it lies and whatever it claims.

All are given the widest trust there is, ``--anyway``, so that nothing but the reading itself stands in their way.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hardtack.errors import HardtackError, LockError, Mismatch, Refused
from hardtack.places import Store
from hardtack.spec.digest import hash_bytes, tree_digest
from hardtack.spec.lock import Lock, LockedFile, LockedModel
from hardtack.spec.lock_text import render_lock
from hardtack.spec.words import Task
from hardtack.supply import archive_tar as tar
from hardtack.supply.archive import Trust, entries_of
from hardtack.supply.archive_unpack import unpack

COMMIT = "c" * 40
CONTENTS = {"config.json": b"{}", "deep/er/notes.txt": b"notes", "model.safetensors": bytes(range(256)) * 5}
SNAPSHOT = f"models--org--tiny/snapshots/{COMMIT}"


def locked(path: str, content: bytes) -> LockedFile:
    hashes = hash_bytes(content)
    return LockedFile(path, hashes.size, hashes.sha256, "" if path.endswith(".safetensors") else hashes.git)


def lock_of(contents: Mapping[str, bytes], **more: str) -> Lock:
    files = tuple(locked(path, content) for path, content in contents.items())
    digest = tree_digest((file.path, file.sha256) for file in files)
    model = LockedModel("emb", Task.FILES, "org/tiny", commit=COMMIT, requested="main", files=files, digest=digest)
    return Lock("", (replace(model, **more),))  # type: ignore[arg-type]


def member(name: str, content: bytes) -> bytes:
    return tar.header(name, len(content)) + content + tar.padding(len(content))


def archive(lock: Lock, contents: Mapping[str, bytes]) -> bytes:
    files = [member(entry.name, contents[entry.file.path]) for entry in entries_of(lock)]
    return member("hardtack.lock", render_lock(lock).encode()) + b"".join(files) + tar.END


GOOD = archive(lock_of(CONTENTS), CONTENTS)
FIRST = len(member("hardtack.lock", render_lock(lock_of(CONTENTS)).encode()))


EXPECTED = ("hf/hub/models--", "hf/hub/CACHEDIR.TAG", "hf/own/projects/", "here/hardtack.lock")
"""Where something may lie once an archive was taken."""


class Ship:
    """A place to unpack in, and what lies there afterwards."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root / "hf" / "hub", root / "hf" / "own")
        self.here = root / "here"
        self.here.mkdir()

    def take(self, data: bytes) -> None:
        unpack(io.BytesIO(data), self.store, self.here / "hardtack.lock", Trust(anyway=True))

    def files(self) -> set[str]:
        """Every file and link, but the locks that processes wait at."""
        every = {path for path in self.root.rglob("*") if path.is_symlink() or not path.is_dir()}
        return {
            str(path.relative_to(self.root)) for path in every if path.suffix != ".lock" or path.parent == self.here
        }

    def check(self) -> None:
        """Nothing waits, nothing is outside, and content has the name that its hash gives it."""
        for name in self.files():
            assert name.startswith(EXPECTED), name
        for blob in self.store.hub.glob("models--*/blobs/*"):
            hashes = hash_bytes(blob.read_bytes())
            assert blob.name in (hashes.sha256, hashes.git)


@pytest.fixture
def ship(tmp_path: Path) -> Ship:
    return Ship(tmp_path)


def test_the_good_one_is_taken(ship: Ship) -> None:
    ship.take(GOOD)
    ship.check()
    assert (ship.store.snapshot("org/tiny", COMMIT) / "deep/er/notes.txt").read_bytes() == b"notes"


def told(kind: bytes, **fields: object) -> Callable[[tarfile.TarInfo], None]:
    def tell(info: tarfile.TarInfo) -> None:
        info.type = kind
        for name, value in fields.items():
            setattr(info, name, value)

    return tell


def foreign(tell: Callable[[tarfile.TarInfo], None], form: Literal[0, 1, 2] = tarfile.PAX_FORMAT) -> bytes:
    """The good archive with its second entry as Python's tarfile writes it, told something else."""
    name = f"{SNAPSHOT}/config.json"
    assert GOOD[FIRST:].startswith(name.encode())
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = 2, 0o644, 315532800
    tell(info)
    return GOOD[:FIRST] + info.tobuf(form, "utf-8") + GOOD[FIRST + tar.BLOCK :]


def test_said_the_way_of_others_it_would_be_taken(ship: Ship) -> None:
    """The next tests change one thing each; without it, what they make is the good archive."""
    assert foreign(lambda _: None) == GOOD


@pytest.mark.parametrize(
    "tell",
    [
        told(tarfile.SYMTYPE, linkname="/etc/passwd"),
        told(tarfile.LNKTYPE, linkname="hardtack.lock"),
        told(tarfile.CHRTYPE, devmajor=1, devminor=3),
        told(tarfile.FIFOTYPE),
        told(tarfile.DIRTYPE),
        told(tarfile.GNUTYPE_SPARSE),
        told(tarfile.REGTYPE, mode=0o4755),
        told(tarfile.REGTYPE, uid=1000),
        told(tarfile.REGTYPE, name="../../../escaped"),
        told(tarfile.REGTYPE, name="/tmp/escaped"),
        told(tarfile.REGTYPE, name=f"{SNAPSHOT}/other.json"),
        told(tarfile.REGTYPE, pax_headers={"path": "../escaped"}),
        told(tarfile.REGTYPE, pax_headers={"size": "99999999999"}),
        told(tarfile.REGTYPE, pax_headers={"GNU.sparse.realsize": "99999999999"}),
        told(tarfile.REGTYPE, pax_headers={"linkpath": "/etc"}),
        told(tarfile.REGTYPE, size=3),
    ],
)
def test_entries_that_are_something_else(ship: Ship, tell: Callable[[tarfile.TarInfo], None]) -> None:
    with pytest.raises(Mismatch):
        ship.take(foreign(tell))
    assert ship.files() == set()


def test_a_negative_size(ship: Ship) -> None:
    with pytest.raises(Mismatch):
        ship.take(foreign(told(tarfile.REGTYPE, size=-512), tarfile.GNU_FORMAT))
    assert ship.files() == set()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(2048),
        GOOD[:-1],
        GOOD[: -len(tar.END)],
        GOOD[: FIRST + 100],
        GOOD[:FIRST],
        GOOD + b"x",
        GOOD + bytes(512),
        GOOD[FIRST:],
        GOOD[: -len(tar.END)] + member("models--org--tiny/more", b"x") + tar.END,
        GOOD[: FIRST + 1024] + GOOD[FIRST:],  # an entry twice
        member("hardtack.toml", b"x") + GOOD,
        member("hardtack.lock", b"\xff") + tar.END,
        member("hardtack.lock", b"not = a lock") + tar.END,
        tar.header("hardtack.lock", 8**11 - 1),  # a lock of 8 GiB
        tar.header("hardtack.lock", 8**12),
    ],
)
def test_wholes_that_are_something_else(ship: Ship, data: bytes) -> None:
    with pytest.raises((Mismatch, LockError)):
        ship.take(data)
    assert ship.files() == set()


def test_right_size_wrong_bytes(ship: Ship) -> None:
    with pytest.raises(Mismatch, match="not what its own lock says"):
        ship.take(archive(lock_of(CONTENTS), {**CONTENTS, "model.safetensors": bytes(1280)}))
    assert ship.files() == set()


def test_content_under_the_name_of_another(ship: Ship) -> None:
    """A lock may claim another content's git blob id, under which the store keeps what is not in LFS."""
    ship.take(GOOD)
    lock = lock_of({"evil.json": b"evil"})
    victim = locked("config.json", b"{}").git
    evil = replace(lock.models[0], files=(replace(lock.models[0].files[0], git=victim),))
    with pytest.raises(Mismatch, match="not what its own lock says"):
        ship.take(archive(Lock("", (evil,)), {"evil.json": b"evil"}))
    ship.check()
    assert (ship.store.snapshot("org/tiny", COMMIT) / "config.json").read_bytes() == b"{}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'path = "config.json"', b'path = "../config.js"'),
        (b'path = "config.json"', b'path = "/config.jso"'),
        (b'repo = "org/tiny"', b'repo = "../../../"'),
        (b'commit = "' + b"c" * 40, b'commit = "' + b"../" * 13 + b"x"),
        (b'requested = "main"', b'requested = "../../escaped"'),
        (b'requested = "main"', b'requested = "/etc/x"'),
        (b'key = "emb"', b'key = "../x"'),
        (b"size = 2,", b"size = -2,"),
        (b"size = 2,", b"size = 99999999999999999999,"),
    ],
)
def test_locks_that_lead_elsewhere(ship: Ship, old: bytes, new: bytes) -> None:
    text = render_lock(lock_of(CONTENTS)).encode()
    assert old in text
    with pytest.raises(HardtackError):
        ship.take(member("hardtack.lock", text.replace(old, new)) + GOOD[FIRST:])
    assert ship.files() == set()


def test_more_than_the_disk_holds(ship: Ship) -> None:
    huge = replace(lock_of({}).models[0], files=(LockedFile("a", 2**62, "0" * 64),),
                   digest=tree_digest([("a", "0" * 64)]))  # fmt: skip
    with pytest.raises(HardtackError, match="not enough free space"):
        ship.take(member("hardtack.lock", render_lock(Lock("", (huge,))).encode()) + tar.END)
    assert ship.files() == set()


def test_a_local_model_that_is_the_project_itself(ship: Ship) -> None:
    lock = Lock(
        "", (replace(lock_of({"hardtack.toml": b"x"}).models[0], repo=".", source="local", commit="", requested=""),)
    )
    with pytest.raises(Refused):
        ship.take(member("hardtack.lock", render_lock(lock).encode()) + tar.END)
    assert ship.files() == set()


Cut = tuple[int, int, bytes]
PUT_IN = st.binary(max_size=40) | st.sampled_from([GOOD[FIRST:], b"\0"])
CUT = st.tuples(st.integers(0, len(GOOD)), st.integers(0, 1600), PUT_IN)


@settings(max_examples=60, deadline=None)
@example([(len(GOOD), 0, b"")])
@example([(FIRST, 1024, b""), (FIRST + 1024, 0, GOOD[FIRST : FIRST + 1024])])
@given(st.lists(CUT, min_size=1, max_size=3))
def test_no_mutation_does_harm(cuts: list[Cut]) -> None:
    """Cut out, put in: either it is refused and nothing was written, or what was written is what its lock says."""
    data = GOOD
    for start, length, put_in in cuts:
        data = data[:start] + put_in + data[start + length :]
    with tempfile.TemporaryDirectory() as root:
        ship = Ship(Path(root))
        try:
            ship.take(data)
        except HardtackError:
            assert ship.files() == set()
        else:
            ship.check()
            assert (ship.here / "hardtack.lock").is_file()


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, len(GOOD) - 1), bit=st.integers(0, 7))
def test_no_flipped_bit_after_the_lock_is_taken(place: int, bit: int) -> None:
    data = bytearray(GOOD)
    data[max(place, FIRST)] ^= 1 << bit
    with tempfile.TemporaryDirectory() as root:
        ship = Ship(Path(root))
        with pytest.raises(Mismatch):
            ship.take(bytes(data))
        assert ship.files() == set()
