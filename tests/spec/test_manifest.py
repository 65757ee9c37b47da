from __future__ import annotations

import random
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardtack.errors import DiskError, ManifestError
from hardtack.spec.lock import LabelGroup, Lock, LockedModel, Overrides
from hardtack.spec.manifest import Manifest, WantedModel, carried_over, is_stale, parse_manifest, read_manifest
from hardtack.spec.words import EngineName, Pooling, Precision, Similarity, Task, WeightsKind
from tests.spec.spec_mutations import mutated

GOLDEN = Path(__file__).parent / "golden/manifest"
BROKEN = sorted((GOLDEN / "broken").glob("*.toml"))

# ── golden files ─────────────────────────────────────────────────────────────────────────────────────────────────────

CASES = {
    "empty": Manifest(()),
    "the-design-page": Manifest(
        (
            WantedModel("emb", Task.EMBED, "sentence-transformers/all-MiniLM-L6-v2"),
            WantedModel("rerank", Task.RERANK, "BAAI/bge-reranker-base", precision=Precision.INT8),
            WantedModel(
                "classify", Task.CLASSIFY, "google/flan-t5-small",
                labels=(
                    LabelGroup(
                        "category", ("energy", "comfort", "security", "convenience"),
                        "Classify this smart home pattern into one category. Pattern: {text} Category:",
                    ),
                    LabelGroup(
                        "priority", ("high", "medium", "low"),
                        "Rate the priority of this pattern. Pattern: {text} Category: {category} Priority:",
                    ),
                ),
            ),
            WantedModel("ocr", Task.FILES, "org/ocr-weights", path="/app/models/ocr"),
            WantedModel("llm", Task.EXTERNAL, note="qwen2.5 in Ollama"),
        )
    ),
    "every-key": Manifest(
        (
            WantedModel(
                "all", Task.EMBED, "./my-model", "refs/pr/7", EngineName.NATIVE, Precision.BF16,
                {"cosine-p1": 0.99, "rank": 1.0}, "texts/calibration.jsonl", "texts/gate.txt", WeightsKind.ONNX,
                ("*.md", "extra/*"), ("onnx/*_O4*",),
                Overrides(256, {"query": "query: ", "none": ""}, Pooling.LASTTOKEN, True, Similarity.EUCLIDEAN),
                (LabelGroup("größe", ("klein", "groß"), "{text}\n->"),), True, "models/all", "apache-2.0", "a note",
            ),
        ),
        ("apache-2.0", "mit"),
    ),
}  # fmt: skip


