"""What came, went and changed between two locks, and what that means for vectors that are stored."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardtack.spec.diff import Change, FieldChange, FileChange, Vectors, diff_locks, vectors_between
from hardtack.spec.lock import Lock, LockedCode, LockedFile, LockedModel, Overrides
from hardtack.spec.words import Pooling, Similarity, Task, WeightsKind

FILES = (LockedFile("LICENSE", 9, "a" * 64), LockedFile("config.json", 2, "b" * 64), LockedFile("w", 7, "c" * 64))
MODEL = LockedModel("emb", Task.EMBED, "org/tiny", requested="main", commit="1" * 40, license="mit", files=FILES)
MOVED = replace(MODEL, commit="2" * 40)


def test_the_same_is_nothing() -> None:
    assert diff_locks(Lock("sha256:1", (MODEL,)), Lock("sha256:2", (MODEL,), "elsewhere.lock")) == ()


def test_models_that_come_and_go() -> None:
    other = replace(MODEL, key="other", files=FILES[:1])
    added, removed = diff_locks(Lock("", (MODEL,)), Lock("", (other,)))[::-1]
    assert (added.key, added.change, added.files) == (
        "other", Change.ADDED, (FileChange(Change.ADDED, "LICENSE", None, 9),),
    )  # fmt: skip
    assert (removed.key, removed.change, len(removed.files)) == ("emb", Change.REMOVED, 3)


def test_files_licence_and_code_that_changed() -> None:
    code = LockedCode("org/code", "3" * 40, (LockedFile("m.py", 1, "d" * 64),))
    new = replace(
        MOVED,
        license="gpl-3.0",
        code=(code,),
        files=(LockedFile("w", 8, "e" * 64), LockedFile("v", 1, "f" * 64), FILES[1]),
    )
    (found,) = diff_locks(Lock("", (MODEL,)), Lock("", (new,)))
    assert found.change is Change.CHANGED
    assert FieldChange("license", "mit", "gpl-3.0") in found.fields
    assert {field.name for field in found.fields} == {"commit", "license", "code"}
    assert found.files == (
        FileChange(Change.REMOVED, "LICENSE", 9, None), FileChange(Change.ADDED, "org/code: m.py", None, 1),
        FileChange(Change.ADDED, "v", None, 1), FileChange(Change.CHANGED, "w", 7, 8),
    )  # fmt: skip
    assert found.vectors is Vectors.REEMBED


@pytest.mark.parametrize(
    ("new", "verdict"),
    [
        (replace(MODEL, license="gpl"), Vectors.SAME_SPACE),
        (replace(MODEL, repo="org/renamed", requested="v1"), Vectors.SAME_SPACE),
        (replace(MODEL, overrides=Overrides(similarity=Similarity.DOT)), Vectors.SAME_SPACE),
        (MOVED, Vectors.SAME_VECTORS),
        (replace(MOVED, files=(replace(FILES[0], sha256="0" * 64), *FILES[1:])), Vectors.SAME_VECTORS),
        (replace(MOVED, files=(FILES[0], replace(FILES[1], sha256="0" * 64), FILES[2])), Vectors.REEMBED),
        (replace(MODEL, overrides=Overrides(max_length=64)), Vectors.REEMBED),
        (replace(MODEL, overrides=Overrides(pooling=Pooling.CLS)), Vectors.REEMBED),
        (replace(MODEL, overrides=Overrides(prompts={"query": "q: "})), Vectors.REEMBED),
        (replace(MODEL, overrides=Overrides(normalize=True)), Vectors.REEMBED),
        (replace(MODEL, weights=WeightsKind.ONNX), Vectors.REEMBED),
        (replace(MODEL, task=Task.RERANK), None),
    ],
)
def test_what_it_means_for_vectors(new: LockedModel, verdict: Vectors | None) -> None:
    assert vectors_between(MODEL, new) is verdict
    assert vectors_between(new, MODEL) is verdict


def test_of_a_directory_the_digest_is_the_name() -> None:
    local = replace(MODEL, source="local", commit="", digest="sha256:1")
    assert vectors_between(local, replace(local, license="x")) is Vectors.SAME_SPACE
    assert vectors_between(local, replace(local, digest="sha256:2", files=FILES[1:])) is Vectors.SAME_VECTORS


FILE = st.builds(LockedFile, st.sampled_from("abcd"), st.integers(0, 9), st.sampled_from(["0" * 64, "1" * 64]))
FILE_SETS = st.lists(FILE, unique_by=lambda file: file.path).map(tuple)


@given(FILE_SETS, FILE_SETS)
def test_the_other_way_round_it_is_the_reverse(old: tuple[LockedFile, ...], new: tuple[LockedFile, ...]) -> None:
    there = diff_locks(Lock("", (replace(MODEL, files=old),)), Lock("", (replace(MODEL, files=new),)))
    back = diff_locks(Lock("", (replace(MODEL, files=new),)), Lock("", (replace(MODEL, files=old),)))
    turned = {Change.ADDED: Change.REMOVED, Change.REMOVED: Change.ADDED, Change.CHANGED: Change.CHANGED}
    assert [FileChange(turned[f.change], f.path, f.new, f.old) for m in there for f in m.files] == [
        f for m in back for f in m.files
    ]
    if there:
        changes = {file.path: file.change for file in there[0].files}
        same = {f.path for f in old if Change.REMOVED is not changes.get(f.path)}
        assert same | {path for path, change in changes.items() if change is Change.ADDED} == {f.path for f in new}
