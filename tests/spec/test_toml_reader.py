from __future__ import annotations

import tomllib
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardtack.errors import ManifestError
from hardtack.spec.toml_lines import find_lines
from hardtack.spec.toml_reader import Document, Table, shown
from hardtack.spec.toml_write import toml_name, toml_value


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def root(text: str) -> Table:
    return Document(text, "x.toml", ManifestError, "mend it").root


def refused(text: str, read: Any) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        read(root(text))
    assert caught.value.mend == "mend it"
    return caught.value


def test_values() -> None:
    table = root('t = "x"\nn = -7\nf = true\nl = ["a", "b"]\nm = { a = "1" }\ng = { a = 1, b = 0.5 }\nc = "red"\n')
    assert (table.text("t"), table.integer("n"), table.flag("f")) == ("x", -7, True)
    assert (table.texts("l"), table.text_table("m"), table.number_table("g")) == (
        ("a", "b"), {"a": "1"}, {"a": 1.0, "b": 0.5},
    )  # fmt: skip
    assert table.choice("c", Colour) is Colour.RED
    table.finish()


def test_absent_values() -> None:
    table = root("")
    assert table.text("t", "default") == "default"
    assert [read("x") for read in (table.integer, table.flag, table.texts, table.text_table, table.number_table)] == (
        [None] * 5
    )
    assert table.choice("x", Colour, Colour.BLUE) is Colour.BLUE
    assert table.table("x") is None
    assert list(table.tables("x")) == []
    assert list(table.named_tables("x")) == []
    assert not table.has("x")


@pytest.mark.parametrize(
    ("value", "read", "expected", "found"),
    [
        ("1", lambda t: t.text("k"), "a string", "1"),
        ("'a'", lambda t: t.integer("k"), "a whole number", "'a'"),
        ("1.0", lambda t: t.integer("k"), "a whole number", "1.0"),
        ("true", lambda t: t.integer("k"), "a whole number", "True"),
        ("9223372036854775808", lambda t: t.integer("k"), "a whole number of 64 bits", "9223372036854775808"),
        ("1", lambda t: t.flag("k"), "true or false", "1"),
        ("'true'", lambda t: t.flag("k"), "true or false", "'true'"),
        ("'a'", lambda t: t.texts("k"), "a list of strings", "'a'"),
        ("['a', 1]", lambda t: t.texts("k"), "a list of strings", "1"),
        ("1979-05-27", lambda t: t.text_table("k"), "a table of strings", "1979-05-27"),
        ("{ a = 1 }", lambda t: t.text_table("k"), "a string", "1"),
        ("1", lambda t: t.number_table("k"), "a table of numbers", "1"),
        ("{ a = 'b' }", lambda t: t.number_table("k"), "a number", "'b'"),
        ("{ a = true }", lambda t: t.number_table("k"), "a number", "True"),
        ("{ a = nan }", lambda t: t.number_table("k"), "a finite number", "nan"),
        ("{ a = -inf }", lambda t: t.number_table("k"), "a finite number", "-inf"),
        ("{ a = 1" + "0" * 400 + " }", lambda t: t.number_table("k"), "a finite number", "1" + "0" * 199 + "…"),
        ("'green'", lambda t: t.choice("k", Colour), "red, blue", "'green'"),
        ("''", lambda t: t.choice("k", Colour, Colour.RED), "red, blue", "''"),
        ("[]", lambda t: t.table("k"), "a table", "[]"),
        ("{}", lambda t: list(t.tables("k")), "a list of tables", "{}"),
        ("[1]", lambda t: list(t.tables("k")), "a list of tables", "1"),
        ("[]", lambda t: list(t.named_tables("k")), "tables by name", "[]"),
        ("{ a = 1 }", lambda t: list(t.named_tables("k")), "a table", "1"),
    ],
)
def test_values_of_the_wrong_kind(value: str, read: Any, expected: str, found: str) -> None:
    error = refused(f"# one\n\nk = {value}\n", read)
    assert (error.where, error.expected, error.found) == ("x.toml:3", expected, found)


def test_a_missing_text_is_told_with_its_table() -> None:
    error = refused("[a]\nx = 1\n", lambda t: t.table("a").text("k"))
    assert (error.what, error.where, error.expected) == ("`k` is missing", "x.toml:1", 'k = "…"')


def test_keys_nobody_asked_for() -> None:
    def read(table: Table) -> None:
        table.text("repo", "")
        table.integer("size")
        table.finish()

    assert refused("size = 1\nrepos = 2", read).expected == "perhaps `repo`"
    error = refused("size = 1\nzzz = 2", read)
    assert (error.what, error.where, error.expected) == (
        "`zzz` is not a key that is known here", "x.toml:2", "one of repo, size",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "what", "where", "found"),
    [
        ("a = 1\nb = \n", "not valid TOML: Invalid value", "x.toml:2", "b ="),
        ("a = 1\nb = [\n1,\n", "not valid TOML: Invalid value", "x.toml:4", "the end of the file"),
        ('a = "x', "not valid TOML: Unterminated string", "x.toml:1", "the end of the file"),
        ("a = 1\na = 2\n", "not valid TOML: Cannot overwrite a value", "x.toml:2", "a = 2"),
        ("[a]\n[a]\n", "not valid TOML: Cannot declare ('a',) twice", "x.toml:2", "[a]"),
        ('a = "\u2028"\n\x0c', "not valid TOML: Invalid statement", "x.toml:2", ""),
        ("\ufeffa = 1", "the file begins with a byte order mark", "x.toml:1", ""),
        ("a = 1\nb = '\ud800'", "half a surrogate pair is no text", "x.toml:2", ""),
        ("a = " + "[" * 20000, "the values are nested too deep", "x.toml", ""),
        ("a = " + "9" * 5000, "a number is too long", "x.toml", ""),
    ],
)
def test_what_is_not_toml(text: str, what: str, where: str, found: str) -> None:
    error = refused(text, lambda t: None)
    assert (error.what, error.where, error.found) == (what, where, found)


