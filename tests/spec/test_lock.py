from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from hardtack.errors import UnknownModel
from hardtack.spec.lock import Lock, LockedBuild, LockedCode, LockedFile, LockedModel
from hardtack.spec.words import Precision, Task

A, B, C = (LockedFile(name, size, name * 64) for name, size in (("a", 1), ("b", 2), ("c", 4)))
EMB = LockedModel("emb", Task.EMBED, repo="org/minilm", commit="f" * 40, files=(B, A))
BIG = LockedModel("big", Task.EMBED, repo="other/minilm", commit="e" * 40)
LLM = LockedModel("llm", Task.EXTERNAL, note="elsewhere")
MINE = LockedModel("mine", Task.RERANK, repo="./models/mine", source="local")
LOCK = Lock("sha256:x", (MINE, EMB, LLM, BIG))


def test_parts_are_sorted_as_they_are_made() -> None:
    assert [model.key for model in LOCK.models] == ["big", "emb", "llm", "mine"]
    assert EMB.files == (A, B)
    code = (LockedCode("o/b", "1", (B, A)), LockedCode("o/a", "2", ()), LockedCode("o/a", "1", ()))
    builds = (LockedBuild("r2", Precision.INT8, "d", (C, A)), LockedBuild("r1", Precision.INT8, "d", ()))
    model = replace(EMB, added=(C,), code=code, builds=builds)
    assert [(c.repo, c.commit) for c in model.code] == [("o/a", "1"), ("o/a", "2"), ("o/b", "1")]
    assert model.code[-1].files == (A, B)
    assert [build.recipe for build in model.builds] == ["r1", "r2"]
    assert model.builds[-1].files == (A, C)


def test_equal_models_are_equal_values_whatever_order_they_were_made_in() -> None:
    assert replace(EMB, files=(A, B)) == replace(EMB, files=(B, A))
    assert Lock("m", (EMB, BIG)) == Lock("m", (BIG, EMB), name="elsewhere.lock")


def test_values_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        EMB.key = "x"  # type: ignore[misc]


def test_what_a_model_says_of_itself() -> None:
    assert (EMB.size, EMB.shown, EMB.folder) == (3, "org/minilm@ffffffffffff", "emb")
    assert (MINE.shown, replace(MINE, path="/app/m").folder, replace(MINE, path="app/m").folder) == (
        "./models/mine", "app/m", "app/m",
    )  # fmt: skip
    built = LockedBuild("r", Precision.INT8, "d", (C,))
    assert replace(EMB, files=(A,), added=(B,), builds=(built,)).everything() == (A, B, C)
    assert LLM.source == ""


def test_find() -> None:
    assert LOCK.get("emb") is EMB
    assert LOCK.get("org/minilm") is None
    assert LOCK.find("emb") is EMB
    assert LOCK.find("org/minilm") is EMB
    assert LOCK.find("mine") is MINE
    assert LOCK.find("./models/mine") is MINE
    # a key goes before a repository, a repository before a last part
    shadow = LockedModel("minilm", Task.EMBED, repo="x/y")
    assert LOCK.with_model(shadow).find("minilm") is shadow
    bare = LockedModel("k", Task.EMBED, repo="minilm")
    assert LOCK.with_model(bare).find("minilm") is bare


def test_find_of_several() -> None:
    with pytest.raises(UnknownModel) as caught:
        LOCK.find("minilm")
    assert caught.value.what == "'minilm' is more than one model of the lock"
    assert caught.value.expected == "one of the keys big, emb"
    assert caught.value.mend == "hardtack list"


@pytest.mark.parametrize(
    ("which", "mend"),
    [
        ("org/other", "hardtack add org/other"),
        ("", "hardtack add REPO"),
        ("../x", "hardtack add REPO"),
        ("a; rm", "hardtack add REPO"),
    ],
)
def test_find_of_none(which: str, mend: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        LOCK.find(which)
    assert caught.value.expected == "a key, a repository or its last part; the lock has big, emb, llm, mine"
    assert caught.value.mend == mend


def test_only() -> None:
    assert LOCK.only(Task.RERANK) is MINE
    with pytest.raises(UnknownModel) as several:
        LOCK.only(Task.EMBED)
    assert (several.value.what, several.value.found, several.value.mend) == (
        "the lock has more than one model of task embed", "big, emb", "hardtack list",
    )  # fmt: skip
    with pytest.raises(UnknownModel) as none:
        LOCK.only(Task.CLASSIFY)
    assert (none.value.what, none.value.mend) == (
        "the lock has no model of task classify", "hardtack add REPO --task classify",
    )  # fmt: skip
    with pytest.raises(UnknownModel) as empty:
        Lock("m", ()).only(Task.CLASSIFY)
    assert empty.value.found == "no model at all"


def test_with_model() -> None:
    other = replace(EMB, license="mit")
    assert LOCK.with_model(other).get("emb") is other
    assert len(LOCK.with_model(other).models) == 4
    more = LOCK.with_model(replace(EMB, key="again"))
    assert [model.key for model in more.models] == ["again", "big", "emb", "llm", "mine"]
    assert len(LOCK.models) == 4
