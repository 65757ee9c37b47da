from __future__ import annotations

import posixpath
import random
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardtack.spec.names import (
    UnsafeName,
    distinct_paths,
    is_commit,
    is_key,
    is_local,
    is_repo,
    is_revision,
    safe_path,
)

GOOD = (
    "config.json", "1_Pooling/config.json", "a b/c d.txt", "größe/日本.bin", "...x/..y", "a/.hidden", "-rf", "~/x",
    "$HOME",    "x" * 255, "e\u0301", "console.txt", "null", "com10", "ab:c", "model-00001-of-00002.safetensors",
)  # fmt: skip
BAD = {
    "": "an empty name",
    "/etc/passwd": "an absolute path",
    "//x": "an absolute path",
    "..": "a part '..'",
    "a/../b": "a part '..'",
    "a/..": "a part '..'",
    ".": "a part '.'",
    "./a": "a part '.'",
    "a//b": "a part ''",
    "a/": "a part ''",
    "..\\a": "a backslash",
    "a\\b": "a backslash",
    "C:x": "a drive letter",
    "c:/x": "a drive letter",
    "a\nb": "a control character",
    "a\x00b": "a control character",
    "a\x7fb": "a control character",
    "a\x85b": "a control character",
    "a\u2028b": "a control character",
    "a\ud800b": "a control character",
    "a./b": "a part that ends in a dot or blank: 'a.'",
    "a /b": "a part that ends in a dot or blank: 'a '",
    "...": "a part that ends in a dot or blank: '...'",
    "x" * 256: "a part of more than 255 bytes",
    "ü" * 128: "a part of more than 255 bytes",
    "con": "a device name: 'con'",
    "a/NUL.txt": "a device name: 'NUL.txt'",
    "lpt9/x": "a device name: 'lpt9'",
}


@pytest.mark.parametrize("path", GOOD)
def test_good_paths(path: str) -> None:
    assert safe_path(path) == path


@pytest.mark.parametrize("path", BAD)
def test_bad_paths(path: str) -> None:
    with pytest.raises(UnsafeName) as caught:
        safe_path(path)
    assert str(caught.value) == BAD[path]


rough = st.one_of(
    st.text(),
    st.lists(st.sampled_from(["..", ".", "", "a", "b.c", "...", "~", "con", "C:", "\\", "/", " "]), max_size=6)
    .map("/".join),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(rough)
def test_what_passes_stays_inside(path: str) -> None:
    try:
        safe_path(path)
    except UnsafeName:
        return
    joined = posixpath.join("/root/of/it", path)
    assert posixpath.normpath(joined) == joined
    assert joined.startswith("/root/of/it/")
    assert str(PurePosixPath("/root/of/it") / path) == joined
    assert "\n" not in path
    assert path.encode().decode() == path


def test_distinct_paths_are_sorted() -> None:
    assert distinct_paths(["b", "a/c", "a/b", "a.b"]) == ("a.b", "a/b", "a/c", "b")
    assert distinct_paths([]) == ()


@pytest.mark.parametrize(
    ("paths", "why"),
    [
        (["a", "a"], "'a' twice"),
        (["README.md", "readme.MD"], "two names for one file: 'README.md' and 'readme.MD'"),
        (["caf\u00e9", "cafe\u0301"], "two names for one file: 'cafe\u0301' and 'caf\u00e9'"),
        (["straße", "STRASSE"], "two names for one file: 'STRASSE' and 'straße'"),
        (["a", "b", "a/b"], "'a/b' would lie within 'a'"),
        (["A/b/c", "a/B"], "'A/b/c' would lie within 'a/B'"),
        (["A/b", "a/c", "A"], "'A/b' would lie within 'A'"),
    ],
)
def test_paths_that_would_fall_on_one_file(paths: list[str], why: str) -> None:
    for order in (paths, paths[::-1]):
        with pytest.raises(UnsafeName) as caught:
            distinct_paths(order)
        assert str(caught.value) == why


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text("aAbßé\u0301/", min_size=1, max_size=5), max_size=5), st.randoms(use_true_random=False))
def test_distinct_whatever_the_order(paths: list[str], chance: random.Random) -> None:
    def answer(given: list[str]) -> tuple[str, ...] | None:
        try:
            return distinct_paths(given)
        except UnsafeName:
            return None

    got = answer(paths)
    assert answer(chance.sample(paths, len(paths))) == got
    if got is not None:
        assert list(got) == sorted(set(paths))
        assert len({path.upper() for path in paths}) == len({path.lower() for path in paths}) == len(paths)


@pytest.mark.parametrize("text", ["org/name", "gpt2", "a/b", "A-1/x_y.z", "0/0", "org/_x", "o/" + "x" * 96])
def test_repos(text: str) -> None:
    assert is_repo(text)


@pytest.mark.parametrize(
    "text",
    ["", "/", "a/", "/a", "a/b/c", "a b/c", "-a/b", "a/-b", "a/b-", ".a/b", "a/b.", "a..b/c", "a--b/c", "a/b.git",
     "./a", "../a", "a\n", "a/b\n", "ü/b", "a\\b", "~/x", "o/" + "x" * 97, "a/b@main", "https://x/y"],
)  # fmt: skip
def test_no_repos(text: str) -> None:
    assert not is_repo(text)


@pytest.mark.parametrize("text", ["emb", "_x", "a.b-c_1", "E5", "0", "x" * 64, "hardtack"])
def test_keys(text: str) -> None:
    assert is_key(text)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", ".a", "a.", "-a", "a-", "a/b", "a b", "a\n", "ü", "a..b", "x" * 65, "hardtack.lock",
     "Hardtack.LOCK", "con", "NUL.x"],
)  # fmt: skip
def test_no_keys(text: str) -> None:
    assert not is_key(text)


@settings(max_examples=200, deadline=None)
@given(st.text("aZ0_-.\\/ \nü", max_size=6) | st.text(max_size=6))
def test_a_key_is_a_safe_folder(text: str) -> None:
    if is_key(text):
        assert safe_path(text) == text
        assert "/" not in text


@pytest.mark.parametrize(
    "text",
    ["main", "v1.0", "refs/pr/12", "refs/heads/main", "feature/x", "f" * 40, "größe", "a@b", "1.0-rc+2", "x" * 255],
)
def test_revisions(text: str) -> None:
    assert is_revision(text)


@pytest.mark.parametrize(
    "text",
    ["", " ", "a b", " a", "a ", "a..b", "../x", "/a", "a/", "a//b", ".a", "a/.b", "a.", "a.lock", "a.lock/b", "-a",
     "@{1}", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "a\nb", "a\x00", "a\x7f", "\ud800", "a\u2028", "ü" * 128],
)  # fmt: skip
def test_no_revisions(text: str) -> None:
    assert not is_revision(text)


def test_commits() -> None:
    assert is_commit("0123456789abcdef" * 2 + "01234567")
    for text in ("", "a" * 39, "a" * 41, "A" * 40, "g" * 40, "a" * 40 + "\n"):
        assert not is_commit(text)


def test_local() -> None:
    for text in (".", "..", "./x", "../x", "./", "./a b/ü"):
        assert is_local(text)
        assert not is_repo(text)
    for text in ("", "x", "x/y", "/x", "~/x", ".x", "..x", ".x/y", "./a\x00b", "./a\nb"):
        assert not is_local(text)
