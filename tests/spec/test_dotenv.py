"""Variables in and out of a ``.env``; whatever else it holds stays."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardtack.errors import ManifestError, Misused
from hardtack.spec.dotenv import lock_values, parse_env, updated_env
from hardtack.spec.lock import Lock, LockedModel
from hardtack.spec.words import Task

NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True)
VALUES = st.from_regex(r"[A-Za-z0-9._/-]{1,20}", fullmatch=True)


def model(key: str, task: Task, repo: str = "org/tiny", digit: str = "1") -> LockedModel:
    return LockedModel(key, task, repo, commit=digit * 40)


def test_all_forms_of_a_line() -> None:
    text = (
        "\ufeff# models\r\nEMBED_REPO=org/tiny\r\n\r\n  export A = 'one # two'  # why\nB=\"x\" \nC=plain # comment\n"
        "D=\nE=a#b\nA=last"
    )
    assert parse_env(text) == {"EMBED_REPO": "org/tiny", "A": "last", "B": "x", "C": "plain", "D": "", "E": "a#b"}


@pytest.mark.parametrize("line", ["EMBED_REPO", "1A=x", "= x", "- A=x", "A B=x"])
def test_what_is_no_line_is_named(line: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_env(f"A=1\n{line}\n", "some.env")
    assert caught.value.where == "some.env:2"


@given(st.dictionaries(NAMES, VALUES), st.dictionaries(NAMES, VALUES))
def test_updating_keeps_the_rest_and_is_read_back(old: dict[str, str], new: dict[str, str]) -> None:
    text = "# mine\n" + "".join(f"{name}={value}\n" for name, value in old.items())
    after = updated_env(text, new)
    assert after.startswith("# mine\n")
    assert parse_env(after) == old | new
    assert updated_env(after, new) == after


def test_a_line_is_replaced_where_it_was() -> None:
    text = "A=1\r\nexport EMBED_COMMIT=old\r\n# EMBED_COMMIT=not\r\nEMBED_COMMIT=twice\r\nB=2"
    assert updated_env(text, {"EMBED_COMMIT": "new", "EMBED_REPO": "r"}) == (
        "A=1\r\nexport EMBED_COMMIT=new\r\n# EMBED_COMMIT=not\r\nB=2\r\nEMBED_REPO=r\r\n"
    )
    assert updated_env("", {"A": "1"}) == "A=1\n"


def test_a_lock_in_a_shell(tmp_path: object) -> None:
    lock = Lock("", (model("emb", Task.EMBED), model("c", Task.CLASSIFY, "org/other", "2")))
    values = lock_values(lock)
    assert values == {
        "EMBED_REPO": "org/tiny", "EMBED_COMMIT": "1" * 40, "CLASSIFY_REPO": "org/other", "CLASSIFY_COMMIT": "2" * 40,
    }  # fmt: skip
    script = updated_env("", values) + 'echo "$EMBED_REPO@$EMBED_COMMIT"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"org/tiny@{'1' * 40}\n"


def test_of_several_the_usual_key_is_meant() -> None:
    lock = Lock("", (model("emb", Task.EMBED), model("other", Task.EMBED, "org/other")))
    assert lock_values(lock)["EMBED_REPO"] == "org/tiny"
    with pytest.raises(Misused) as caught:
        lock_values(Lock("", (model("a", Task.EMBED), model("b", Task.EMBED, "org/other"))))
    assert caught.value.mend == "hardtack add org/tiny --task embed --as emb"


def test_directories_and_services_have_no_commit() -> None:
    local = LockedModel("emb", Task.EMBED, "./mine", source="local")
    assert lock_values(Lock("", (local, LockedModel("llm", Task.EXTERNAL)))) == {}
