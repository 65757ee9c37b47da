from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardtack.errors import DiskError, Mismatch
from hardtack.spec.digest import POINTER_PREFIX, hash_bytes
from hardtack.spec.lock import LockedFile
from hardtack.spec.verify import Checked, Finding, Kind, check_file, check_files, mismatch, walk

DATA = {"a.txt": b"alpha", "d/b.bin": b"beta" * 1000, "empty": b""}


def locked(path: str, data: bytes) -> LockedFile:
    hashes = hash_bytes(data)
    return LockedFile(path, hashes.size, hashes.sha256, hashes.git)


FILES = tuple(locked(path, data) for path, data in DATA.items())
ALPHA, BETA, EMPTY = FILES


@pytest.fixture
def laid(tmp_path: Path) -> Path:
    for path, data in DATA.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    return tmp_path


@pytest.fixture
def nobody(laid: Path) -> Iterator[None]:
    """Be somebody to whom permissions mean something."""
    for above in (laid, *laid.parents[:3]):  # pytest makes them for the owner alone
        above.chmod(above.stat().st_mode | 0o055)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield
    os.seteuid(was)


def test_all_is_well(laid: Path) -> None:
    for hashes in (True, False):
        for extra in (True, False):
            checked = check_files(laid, FILES, hashes=hashes, extra=extra)
            assert checked == Checked((), 3, 4005)
            assert checked.good


def test_nothing_to_check(tmp_path: Path) -> None:
    assert check_files(tmp_path, []) == Checked((), 0, 0)
    assert check_files(tmp_path / "missing", [], extra=True).good


def test_missing(laid: Path) -> None:
    (laid / "d/b.bin").unlink()
    assert check_file(laid, BETA) == Finding(Kind.MISSING, "d/b.bin", "4000 bytes", "no such file")
    (laid / "d").rmdir()
    (laid / "d").touch()
    assert check_file(laid, BETA) == Finding(Kind.MISSING, "d/b.bin", "4000 bytes", "no such file")


def test_a_link_to_nothing(laid: Path) -> None:
    (laid / "a.txt").unlink()
    (laid / "a.txt").symlink_to("gone")
    assert check_file(laid, ALPHA) == Finding(Kind.MISSING, "a.txt", "5 bytes", "a link to nothing")


def test_a_link_to_the_right_bytes_is_the_file(laid: Path) -> None:
    (laid / "a.txt").rename(laid / "blob")
    (laid / "a.txt").symlink_to("blob")
    assert check_file(laid, ALPHA) is None


def test_a_link_in_a_circle(laid: Path) -> None:
    (laid / "a.txt").unlink()
    (laid / "a.txt").symlink_to("a.txt")
    finding = check_file(laid, ALPHA)
    assert finding is not None
    assert finding.kind is Kind.UNREADABLE


def test_size(laid: Path) -> None:
    for data in (b"alph", b"alphab", b"", b"x" * 5000):
        (laid / "a.txt").write_bytes(data)
        for hashes in (True, False):
            assert check_file(laid, ALPHA, hashes=hashes) == Finding(
                Kind.SIZE, "a.txt", "5 bytes", f"{len(data)} bytes"
            )


def test_an_empty_file_that_should_be_one(laid: Path) -> None:
    assert check_file(laid, EMPTY) is None
    (laid / "empty").write_bytes(b"x")
    assert check_file(laid, EMPTY) == Finding(Kind.SIZE, "empty", "0 bytes", "1 bytes")


def test_changed_is_seen_by_hashes_alone(laid: Path) -> None:
    (laid / "a.txt").write_bytes(b"alphA")
    assert check_file(laid, ALPHA, hashes=False) is None
    assert check_file(laid, ALPHA) == Finding(
        Kind.CHANGED, "a.txt", f"sha256 {ALPHA.sha256}", f"sha256 {hash_bytes(b'alphA').sha256}"
    )


def test_pointer(laid: Path) -> None:
    pointer = POINTER_PREFIX + b"oid sha256:" + b"0" * 64 + b"\nsize 4000\n"
    (laid / "d/b.bin").write_bytes(pointer)
    for hashes in (True, False):
        assert check_file(laid, BETA, hashes=hashes) == Finding(
            Kind.POINTER, "d/b.bin", "4000 bytes", f"a git-LFS pointer of {len(pointer)} bytes"
        )
    (laid / "d/b.bin").write_bytes(pointer + b"x" * 2000)  # no pointer is as long as that
    finding = check_file(laid, BETA)
    assert finding is not None
    assert finding.kind is Kind.SIZE
    assert check_file(laid, locked("d/b.bin", pointer + b"x" * 2000)) is None


@pytest.mark.parametrize("hashes", [True, False])
def test_a_folder_in_place_of_a_file(laid: Path, hashes: bool) -> None:
    size = (laid / "d").stat().st_size
    finding = check_file(laid, LockedFile("d", size, "0" * 64), hashes=hashes)
    assert finding == Finding(Kind.CHANGED, "d", f"a file of {size} bytes", "a folder")


