from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hardtack.errors import Misused
from hardtack.mirror import Content, Served
from hardtack.mirror.content import Folder
from tests.hub import lay_out

A, B = "a" * 40, "b" * 40


def test_a_commit_is_made_from_the_content_alone(tmp_path: Path) -> None:
    def commit(name: str, files: dict[str, str | bytes]) -> str:
        return Content.gather([Served("org/x", lay_out(tmp_path / name, files))]).repos["org/x"].refs["refs/heads/main"]

    first = commit("1", {"a.json": "{}", "b/c.txt": "c", ".hidden": "1"})
    assert first == commit("2", {"b/c.txt": "c", "a.json": "{}", ".hidden": "2"})
    assert first != commit("3", {"a.json": "{}", "b/d.txt": "c"})
    assert first != commit("4", {"a.json": "{ }", "b/c.txt": "c"})


def test_a_made_commit_is_reproduced_by_sha256sum(folder: Path) -> None:
    command = "find . -type f -printf '%P\\0' | xargs -0 sha256sum | LC_ALL=C sort | sha256sum | cut -c1-40"
    shell = subprocess.run(["sh", "-c", command], cwd=folder, check=True, capture_output=True, text=True)
    (commit,) = Content.gather([Served("org/x", folder)]).repos["org/x"].revisions
    assert commit == shell.stdout.strip()


def test_several_revisions_of_one_repository(tmp_path: Path) -> None:
    old = lay_out(tmp_path / "old", {"config.json": "1"})
    new = lay_out(tmp_path / "new", {"config.json": "22"})
    repo = Content.gather(
        [
            Served("org/x", old, commit=A, refs=("refs/tags/v1", "refs/pr/7")),
            Served("org/x", new, commit=B, refs=("main", "dev/next")),
        ]
    ).repos["org/x"]
    assert list(repo.refs) == ["refs/heads/dev/next", "refs/heads/main", "refs/pr/7", "refs/tags/v1"]
    for name in ("v1", "refs/tags/v1", "refs/pr/7", A):
        assert repo.find(name) is repo.revisions[A]
    for name in ("main", "refs/heads/main", "dev/next", B):
        assert repo.find(name) is repo.revisions[B]
    for name in ("", "7", "pr/7", "c" * 40, A[:7], "heads/main"):
        assert repo.find(name) is None


def test_the_first_folder_is_main_unless_another_says_so(tmp_path: Path) -> None:
    old = Served("org/x", lay_out(tmp_path / "old", {"f": "1"}), commit=A)
    new = Served("org/x", lay_out(tmp_path / "new", {"f": "2"}), commit=B)
    assert Content.gather([old, new]).repos["org/x"].refs == {"refs/heads/main": A}
    named = Served("org/x", new.directory, commit=B, refs=("main",))
    assert Content.gather([old, named]).repos["org/x"].refs == {"refs/heads/main": B}
    assert Content.gather([Served("org/x", old.directory, refs=())]).repos["org/x"].refs == {}


def test_two_claims_to_one_name_are_refused(tmp_path: Path) -> None:
    old, new = lay_out(tmp_path / "old", {"f": "1"}), lay_out(tmp_path / "new", {"f": "2"})
    with pytest.raises(Misused, match="commit"):
        Content.gather([Served("org/x", old, commit=A), Served("org/x", new, commit=A)])
    with pytest.raises(Misused, match="refs/heads/main"):
        Content.gather([Served("org/x", old, refs=("main",)), Served("org/x", new, refs=("main",))])
    assert (
        len(Content.gather([Served("org/x", old), Served("org/x", old, refs=("main",))]).repos["org/x"].revisions) == 1
    )


def test_folders_and_what_is_below_them(folder: Path) -> None:
    (revision,) = Content.gather([Served("org/x", folder)]).repos["org/x"].revisions.values()
    assert list(revision.folders) == ["", "1_Pooling", "deep", "deep/er"]
    assert [each.path for each in revision.below("deep", recursive=True)] == ["deep/er", "deep/er/notes.txt"]
    assert [each.path for each in revision.below("deep", recursive=False)] == ["deep/er"]
    assert [each.path for each in revision.below("", recursive=False)] == [
        "1_Pooling",
        "README.md",
        "config.json",
        "deep",
        "empty.txt",
        "model.safetensors",
        "modules.json",
        "with space & ünïcode.txt",
    ]
    assert isinstance(revision.entry("deep"), Folder)
    assert revision.entry("") is revision.entry("nothing") is revision.entry("deep/") is None


def test_content_is_frozen(folder: Path) -> None:
    content = Content.gather([Served("org/x", folder)])
    (revision,) = content.repos["org/x"].revisions.values()
    for table in (content.repos, content.repos["org/x"].refs, revision.files, revision.folders):
        with pytest.raises(TypeError):
            table["x"] = None  # type: ignore[index]
