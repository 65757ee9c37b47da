from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from hardtack.errors import DiskError, Misused
from hardtack.mirror.git import blob_id, lfs_pointer
from hardtack.mirror.scan import LFS_SIZE, LFS_SUFFIXES, scan
from tests.hub import lay_out

REAL = Path(os.environ.get("HARDTACK_REAL", Path(__file__).parents[2].parent / "shared" / "real"))


def test_files_in_git_and_in_lfs(tmp_path: Path) -> None:
    lay_out(tmp_path, {"b.json": "{}", "a.safetensors": b"weights"})
    weights, text = scan(tmp_path)
    assert (text.path, text.size, text.lfs) == ("b.json", 2, False)
    assert text.etag == text.oid == blob_id(b"{}")
    assert (weights.path, weights.size, weights.lfs) == ("a.safetensors", 7, True)
    assert weights.etag == weights.sha256 == hashlib.sha256(b"weights").hexdigest()
    pointer = lfs_pointer(weights.sha256, 7)
    assert (weights.oid, weights.pointer_size) == (blob_id(pointer), len(pointer))


def test_a_large_file_is_in_lfs_whatever_its_name(tmp_path: Path) -> None:
    lay_out(tmp_path, {"large.json": b"x" * (LFS_SIZE + 1), "most.json": b"x" * LFS_SIZE})
    assert [(file.path, file.lfs) for file in scan(tmp_path)] == [("large.json", True), ("most.json", False)]


def test_what_is_hidden_is_left_out(tmp_path: Path) -> None:
    shown = {"config.json": "", ".gitattributes": "", "a/_manifest.json": "", "a/.gitattributes": ""}
    hidden = {".git/config": "", ".cache/huggingface/x": "", "a/.DS_Store": "", "_manifest.json": "", ".env": "SECRET"}
    lay_out(tmp_path, shown | hidden)
    assert {file.path for file in scan(tmp_path)} == set(shown)


def test_links_inside_are_files(tmp_path: Path) -> None:
    lay_out(tmp_path, {"a.json": "{}"})
    (tmp_path / "b.json").symlink_to("a.json")
    assert [(file.path, file.size) for file in scan(tmp_path)] == [("a.json", 2), ("b.json", 2)]


def test_a_cache_s_snapshot_is_served_within_the_cache(tmp_path: Path) -> None:
    cache = lay_out(tmp_path / "cache", {"blobs/abc": "{}"})
    snapshot = cache / "snapshots" / "c0"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").symlink_to("../../blobs/abc")
    assert [file.path for file in scan(snapshot, within=cache)] == ["config.json"]
    with pytest.raises(Misused, match="leads out"):
        scan(snapshot)


@pytest.mark.parametrize("target", ["/etc/hostname", "../secret", "missing", "link"])
def test_links_that_lead_out_or_nowhere_are_refused(tmp_path: Path, target: str) -> None:
    lay_out(tmp_path, {"secret": "x"})
    folder = lay_out(tmp_path / "model", {"config.json": "{}"})
    (folder / "link").symlink_to(target)
    with pytest.raises(Misused) as refused:
        scan(folder)
    assert str(folder / "link") in refused.value.where


@pytest.mark.parametrize("target", ["/etc", ".", "inside"])
def test_links_to_folders_are_refused(tmp_path: Path, target: str) -> None:
    lay_out(tmp_path, {"inside/config.json": "{}"})
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(Misused, match="link to a folder"):
        scan(tmp_path)


@pytest.mark.parametrize("name", [b"back\\slash", b"C:drive", b"line\nfeed", b"\xff\xfe", b"nul", b"dot."])
def test_unsafe_names_are_refused(tmp_path: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"")
    with pytest.raises(Misused, match="not safe") as refused:
        scan(tmp_path)
    assert refused.value.where.isprintable()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Misused, match="neither a file"):
        scan(tmp_path)


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    lay_out(tmp_path, {"file": ""})
    with pytest.raises(Misused, match="not a directory"):
        scan(tmp_path / name)


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path, {"config.json": "{}"})

    def denied(path: Path, *, git: bool = True) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    # The tests may run as root, to whom no file is closed.
    monkeypatch.setattr("hardtack.mirror.scan.hash_file", denied)
    with pytest.raises(DiskError) as refused:
        scan(tmp_path)
    assert refused.value.found == "Permission denied"


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hardtack.spec.digest import Hashes, hash_file

    lay_out(tmp_path, {"config.json": "{}"})

    def slow(path: Path, *, git: bool = True) -> Hashes:
        hashes = hash_file(path, git=git)
        path.write_bytes(b"{ }")
        return hashes

    monkeypatch.setattr("hardtack.mirror.scan.hash_file", slow)
    with pytest.raises(DiskError, match="changed"):
        scan(tmp_path)


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="no real data under HARDTACK_REAL")
def test_the_ids_and_the_choice_of_lfs_are_the_hub_s(tmp_path: Path) -> None:
    """Real repositories: which files are in LFS, the ids of their pointers, and the ids of the files that are here."""
    compared = 0
    for manifest in sorted((REAL / "hub-meta").glob("*/_manifest.json")):
        listed = {file["path"]: file for file in json.loads(manifest.read_text())["files"]}
        for path, file in listed.items():
            assert (Path(path).suffix in LFS_SUFFIXES or file["size"] > LFS_SIZE) == bool(file.get("lfs")), path
            if lfs := file.get("lfs"):
                pointer = lfs_pointer(lfs["sha256"], lfs["size"])
                assert (blob_id(pointer), len(pointer)) == (file["blob_id"], lfs["pointer_size"]), path
        for found in scan(manifest.parent):
            known = listed.get(found.path)
            if known is not None and known["size"] == found.size:
                assert found.oid == known["blob_id"], found.path
                compared += 1
    assert compared > 50