@pytest.mark.parametrize("hashes", [True, False])
def test_a_pipe_is_not_waited_for(laid: Path, hashes: bool) -> None:
    os.mkfifo(laid / "pipe")
    for size in (0, 5):
        finding = check_file(laid, LockedFile("pipe", size, "0" * 64), hashes=hashes)
        assert finding == Finding(Kind.CHANGED, "pipe", f"a file of {size} bytes", "neither file nor folder")


@pytest.mark.usefixtures("nobody")
def test_unreadable(laid: Path, tmp_path: Path) -> None:
    was = os.geteuid()
    if was == 65534:
        os.seteuid(0)
    (laid / "a.txt").chmod(0)
    (laid / "d").chmod(0)
    os.seteuid(was)
    wanted = (
        Finding(Kind.UNREADABLE, "a.txt", "a readable file", "Permission denied"),
        Finding(Kind.UNREADABLE, "d/b.bin", "a readable file", "Permission denied"),
    )
    try:
        assert check_files(laid, FILES).findings == wanted
        with pytest.raises(DiskError) as caught:
            check_files(laid, FILES, extra=True)  # what lies in `d`, nobody can tell
        assert caught.value.where == str(laid / "d")
    finally:
        if was == 65534:
            os.seteuid(0)
        (laid / "d").chmod(0o755)
        os.seteuid(was)


def test_extra(laid: Path) -> None:
    (laid / "d/more.txt").write_bytes(b"x")
    (laid / ".hidden").write_bytes(b"x")
    (laid / "nothing").mkdir()
    (laid / "away").symlink_to("/")
    (laid / "dangling").symlink_to("gone")
    assert check_files(laid, FILES).good
    checked = check_files(laid, FILES, extra=True)
    assert [(finding.kind, finding.path) for finding in checked.findings] == [
        (Kind.EXTRA, path) for path in (".hidden", "away", "d/more.txt", "dangling")
    ]
    assert checked.findings[0].found == "a file that the lock does not name"


def test_a_name_that_is_no_text_can_be_printed(laid: Path) -> None:
    (laid / os.fsdecode(b"caf\xe9")).write_bytes(b"x")
    (finding,) = check_files(laid, FILES, extra=True).findings
    assert finding.path == "caf\\xe9"
    assert finding.path.encode()


def test_walk(laid: Path) -> None:
    (laid / "link").symlink_to("d")
    assert walk(laid) == ["a.txt", "d/b.bin", "empty", "link"]
    assert walk(laid / "missing") == walk(laid / "a.txt") == []


def test_findings_are_sorted_and_all_are_told(laid: Path) -> None:
    for path in DATA:
        (laid / path).unlink()
    (laid / "b").touch()
    assert [f.path for f in check_files(laid, FILES[::-1], extra=True).findings] == ["a.txt", "b", "d/b.bin", "empty"]


def test_progress_counts_every_byte_in_the_callers_thread(laid: Path) -> None:
    (laid / "a.txt").unlink()
    told: list[tuple[int, threading.Thread]] = []
    check_files(laid, FILES, progress=lambda count: told.append((count, threading.current_thread())))
    assert sorted(count for count, _ in told) == [0, 5, 4000]
    assert {thread for _, thread in told} == {threading.current_thread()}


WHAT = {
    Kind.MISSING: "a locked file is missing",
    Kind.CHANGED: "a file is not what the lock says",
    Kind.SIZE: "a file has not the size the lock says",
    Kind.POINTER: "a git-LFS pointer lies where the file should be",
    Kind.UNREADABLE: "a locked file cannot be read",
    Kind.EXTRA: "a file lies there that the lock does not name",
}


@pytest.mark.parametrize("kind", Kind)
def test_mismatch_of_each_kind(kind: Kind) -> None:
    checked = Checked((Finding(kind, "d/b", "this", "that"),), 1, 1)
    assert not checked.good
    error = mismatch(checked, Path("/m"), mend="hardtack pull")
    assert type(error) is (DiskError if kind is Kind.UNREADABLE else Mismatch)
    assert error.fields() == {
        "kind": type(error).__name__, "what": WHAT[kind], "where": "/m/d/b", "expected": "this", "found": "that",
        "mend": "hardtack pull",
    }  # fmt: skip


def test_mismatch_of_several_names_the_first_that_is_wrong() -> None:
    findings = (
        Finding(Kind.UNREADABLE, "a", "", ""),
        Finding(Kind.MISSING, "b", "", ""),
        Finding(Kind.CHANGED, "c", "", ""),
    )
    error = mismatch(Checked(findings, 3, 3), Path("/m"), mend="x")
    assert (type(error), error.what, error.where) == (Mismatch, "a locked file is missing (and 2 more)", "/m/b")
    error = mismatch(Checked(findings[:1] * 2, 2, 2), Path("/m"), mend="x")
    assert (type(error), error.what) == (DiskError, "a locked file cannot be read (and 1 more)")