def test_each_golden_file_has_a_case() -> None:
    assert sorted(CASES) == sorted(path.stem for path in GOLDEN.glob("*.toml"))


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    assert read_manifest(GOLDEN / f"{case}.toml") == CASES[case]


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_broken(path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(path.read_bytes().decode())
    assert str(caught.value) + "\n" == path.with_suffix(".error").read_text(encoding="utf-8")


def test_there_are_broken_ones_and_each_has_its_error() -> None:
    assert len(BROKEN) > 30
    assert [path.with_suffix("") for path in BROKEN] == sorted(
        path.with_suffix("") for path in (GOLDEN / "broken").glob("*.error")
    )


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def one(rows: str, task: str = "embed", repo: str = "org/name") -> WantedModel:
    (model,) = parse_manifest(f'[models.m]\ntask = "{task}"\nrepo = "{repo}"\n{rows}\n').models
    return model


def test_every_key_of_the_golden_file_differs_from_its_default() -> None:
    """So that the golden file shows each key to be read, a new one too."""
    (model,) = CASES["every-key"].models
    plain = WantedModel("m", Task.RERANK)
    same = [item.name for item in fields(WantedModel) if getattr(model, item.name) == getattr(plain, item.name)]
    assert same == []
    assert None not in [getattr(model.overrides, item.name) for item in fields(Overrides)]


def test_defaults() -> None:
    model = one("")
    assert model == WantedModel("m", Task.EMBED, "org/name")
    assert (model.revision, model.engine, model.precision, model.weights) == (
        "main", EngineName.AUTO, Precision.AUTO, WeightsKind.SAFETENSORS,
    )  # fmt: skip
    assert (model.folder, model.local, model.trust_remote_code) == ("m", False, False)


@pytest.mark.parametrize(
    ("key", "field", "kind"),
    [("task", "task", Task), ("engine", "engine", EngineName), ("precision", "precision", Precision),
     ("weights", "weights", WeightsKind), ("pooling", "pooling", Pooling), ("similarity", "similarity", Similarity)],
)  # fmt: skip
def test_every_word_of_every_vocabulary(key: str, field: str, kind: type) -> None:
    for word in kind:  # type: ignore[attr-defined]
        if word is Task.EXTERNAL:
            continue
        model = one(f'{key} = "{word.value}"') if key != "task" else one("", task=word.value)
        assert getattr(model.overrides if hasattr(model.overrides, field) else model, field) is word


@pytest.mark.parametrize("revision", ["f" * 40, "main", "v1.0.0", "refs/pr/3", "feature/x", "refs/heads/main"])
def test_revisions(revision: str) -> None:
    assert one(f'revision = "{revision}"').revision == revision


@pytest.mark.parametrize(
    ("repo", "local"),
    [("org/name", False), ("all-MiniLM-L6-v2", False), ("./my-model", True), ("../shared/m", True), (".", True)],
)
def test_repos(repo: str, local: bool) -> None:
    model = one("", repo=repo)
    assert (model.repo, model.local) == (repo, local)


@pytest.mark.parametrize(("path", "folder"), [("", "m"), ("x/y", "x/y"), ("/app/m", "app/m")])
def test_folders(path: str, folder: str) -> None:
    assert one(f'path = "{path}"').folder == folder


def test_models_and_groups_are_in_file_order() -> None:
    text = "".join(f'[models.{key}]\ntask = "external"\n' for key in "zay")
    assert [model.key for model in parse_manifest(text).models] == ["z", "a", "y"]
    rows = "".join(f'[models.m.labels.{name}]\nvalues = ["1", "2"]\nprompt = "{{text}}"\n' for name in "zay")
    assert [group.name for group in one(rows).labels] == ["z", "a", "y"]


def test_an_external_service_lies_in_no_folder() -> None:
    text = '[models.a]\ntask = "external"\n[models.b]\ntask = "files"\nrepo = "o/r"\npath = "a/x"\n'
    assert len(parse_manifest(text).models) == 2


# ── what makes a lock stale ──────────────────────────────────────────────────────────────────────────────────────────

# Of each field of a wanted model, whether it decides bytes, and another value than `BASE` has.
BASE = WantedModel("m", Task.EMBED, "org/name")
CHANGES: dict[str, tuple[bool, object]] = {
    "key": (True, "n"),
    "task": (True, Task.RERANK),
    "repo": (True, "org/other"),
    "revision": (True, "v2"),
    "engine": (True, EngineName.TORCH),
    "precision": (True, Precision.INT8),
    "calibration": (True, "c.jsonl"),
    "weights": (True, WeightsKind.ONNX),
    "include": (True, ("*.md",)),
    "exclude": (True, ("*.md",)),
    "trust_remote_code": (True, True),
    "path": (True, "/app/m"),
    "gate": (False, {"rank": 0.9}),
    "gate_texts": (False, "g.jsonl"),
    "labels": (False, (LabelGroup("a", ("x", "y"), "{text}"),)),
    "license": (False, "mit"),
    "note": (False, "a note"),
    "overrides": (True, Overrides(max_length=9)),
}
OVERRIDES: dict[str, object] = {
    "max_length": 9,
    "prompts": {},
    "pooling": Pooling.CLS,
    "normalize": False,
    "similarity": Similarity.DOT,
}


def test_every_field_is_classified() -> None:
    assert set(CHANGES) == {item.name for item in fields(WantedModel)}
    assert set(OVERRIDES) == {item.name for item in fields(Overrides)}
    assert {item.name for item in fields(Manifest)} == {"models", "allow_licenses", "name"}


@pytest.mark.parametrize("field", CHANGES)
def test_what_decides_bytes_makes_a_lock_stale_and_nothing_else_does(field: str) -> None:
    decides, value = CHANGES[field]
    assert getattr(BASE, field) != value
    before, after = Manifest((BASE,)), Manifest((replace(BASE, **{field: value}),))  # type: ignore[arg-type]
    assert (after.digest != before.digest) is decides
    assert is_stale(Lock(before.digest, ()), after) is decides
    assert not is_stale(Lock(before.digest, ()), before)


@pytest.mark.parametrize("field", OVERRIDES)
def test_each_override_makes_a_lock_stale(field: str) -> None:
    changed = replace(BASE, overrides=Overrides(**{field: OVERRIDES[field]}))  # type: ignore[arg-type]
    assert Manifest((changed,)).digest != Manifest((BASE,)).digest


def test_the_policy_the_order_and_the_files_name_make_no_lock_stale() -> None:
    other = replace(BASE, key="n")
    digest = Manifest((BASE, other)).digest
    assert Manifest((other, BASE), ("mit",), "elsewhere.toml").digest == digest
    assert Manifest((BASE,)).digest != digest
    a, b = (replace(BASE, include=globs, exclude=globs) for globs in (("x", "y"), ("y", "x")))
    assert Manifest((a,)).digest == Manifest((b,)).digest


def test_comments_and_spacing_make_no_lock_stale() -> None:
    text = (GOLDEN / "the-design-page.toml").read_text(encoding="utf-8")
    bare = "\n".join(line.split(" #")[0] for line in text.split("\n") if line.strip() and line[0] != "#")
    assert bare != text.strip()
    assert parse_manifest("# more\n\n" + bare.replace(" = ", "  =  ")).digest == parse_manifest(text).digest


def test_the_digest_stays_what_it_was() -> None:
    """A change of this value makes every lock out there stale: let it be meant."""
    assert Manifest(()).digest == "sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
    assert CASES["every-key"].digest == "sha256:08eee42c061b7e6be863f6f165eaca4a0eed3221f1cdcbc5e1a6238f2bc1f051"


def test_what_decides_no_bytes_is_carried_over() -> None:
    locked = LockedModel("m", Task.EMBED, "org/name", commit="c" * 40, license="mit")
    gone = LockedModel("gone", Task.EMBED, "org/gone", gate={"rank": 1.0})
    group = LabelGroup("a", ("x", "y"), "{text}")
    want = replace(BASE, labels=(group,), gate={"rank": 0.5}, note="new", license="other")
    got = carried_over(Lock("sha256:m", (locked, gone)), Manifest((want, replace(BASE, key="more"))))
    assert got == Lock("sha256:m", (replace(locked, labels=(group,), gate={"rank": 0.5}, note="new"), gone))


# ── licences ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_get() -> None:
    manifest = Manifest((BASE, replace(BASE, key="n")))
    assert manifest.get("m") is BASE
    with pytest.raises(ManifestError) as caught:
        manifest.get("x")
    assert (caught.value.expected, caught.value.found, caught.value.mend) == ("m, n", "x", "hardtack list")
    with pytest.raises(ManifestError) as empty:
        Manifest(()).get("x")
    assert empty.value.expected == "a model"


# ── any text ─────────────────────────────────────────────────────────────────────────────────────────────────────────

TEXTS = [path.read_bytes().decode() for path in sorted(GOLDEN.glob("*.toml"))]


def understood(text: str) -> Manifest | ManifestError:
    """What `parse_manifest` makes of a text; any other exception than its own passes and fails the test."""
    try:
        return parse_manifest(text)
    except ManifestError as error:
        return error


def test_an_endless_name_makes_no_endless_message() -> None:
    group = '[models.a.labels.{}]\nvalues = ["x", "y"]\nprompt = "{{text}}{}"\n'
    head = '[models.a]\ntask = "classify"\nrepo = "x/y"\n'
    got = understood(head + group.format("g" * 6000, "") + group.format("h", "{nobody}"))
    assert isinstance(got, ManifestError)
    assert len(str(got)) < 3000


@settings(max_examples=300, deadline=None)
@given(mutated(TEXTS))
def test_a_damaged_manifest_is_a_manifest_or_a_manifest_error(text: str) -> None:
    got = understood(text)
    if isinstance(got, Manifest):
        assert got.digest.startswith("sha256:")
    else:
        assert got.what
        assert got.where.startswith("hardtack.toml")
        assert got.mend == "${EDITOR:-vi} hardtack.toml"
        assert len(str(got)) < 3000


@settings(max_examples=100, deadline=None)
@given(st.text() | st.text("[]{}=,.\"'#\n\\ amodels1"), st.randoms(use_true_random=False))
def test_any_text_is_a_manifest_or_a_manifest_error(text: str, chance: random.Random) -> None:
    start = chance.choice(["", "[models.m]\n", "[models]\n", '[models.m]\ntask = "embed"\nrepo = "a/b"\n'])
    got = understood(start + text)
    assert isinstance(got, Manifest) or got.what


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_read(tmp_path: Path) -> None:
    path = tmp_path / "hardtack.toml"
    with pytest.raises(ManifestError) as missing:
        read_manifest(path)
    assert missing.value.fields() == {
        "kind": "ManifestError", "what": "there is no manifest", "where": str(path), "expected": "hardtack.toml",
        "found": "no such file", "mend": "hardtack init",
    }  # fmt: skip
    path.write_bytes(b"[models.m]\r\ntask = 'external'\r\n")
    assert read_manifest(path).models == (WantedModel("m", Task.EXTERNAL),)
    assert read_manifest(path).name == str(path)
    path.write_bytes(b"# caf\xe9\n")
    with pytest.raises(ManifestError, match="not UTF-8"):
        read_manifest(path)
    with pytest.raises(DiskError):
        read_manifest(tmp_path)
