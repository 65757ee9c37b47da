from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hardtack.mirror.git import blob_id, lfs_pointer, tree_ids
from tests.hub import lay_out


def test_ids_that_everyone_knows() -> None:
    assert blob_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert tree_ids({}) == {"": "4b825dc642cb6eb9a060e54bf8d69288fbee4904"}


def test_a_pointer_is_what_the_specification_shows() -> None:
    sha256 = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
    # The example of the specification, 127 bytes there too.
    assert lfs_pointer(sha256, 12345) == (
        b"version https://git-lfs.github.com/spec/v1\n"
        b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
        b"size 12345\n"
    )


@pytest.mark.skipif(shutil.which("git") is None, reason="compares with git itself")
def test_trees_are_git_s_own(tmp_path: Path) -> None:
    # "a" sorts among files after "a.txt" and "a-b", since git compares a folder as "a/".
    files = {path: path.encode() for path in ("a/x", "a/y/z", "a.txt", "a-b", "b/c/d/e", "a0", "ü/é")}
    lay_out(tmp_path, files)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=tmp_path, env=clean, check=True, capture_output=True, text=True
        ).stdout

    git("init", "--quiet")
    git("-c", "core.autocrlf=false", "add", ".")
    root = git("write-tree").strip()
    rows = (line.split("\t") for line in git("-c", "core.quotePath=false", "ls-tree", "-r", "-d", root).splitlines())
    expected = {"": root} | {path: meta.split()[2] for meta, path in rows}
    assert tree_ids({path: blob_id(data) for path, data in files.items()}) == dict(sorted(expected.items()))
