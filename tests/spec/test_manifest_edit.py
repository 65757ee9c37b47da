from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardtack.errors import ManifestError
from hardtack.spec.manifest import parse_manifest
from hardtack.spec.manifest_edit import NEW_MANIFEST, add_model, remove_model

VALUES: dict[str, object] = {"task": "embed", "repo": "org/new"}
ADDED = '[models.new]\ntask = "embed"\nrepo = "org/new"\n'
COMMENTED = """\
# The models of the house.
# Two of them.

[models.a]  # the first
task = "embed"   # what for
repo = "x/y"

# About b:
# it classifies.
[models.b]
task = "classify"
repo = "x/z"

[models.b.labels.q]
values = [
  "[models.a]",  # no header

  "b",
]
prompt = '''
# no comment
[models.c] {text}
'''

# ── who may what ──

[policy]
allow-licenses = ["mit"]
# the end
"""


def test_add_to_a_new_manifest() -> None:
    text = add_model(NEW_MANIFEST, "new", VALUES)
    assert text == NEW_MANIFEST + "\n" + ADDED
    assert [model.key for model in parse_manifest(text).models] == ["new"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ADDED),
        (COMMENTED, COMMENTED + "\n" + ADDED),
        ("# no line end", "# no line end\n\n" + ADDED),
        ("[models]\r\n", "[models]\r\n\r\n" + ADDED.replace("\n", "\r\n")),
        ('models.a = { task = "external" }\n', 'models.a = { task = "external" }\n\n' + ADDED),
        ('[models]\na.task = "external"\n', '[models]\na.task = "external"\n\n' + ADDED),
    ],
)
def test_adding_touches_nothing_that_is_there(before: str, after: str) -> None:
    assert add_model(before, "new", VALUES) == after


def test_add_values_of_every_kind() -> None:
    text = add_model(
        "", "a.b",
        {"task": "embed", "repo": "./x", "include": ["*.md"], "max-length": 256, "normalize": True,
         "gate": {"rank": 0.9},         "prompts": {"": 'say "hi"\n'}, "note": "größe"},
    )  # fmt: skip
    assert text == (
        '[models."a.b"]\ntask = "embed"\nrepo = "./x"\ninclude = ["*.md"]\nmax-length = 256\nnormalize = true\n'
        'gate = { rank = 0.9 }\nprompts = { "" = "say \\"hi\\"\\n" }\nnote = "größe"\n'
    )
    (model,) = parse_manifest(text).models
    assert (model.key, model.overrides.prompts) == ("a.b", {"": 'say "hi"\n'})


def test_add_a_key_that_is_there() -> None:
    with pytest.raises(ManifestError) as caught:
        add_model(COMMENTED, "a", VALUES)
    assert caught.value.what == "the manifest has a model 'a' already"
    assert caught.value.mend == "hardtack add REPO --as a-2"


@pytest.mark.parametrize(
    ("key", "values", "where"),
    [
        ("bad key", VALUES, "m.toml:31"),
        ("new", {"task": "embed"}, "m.toml:31"),
        ("new", {"task": "embed", "repo": "org/new", "precison": "int8"}, "m.toml:34"),
        ("A", VALUES, "m.toml:31"),
    ],
)
def test_add_what_could_not_be_read(key: str, values: dict[str, object], where: str) -> None:
    assert COMMENTED.count("\n") == 29  # the header of what is added will be on line 31
    with pytest.raises(ManifestError) as caught:
        add_model(COMMENTED, key, values, "m.toml")
    assert caught.value.where == where


def test_remove_the_first() -> None:
    gone = '[models.a]  # the first\ntask = "embed"   # what for\nrepo = "x/y"\n\n'
    assert gone in COMMENTED
    assert remove_model(COMMENTED, "a") == COMMENTED.replace(gone, "")


def test_remove_one_with_labels_and_the_comment_above_it() -> None:
    start, end = COMMENTED.index("# About b"), COMMENTED.index("# ── who")
    assert remove_model(COMMENTED, "b") == COMMENTED[:start] + COMMENTED[end:]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('[models.a]\ntask = "external"\n', ""),
        ('# top\n[models.a]\ntask = "external"\n', "# top\n"),
        ('[models]\n\n# a\n[models.a]\ntask = "external"\n', "[models]\n"),
        ('[models]\na = { task = "external" } # x\nb = { task = "files", repo = "o/r" }\n',
         '[models]\nb = { task = "files", repo = "o/r" }\n'),
        ('[models]\na.task = "external"\nb.task = "external"\na.note = "x"\n', '[models]\nb.task = "external"\n'),
        ('models.a.task = "external"\nmodels.b.task = "external"\n', 'models.b.task = "external"\n'),
        ('[models."a"]\r\ntask = "external"\r\n\r\n[policy]\r\n', "[policy]\r\n"),
        ('[policy]\n[models.a]\ntask = "external"\n\n# loose\n', "[policy]\n# loose\n"),
        ('[models.a]\ntask = "external"', ""),
        ('[models.a]\nnote = "x"\n[policy]\n[models.b]\ntask = "external"\n[models.ab]\ntask = "external"\n'
         .replace('note = "x"', 'task = "external"'),
         '[policy]\n[models.b]\ntask = "external"\n[models.ab]\ntask = "external"\n'),
    ],
)  # fmt: skip
def test_remove_in_other_forms(before: str, after: str) -> None:
    assert remove_model(before, "a") == after


def test_remove_one_that_is_not_there() -> None:
    with pytest.raises(ManifestError) as caught:
        remove_model(COMMENTED, "c")
    assert (caught.value.expected, caught.value.mend) == ("a, b", "hardtack list")


def test_one_inline_table_is_left_to_a_person() -> None:
    text = '# x\nmodels = { a = { task = "external" } }\n'
    with pytest.raises(ManifestError) as added:
        add_model(text, "new", VALUES)
    with pytest.raises(ManifestError) as removed:
        remove_model(text, "a")
    for error in (added.value, removed.value):
        assert (error.where, error.mend) == ("hardtack.toml:2", "${EDITOR:-vi} hardtack.toml")


def test_a_broken_manifest_is_not_edited() -> None:
    with pytest.raises(ManifestError, match="not valid TOML"):
        add_model("[x", "new", VALUES)
    with pytest.raises(ManifestError, match="not valid TOML"):
        remove_model("[x", "a")


GOLDEN = [path.read_bytes().decode() for path in sorted((Path(__file__).parent / "golden/manifest").glob("*.toml"))]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([COMMENTED, NEW_MANIFEST, *GOLDEN]),
    st.lists(st.sampled_from(["new", "x.y", "z-1", "labels", "policy"]), unique=True, min_size=1, max_size=3),
    st.sampled_from([{"task": "external", "note": "größe [x]\n"}, {**VALUES, "include": ["[models.new]", "#"]}]),
    st.booleans(),
)
def test_what_is_added_and_removed_again_leaves_no_trace(
    text: str, keys: list[str], values: dict[str, object], windows: bool
) -> None:
    text = text.replace("\n", "\r\n") if windows else text
    before = parse_manifest(text)
    after = text
    for key in keys:
        after = add_model(after, key, values)
        assert after.startswith(text)
    now = parse_manifest(after)
    assert now.models[: len(before.models)] == before.models
    assert [model.key for model in now.models[len(before.models) :]] == keys
    assert now.allow_licenses == before.allow_licenses
    for model in before.models:
        fewer = parse_manifest(remove_model(after, model.key))
        assert fewer.models == tuple(other for other in now.models if other.key != model.key)
    for key in reversed(keys):
        after = remove_model(after, key)
    assert after == text
