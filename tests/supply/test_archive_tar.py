"""The tar of an archive: read by other tars, the same for the same names and sizes."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardtack.spec.names import UnsafeName, safe_path
from hardtack.supply import archive_tar as tar

NAMES = ["hardtack.lock", "a/" * 60 + "end", "ünïcode/名前.json", "x" * 100, "x" * 101, "with space"]


def one(name: str, content: bytes) -> bytes:
    return tar.header(name, len(content)) + content + tar.padding(len(content)) + tar.END


def _safe(name: str) -> bool:
    try:
        return bool(safe_path(name))
    except (UnsafeName, UnicodeEncodeError):
        return False


@given(name=st.text(min_size=1, max_size=300).filter(_safe), size=st.integers(0, 2**62))
def test_python_reads_any_header(name: str, size: int) -> None:
    data = tar.header(name, size)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as opened:
        member = opened.next()
    assert member is not None
    assert (member.name, member.size, member.isreg(), member.mode) == (name, size, True, 0o644)
    assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", 315532800)


@pytest.mark.parametrize("name", NAMES)
def test_gnu_tar_reads_it_without_a_word(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(one(name, b"content"))
    run = subprocess.run(["tar", "xf", "a.tar"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stderr == ""
    assert (tmp_path / name).read_bytes() == b"content"


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513])
def test_whole_blocks(size: int) -> None:
    assert len(one("a", bytes(size))) % tar.BLOCK == 0
    assert len(tar.padding(size)) < tar.BLOCK


@given(size=st.integers(0, 8**11 - 1))
def test_a_first_size_is_what_was_written(size: int) -> None:
    assert tar.first_size(tar.header("hardtack.lock", size), "hardtack.lock") == size


@given(place=st.integers(0, tar.BLOCK - 1), byte=st.integers(0, 255))
def test_any_other_first_block_is_none(place: int, byte: int) -> None:
    block = bytearray(tar.header("hardtack.lock", 1000))
    changed = block[place] != byte
    block[place] = byte
    assert (tar.first_size(bytes(block), "hardtack.lock") is None) is changed