def test_values_too_long_to_show() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert shown(deep) == shown(1 << 100_000) == "a value too long to show"
    assert shown("x" * 200) == "x" * 200
    assert shown("a\x1b[31m\nü\x00") == "a\\x1b[31m\\nü\\x00"
    assert shown("x" * 201) == "x" * 200 + "…"
    while deep:  # so that taking it down does not need the stack
        deep = deep.pop()  # type: ignore[assignment]


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────────────

TRICKY = '''\
# [no.header]
title = """
[models.a]
task = "no key"
""" # [nor.this]
path = \'\'\'
it = "is" \'\'\'
[models.a] # one
task = "embed"
values = ["a", # [no]
  "]", \'[models.b]\', [1, [2]],
]
rest = { x = [1, { y = 2 }], "q.q" = 3 }
"quoted key" . sub = 1
[models."b.c"]
files = [
  { path = "x = 1" },
  { path = "}" },
]
[[list]]
name = 1
[[list.inner]]
deep = 2
[[list]]
[list.sub]
name = 3
[a.b.c]
[a]
x = "\\"" # "
[deep]
nested = [[{ a = 1 }], [
  { b = 2 }]]
'''


def test_lines_are_those_of_the_keys_and_of_nothing_that_looks_like_them() -> None:
    found, starts = find_lines(TRICKY)
    lines = {".".join(map(str, place)): line for place, line in found.items()}
    assert lines == {
        "title": 2, "path": 6, "models": 8, "models.a": 8, "models.a.task": 9, "models.a.values": 10,
        "models.a.values.3": 11, "models.a.values.3.1": 11,
        "models.a.rest": 13, "models.a.rest.x": 13, "models.a.rest.x.1": 13, "models.a.rest.x.1.y": 13,
        "models.a.rest.q.q": 13, "models.a.quoted key": 14, "models.a.quoted key.sub": 14,
        "models.b.c": 15, "models.b.c.files": 16, "models.b.c.files.0": 17, "models.b.c.files.0.path": 17,
        "models.b.c.files.1": 18, "models.b.c.files.1.path": 18,
        "list": 20, "list.0": 20, "list.0.name": 21, "list.0.inner": 22, "list.0.inner.0": 22,
        "list.0.inner.0.deep": 23,
        "list.1": 24, "list.1.sub": 25, "list.1.sub.name": 26, "a": 28, "a.b": 27, "a.b.c": 27, "a.x": 29,
        "deep": 30, "deep.nested": 31, "deep.nested.0": 31, "deep.nested.0.0": 31, "deep.nested.0.0.a": 31,
        "deep.nested.1": 31, "deep.nested.1.0": 32, "deep.nested.1.0.b": 32,
    }  # fmt: skip
    assert ("models", "b.c") in found
    heads = [(start.line, start.place) for start in starts if start.is_header]
    assert heads == [
        (8, ("models", "a")), (15, ("models", "b.c")), (20, ("list", 0)), (22, ("list", 0, "inner", 0)),
        (24, ("list", 1)),        (25, ("list", 1, "sub")), (27, ("a", "b", "c")), (28, ("a",)), (30, ("deep",)),
    ]  # fmt: skip
    assert [start.line for start in starts if not start.is_header] == [2, 6, 9, 10, 13, 14, 16, 21, 23, 26, 29, 31]


texts = st.text(st.characters(codec="utf-8"), max_size=4)
names = st.from_regex(r"[a-c]{1,2}", fullmatch=True) | texts
values = st.recursive(
    st.integers(-9, 9) | st.booleans() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(names, values, max_size=4))
def test_what_is_written_is_read_and_every_key_is_found_on_its_line(table: dict[str, Any]) -> None:
    rows = [f"{toml_name(name)} = {toml_value(value)}" for name, value in table.items()]
    text = "\n".join(["# head", *rows, ""])
    assert tomllib.loads(text) == table
    found, starts = find_lines(text)
    assert {place[0]: line for place, line in found.items() if len(place) == 1} == {
        name: number for number, name in enumerate(table, 2)
    }
    assert [start.line for start in starts] == list(range(2, len(table) + 2))


def test_a_long_line_of_nothing_takes_no_time() -> None:
    """Quadratic or worse, this would take minutes."""
    blank = " " * 200_000
    text = f'a = """\n[{blank}\n"""\nb = 1 #{blank}[\n'
    assert find_lines(text)[0] == {("a",): 1, ("b",): 4}


def test_toml_has_no_such_value() -> None:
    with pytest.raises(TypeError, match="TOML has no NoneType"):
        toml_value({"a": [None]})
