from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardtack.errors import Misused
from hardtack.mirror import Served, parse_model_argument

COMMIT = "0123456789abcdef" * 2 + "01234567"


@pytest.mark.parametrize(
    ("argument", "repo", "directory", "commit"),
    [
        ("org/name=/models/a", "org/name", "/models/a", None),
        ("name=a", "name", "a", None),
        (f"org/name=/models/a@{COMMIT}", "org/name", "/models/a", COMMIT),
        ("org/name=/mnt/x=y/a@home", "org/name", "/mnt/x=y/a@home", None),
        (f"org/name=/mnt/u@h/a=b@{COMMIT}", "org/name", "/mnt/u@h/a=b", COMMIT),
        (f"org/name=/mnt/a@{COMMIT}@{COMMIT}", "org/name", f"/mnt/a@{COMMIT}", COMMIT),
        (f"org/name=/mnt/a@{COMMIT}/", "org/name", f"/mnt/a@{COMMIT}", None),
        (f"org/name=a@{COMMIT.upper()}", "org/name", f"a@{COMMIT.upper()}", None),
        (f"org/name=a@{COMMIT[:12]}", "org/name", f"a@{COMMIT[:12]}", None),
    ],
)
def test_a_model_argument(argument: str, repo: str, directory: str, commit: str | None) -> None:
    assert parse_model_argument(argument) == Served(repo, Path(directory), commit)


def test_a_tilde_is_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert parse_model_argument("name=~/models").directory == Path("/home/someone/models")


@pytest.mark.parametrize(
    "argument", ["", "org/name", "org/name=", "=dir", "a/b/c=dir", "../x=dir", "a--b=dir", "a b=dir"]
)
def test_what_is_no_model_argument(argument: str) -> None:
    with pytest.raises(Misused) as refused:
        parse_model_argument(argument)
    assert refused.value.mend.startswith("hardtack mirror --model ")


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters="\0"), min_size=1).filter(lambda text: text[0] != "~"))
def test_a_pinned_directory_comes_back(directory: str) -> None:
    served = parse_model_argument(f"org/name={directory}@{COMMIT}")
    assert (served.directory, served.commit) == (Path(directory), COMMIT)


@pytest.mark.parametrize("commit", ["main", COMMIT[:39], COMMIT.upper(), ""])
def test_what_is_no_commit(commit: str) -> None:
    with pytest.raises(Misused):
        Served("org/name", Path(), commit)


@pytest.mark.parametrize("ref", ["", "a b", "../x", "a..b", "/main", "main/", COMMIT, "a\nb"])
def test_what_is_no_ref(ref: str) -> None:
    with pytest.raises(Misused):
        Served("org/name", Path(), refs=("main", ref))
