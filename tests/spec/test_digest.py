from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardtack.spec.digest import Hasher, Hashes, hash_bytes, hash_file, is_lfs_pointer, sha256_file, tree_digest

FILES = {
    "model.safetensors": bytes(range(256)) * 9000,
    "1_Pooling/config.json": b"{}\n",
    "empty": b"",
    "a b/größe 日本 𝄞.txt": b"x",
    "A": b"same",
    "a.b": b"same",
    "a/b": b"same",
    "'quote\"$HOME": b"q",
    "-dash": b"d",
}


def lay(root: Path) -> Path:
    for name, data in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def test_the_docstrings_command_reproduces_the_digest(tmp_path: Path) -> None:
    (command,) = [line for line in (tree_digest.__doc__ or "").split("``") if line.startswith("find ")]
    script = f"set -o pipefail; {command}"
    printed = subprocess.run(["bash", "-c", script], cwd=lay(tmp_path), check=True, capture_output=True, text=True)
    digest = tree_digest((name, hashlib.sha256(data).hexdigest()) for name, data in FILES.items())
    assert digest == f"sha256:{printed.stdout.split()[0]}"


def test_a_digest_by_hand() -> None:
    text = b"1" * 64 + b"  b\n" + b"2" * 64 + b"  a\n"
    assert tree_digest([("a", "2" * 64), ("b", "1" * 64)]) == "sha256:" + hashlib.sha256(text).hexdigest()
    assert tree_digest([]) == "sha256:" + hashlib.sha256(b"").hexdigest()


@given(st.lists(st.tuples(st.text("ab/", max_size=4), st.text("01", min_size=2, max_size=2)), unique=True, max_size=5))
@settings(max_examples=100, deadline=None)
def test_a_digest_knows_no_order_and_tells_lists_apart(pairs: list[tuple[str, str]]) -> None:
    digest = tree_digest(pairs)
    assert tree_digest(reversed(pairs)) == digest
    assert tree_digest([*pairs, ("more", "00")]) != digest
    for number in range(len(pairs)):
        assert tree_digest(pairs[:number] + pairs[number + 1 :]) != digest


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_ids_are_gits(tmp_path: Path) -> None:
    lay(tmp_path)
    names = list(FILES)
    printed = subprocess.run(
        ["git", "hash-object", "--no-filters", "--", *names], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert [hash_file(tmp_path / name).git for name in names] == printed.split()
    assert [hash_bytes(data).git for data in FILES.values()] == printed.split()


def test_all_ways_to_hash_agree(tmp_path: Path) -> None:
    lay(tmp_path)
    for name, data in FILES.items():
        hashes = hash_file(tmp_path / name)
        assert hashes == hash_bytes(data)
        assert hash_file(tmp_path / name, git=False) == replace(hashes, git="")
        assert hashes.sha256 == sha256_file(tmp_path / name) == hashlib.sha256(data).hexdigest()
        assert hashes.size == len(data)


@given(st.lists(st.binary(max_size=20), max_size=5))
@settings(max_examples=60, deadline=None)
def test_a_hasher_does_not_mind_how_the_bytes_come(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    hasher = Hasher(len(whole))
    for part in parts:
        hasher.update(memoryview(part))
    assert hasher.finish() == hash_bytes(whole)


def test_a_hasher_counts_what_passed_and_not_what_was_announced() -> None:
    hasher = Hasher(5)
    hasher.update(b"abc")
    got = hasher.finish()
    assert (got.size, got.sha256) == (3, hash_bytes(b"abc").sha256)
    assert got.git != hash_bytes(b"abc").git


def test_known_values() -> None:
    assert hash_bytes(b"") == Hashes(
        0,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    )


def test_what_cannot_be_read_is_an_oserror(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        for read in (hash_file, sha256_file):
            with pytest.raises(OSError):
                read(path)


def test_pointers() -> None:
    text = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n"
    assert is_lfs_pointer(text)
    assert not is_lfs_pointer(text[:20])
    assert not is_lfs_pointer(b"")
    assert not is_lfs_pointer(b" " + text)
    assert not is_lfs_pointer(text.replace(b"\n", b"\r\n"))
