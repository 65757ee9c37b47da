"""There and back, for any lock: what was packed is what is unpacked, and packing that gives the same archive."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from hardtack.places import Store
from hardtack.spec.digest import hash_bytes, tree_digest
from hardtack.spec.lock import Lock, LockedBuild, LockedCode, LockedFile, LockedModel
from hardtack.spec.lock_text import read_lock
from hardtack.spec.words import Precision, Task
from hardtack.supply.archive import Kind, Trust, entries_of
from hardtack.supply.archive_pack import pack
from hardtack.supply.archive_unpack import unpack
from tests.hub import lay_out

Contents = Mapping[str, bytes]
# Folders and files are told apart by their first letter, so that no name is both; some are long, some not ASCII.
FOLDERS = st.lists(st.sampled_from(["d", "dü", "d" * 60, "d with space"]), max_size=3)
NAMES = st.sampled_from(["f", "f.json", "f.safetensors", "fünf", "f" * 120])
PATHS = st.builds(lambda folders, name: "/".join([*folders, name]), FOLDERS, NAMES)
CONTENTS = st.dictionaries(PATHS, st.binary(max_size=1100), min_size=1, max_size=4)


def locked(contents: Contents, *, in_git: bool = True) -> tuple[LockedFile, ...]:
    rows = []
    for path, content in contents.items():
        hashes = hash_bytes(content)
        git = hashes.git if in_git and not path.endswith(".safetensors") else ""
        rows.append(LockedFile(path, hashes.size, hashes.sha256, git))
    return tuple(rows)


def digest(files: tuple[LockedFile, ...]) -> str:
    return tree_digest((file.path, file.sha256) for file in files)


class Hold:
    """Locked models and where their bytes lie."""

    def __init__(self, root: Path, draw: st.DataObject) -> None:
        self.store, self.folder = Store(root / "hub", root / "own"), root / "project"
        self.lock = Lock("", tuple(self._models(draw)))

    def _models(self, draw: st.DataObject) -> Iterator[LockedModel]:
        for number in range(draw.draw(st.integers(1, 3))):
            key, commit = f"m{number}", str(number) * 40
            contents: Contents = draw.draw(CONTENTS)
            if draw.draw(st.booleans()):
                lay_out(self.folder / key, contents)
                files = locked(contents, in_git=False)
                yield LockedModel(key, Task.FILES, f"./{key}", "local", digest=digest(files), files=files)
                continue
            lay_out(self.store.snapshot("org/name", commit), contents)
            files = locked(contents)
            yield LockedModel(
                key, Task.FILES, "org/name", commit=commit, requested="main", digest=digest(files), files=files,
                code=tuple(self._code(draw)), builds=tuple(self._builds(key, draw)),
            )  # fmt: skip

    def _code(self, draw: st.DataObject) -> Iterator[LockedCode]:
        if draw.draw(st.booleans()):
            contents = {"modeling.py": b"# one code, which several models reach for"}
            lay_out(self.store.snapshot("org/code", "c" * 40), contents)
            yield LockedCode("org/code", "c" * 40, locked(contents))

    def _builds(self, key: str, draw: st.DataObject) -> Iterator[LockedBuild]:
        if draw.draw(st.booleans()):
            contents = {f"int8-{key}/model.bin": draw.draw(st.binary(max_size=2000)), f"int8-{key}/model.xml": b"<x/>"}
            lay_out(self.store.builds, contents)
            files = locked({f"hardtack/{path}": content for path, content in contents.items()}, in_git=False)
            yield LockedBuild("recipe", Precision.INT8, digest(files), files)


def packed(lock: Lock, store: Store, folder: Path) -> bytes:
    out = io.BytesIO()
    pack(lock, store, folder, out)
    return out.getvalue()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_there_and_back(draw: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        hold = Hold(root / "a", draw)
        archive = packed(hold.lock, hold.store, hold.folder)
        far, project = Store(root / "b" / "hub", root / "b" / "own"), root / "b" / "project"
        project.mkdir(parents=True)
        done = unpack(io.BytesIO(archive), far, project / "hardtack.lock", Trust(anyway=True))
        assert read_lock(project / "hardtack.lock") == hold.lock
        assert set(done.states) == {entry.name for entry in entries_of(hold.lock)}
        for entry in entries_of(hold.lock):
            brought = entry.directory(far, project) / entry.file.path
            assert hash_bytes(brought.read_bytes()).sha256 == entry.file.sha256
            assert not brought.stat().st_mode & 0o111
            assert brought.resolve().is_relative_to({Kind.HUB: far.hub, Kind.LOCAL: project}.get(entry.kind, far.own))
        assert packed(hold.lock, far, project) == archive
