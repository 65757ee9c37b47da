from __future__ import annotations

import os
import random
import stat
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardtack.errors import DiskError, LockError
from hardtack.spec.digest import tree_digest
from hardtack.spec.lock import LabelGroup, Lock, LockedBuild, LockedCode, LockedFile, LockedModel, Overrides
from hardtack.spec.lock_text import parse_lock, read_lock, render_lock, write_atomically, write_lock
from hardtack.spec.names import UnsafeName, distinct_paths, is_key, safe_path
from hardtack.spec.words import EngineName, Pooling, Precision, Similarity, Task, WeightsKind
from tests.spec.spec_mutations import NASTY, mutated

GOLDEN = Path(__file__).parent / "golden"
BROKEN = sorted((GOLDEN / "broken").glob("*.lock"))

# ── golden files ─────────────────────────────────────────────────────────────────────────────────────────────────────

COMMIT = "fa97f6e7cb1a59073dff9e6b13e2715cf7475ac9"
MANIFEST = "sha256:" + "5" * 64
CONFIG = LockedFile("config.json", 612, "72b987fd805cfa2b58c4c8c952b274a11bfd5a00b3f7b4c8e6b2b5dcb6c4d5e7", "1" * 40)
POOLING = LockedFile("1_Pooling/config.json", 190, "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23")
WEIGHTS = LockedFile("model.safetensors", 90868376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db")


def model(key: str, task: Task, *files: LockedFile, **more: object) -> LockedModel:
    digest = tree_digest((file.path, file.sha256) for file in files)
    rest = {"repo": "org/name", "requested": "main", "commit": COMMIT, "files": files, "digest": digest, **more}
    return LockedModel(key, task, **rest)  # type: ignore[arg-type]


EMBEDDER = model(
    "emb", Task.EMBED, WEIGHTS, CONFIG, POOLING, repo="sentence-transformers/all-MiniLM-L6-v2", license="apache-2.0"
)
CASES = {
    "no-model": Lock(MANIFEST, ()),
    "a-plain-embedder": Lock(MANIFEST, (EMBEDDER,)),
    "an-external-service": Lock(MANIFEST, (LockedModel("llm", Task.EXTERNAL, note="qwen2.5 in Ollama"),)),
    "a-local-directory": Lock(
        MANIFEST,
        (model("mine", Task.EMBED, CONFIG, WEIGHTS, repo="../my model", source="local", requested="", commit=""),),
    ),
    "files-with-a-path": Lock(
        MANIFEST,
        (model("ocr", Task.FILES, CONFIG, repo="org/ocr-weights", requested="refs/pr/3", path="/app/models/ocr"),),
    ),
    "a-pantrys": Lock(
        MANIFEST, (replace(EMBEDDER, added=(LockedFile("hardtack/golden.json", 20480, "a" * 64),)),)
    ),
    "no-files-at-all": Lock(MANIFEST, (model("bare", Task.FILES),)),
    "names-that-need-quotes": Lock(
        MANIFEST,
        (
            model(
                "q", Task.FILES, LockedFile('a "quoted" name.txt', 0, "0" * 64),
                LockedFile("größe/日本 𝄞.bin", 1, "e" * 64),
                LockedFile("#no comment = [x]", 2, "f" * 64), license='see "LICENSE"\n\ttab \x7f \x00 \u2028 end',
            ),
        ),
    ),
    "everything-at-once": Lock(
        MANIFEST,
        (
            LockedModel("llm", Task.EXTERNAL, note="elsewhere"),
            model(
                "classify", Task.CLASSIFY, CONFIG, WEIGHTS, repo="google/flan-t5-small", requested="v1.0",
                labels=(
                    LabelGroup("priority", ("high", "low"), 'Text: {text}\nPriority ("one word"):'),
                    LabelGroup("area", ("Küche", "居間", 'the "hall"'), "{text} {priority}\tArea: {\\}"),
                ),
                note="two groups",
            ),
            model(
                "emb", Task.EMBED, WEIGHTS, CONFIG, POOLING, engine=EngineName.OPENVINO, precision=Precision.INT8,
                weights=WeightsKind.ONNX, path="models/emb", license="mit", gated=True, trust_remote_code=True,
                gate={"rank": 0.98, "cosine-p1": 0.99, "least words": 1},
                overrides=Overrides(512, {"query": "query: ", "a.b": ""}, Pooling.CLS, False, Similarity.DOT),
                added=(LockedFile("hardtack/golden.json", 7, "b" * 64),),
                code=(
                    LockedCode("org/code", "2" * 40, (LockedFile("modeling.py", 5, "c" * 64, "3" * 40),)),
                    LockedCode("org/code", "1" * 40, (LockedFile("modeling.py", 6, "d" * 64),)),
                ),
                builds=(
                    LockedBuild("openvino-int8-1", Precision.INT8, "sha256:" + "9" * 64,
                                (LockedFile("hardtack/int8/model.xml", 1, "1" * 64),
                                 LockedFile("hardtack/int8/model.bin", 2, "2" * 64))),
                ),
            ),
        ),
    ),
}  # fmt: skip


def test_each_golden_file_has_a_case() -> None:
    assert sorted(CASES) == sorted(path.stem for path in GOLDEN.glob("*.lock"))


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    text = (GOLDEN / f"{case}.lock").read_bytes().decode()
    assert render_lock(CASES[case]) == text
    assert parse_lock(text) == CASES[case]
    assert render_lock(parse_lock(text)) == text


def test_one_line_a_file() -> None:
    text = render_lock(CASES["everything-at-once"])
    assert text.endswith("\n")
    assert "\r" not in text
    rows = [line for line in text.split("\n") if "path = " in line and "sha256" in line]
    assert len(rows) == 2 + 3 + 1 + 2 + 2
    assert all(row.startswith("  { path = ") and row.endswith(" },") for row in rows)


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_broken(path: Path) -> None:
    with pytest.raises(LockError) as caught:
        parse_lock(path.read_bytes().decode())
    assert str(caught.value) + "\n" == path.with_suffix(".error").read_text(encoding="utf-8")


def test_there_are_broken_ones_and_each_has_its_error() -> None:
    assert len(BROKEN) > 30
    assert [path.with_suffix("") for path in BROKEN] == sorted(
        path.with_suffix("") for path in (GOLDEN / "broken").glob("*.error")
    )


# ── any lock ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def hexes(length: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=length // 2, max_size=length // 2).map(bytes.hex)


words = st.text(st.characters(codec="utf-8"), max_size=12)
keys = st.from_regex(r"[A-Za-z0-9_.-]{1,8}", fullmatch=True).filter(is_key)
repos = st.sampled_from(["org/name", "bare", "Org-2/na_me.v1", "a/b"])
finite = st.floats(-1e12, 1e12, allow_nan=False)


def _safe(path: str) -> bool:
    try:
        safe_path(path)
    except UnsafeName:
        return False
    return True


paths = st.one_of(
    st.lists(st.sampled_from(["a", "b", "config.json", "1_Pooling", "x y", "größe", "日本"]), min_size=1, max_size=3)
    .map("/".join),
    words.filter(_safe),
)  # fmt: skip


def _apart(files: list[LockedFile]) -> list[LockedFile]:
    kept: list[LockedFile] = []
    for file in files:
        try:
            distinct_paths([*(other.path for other in kept), file.path])
        except UnsafeName:
            continue
        kept.append(file)
    return kept


locked_files = st.lists(
    st.builds(LockedFile, paths, st.integers(0, 2**63 - 1), hexes(64), st.just("") | hexes(40)), max_size=4
).map(_apart)
overrides = st.builds(
    Overrides, st.none() | st.integers(1, 10**6), st.none() | st.dictionaries(words, words, max_size=2),
    st.none() | st.sampled_from(Pooling), st.none() | st.booleans(), st.none() | st.sampled_from(Similarity),
)  # fmt: skip


@st.composite
def models(draw: st.DrawFn) -> LockedModel:
    key, task = draw(keys), draw(st.sampled_from(Task))
    if task is Task.EXTERNAL:
        return LockedModel(key, task, note=draw(words))
    everything = draw(locked_files)
    cut = draw(st.integers(0, len(everything)))
    end = draw(st.integers(cut, len(everything)))
    files, added = everything[:cut], everything[cut:end]
    built = tuple(replace(f, path=f"hardtack/int8-0/{n}.bin") for n, f in enumerate(everything[end:]))
    local = draw(st.booleans())
    groups: list[LabelGroup] = []
    for name in draw(st.lists(st.sampled_from(["area", "größe", "_x", "a-b"]), unique=True, max_size=2)):
        values = draw(st.lists(words.filter(str.strip), min_size=2, max_size=3, unique=True))
        groups.append(LabelGroup(name, tuple(values), draw(words.filter(lambda t: "{" not in t)) + "{text}"))
    return LockedModel(
        key, task, repo="./some dir" if local else draw(repos), source="local" if local else "hub",
        requested=draw(st.sampled_from(["", "main", "v1", "refs/pr/7"])), commit="" if local else draw(hexes(40)),
        license=draw(words), gated=draw(st.booleans()),
        digest=tree_digest((file.path, file.sha256) for file in files), files=tuple(files), added=tuple(added),
        engine=draw(st.sampled_from(EngineName)), precision=draw(st.sampled_from(Precision)),
        weights=draw(st.sampled_from(WeightsKind)), path=draw(st.just("") | keys.map("/srv/{}".format)),
        overrides=draw(overrides), labels=tuple(groups), gate=draw(st.dictionaries(words, finite, max_size=2)),
        trust_remote_code=draw(st.booleans()), note=draw(words),
        code=tuple(draw(st.lists(st.builds(LockedCode, repos, hexes(40), locked_files.map(tuple)), max_size=2,
                                 unique_by=lambda code: code.folder))),
        builds=(LockedBuild(draw(words), Precision.INT8, draw(words), built),) if built else (),
    )  # fmt: skip


locks = st.builds(
    Lock, words,
    st.lists(models(), max_size=3,
             unique_by=(lambda m: m.key, lambda m: m.folder.casefold().split("/")[-1])).map(tuple),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(locks)
def test_round_trip(lock: Lock) -> None:
    text = render_lock(lock)
    assert parse_lock(text) == lock
    assert render_lock(parse_lock(text)) == text


@settings(max_examples=40, deadline=None)
@given(locks, st.randoms(use_true_random=False))
def test_the_text_does_not_depend_on_the_order_things_came_in(lock: Lock, chance: random.Random) -> None:
    def shuffled(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(chance.sample(items, len(items)))

    other = Lock(
        lock.manifest,
        shuffled(
            tuple(
                replace(
                    m, files=shuffled(m.files), added=shuffled(m.added), code=shuffled(m.code),
                    builds=shuffled(m.builds),
                    gate=dict(shuffled(tuple(m.gate.items()))),
                    overrides=replace(m.overrides, prompts=m.overrides.prompts
                                      and dict(shuffled(tuple(m.overrides.prompts.items())))),
                )
                for m in lock.models
            )
        ),
    )  # fmt: skip
    assert other == lock
    assert render_lock(other) == render_lock(lock)
    assert [m.key for m in other.models] == sorted(m.key for m in other.models)
    assert all([f.path for f in m.files] == sorted(f.path for f in m.files) for m in other.models)


# ── any text ─────────────────────────────────────────────────────────────────────────────────────────────────────────

TEXTS = [path.read_bytes().decode() for path in sorted(GOLDEN.glob("*.lock"))]


def understood(text: str) -> Lock | LockError:
    """What `parse_lock` makes of a text; any other exception than its own passes and fails the test."""
    try:
        return parse_lock(text)
    except LockError as error:
        return error


@settings(max_examples=300, deadline=None)
@given(mutated(TEXTS))
def test_a_damaged_lock_is_a_lock_or_a_lock_error(text: str) -> None:
    got = understood(text)
    if isinstance(got, Lock):
        assert parse_lock(render_lock(got)) == got
    else:
        assert got.what
        assert got.where.startswith("hardtack.lock")
        assert got.mend
        assert len(str(got)) < 3000


@settings(max_examples=100, deadline=None)
@given(st.text() | st.text("[]{}=,.\"'#\n\\ amodel1"))
def test_any_text_is_a_lock_or_a_lock_error(text: str) -> None:
    assert isinstance(understood(text), LockError)  # nothing is without a version
    for start in ("version = 1\n", 'version = 1\nmanifest = ""\n'):
        assert understood(start + text)


@pytest.mark.parametrize("value", NASTY)
def test_nasty_values_in_every_place(value: str) -> None:
    for line in ("version = {}", "manifest = {}", "version = 1\nmanifest = {}", "{}", 'version = 1\nmanifest = "{}"'):
        assert understood(line.replace("{}", value))


def test_errors_of_a_lock_with_windows_line_ends_have_the_right_line() -> None:
    text = render_lock(CASES["a-plain-embedder"])
    assert parse_lock(text.replace("\n", "\r\n")) == CASES["a-plain-embedder"]
    with pytest.raises(LockError) as caught:
        parse_lock(text.replace("size = 612", "size = -1").replace("\n", "\r\n"))
    assert caught.value.where == f"hardtack.lock:{text.split('size = 612')[0].count(chr(10)) + 1}"


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_write_and_read(tmp_path: Path) -> None:
    path = tmp_path / "hardtack.lock"
    for case in ("everything-at-once", "a-plain-embedder"):
        write_lock(CASES[case], path)
        assert read_lock(path) == CASES[case]
        assert read_lock(path).name == str(path)
        assert path.read_bytes() == (GOLDEN / f"{case}.lock").read_bytes()
        assert [found.name for found in tmp_path.iterdir()] == ["hardtack.lock"]


def test_a_written_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"x")
    (tmp_path / "b").write_bytes(b"x")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)


def test_readers_see_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "hardtack.lock"
    cases = [CASES["everything-at-once"], CASES["a-plain-embedder"]]
    write_lock(cases[0], path)
    stop = threading.Event()
    seen: list[Lock] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(read_lock(path))

    def write() -> None:
        for number in range(40):
            write_lock(cases[number % 2], path)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write) for _ in range(2)]
    reader.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stop.set()
    reader.join()
    assert seen
    assert all(lock in cases for lock in seen)
    assert [found.name for found in tmp_path.iterdir()] == ["hardtack.lock"]


def test_what_was_there_is_untouched_by_a_write_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hardtack.lock"
    write_lock(CASES["no-model"], path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError) as caught:
        write_lock(CASES["a-plain-embedder"], path)
    assert caught.value.found == "No space left on device"
    assert [found.name for found in tmp_path.iterdir()] == ["hardtack.lock"]
    assert read_lock(path) == CASES["no-model"]


def test_no_folder_to_write_to(tmp_path: Path) -> None:
    with pytest.raises(DiskError) as caught:
        write_lock(CASES["no-model"], tmp_path / "no such/hardtack.lock")
    assert caught.value.mend == f"ls -ld '{tmp_path}/no such'"


def test_no_lock(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "hardtack.lock", tmp_path / "file/hardtack.lock"):
        with pytest.raises(LockError) as caught:
            read_lock(path)
        assert caught.value.fields() == {
            "kind": "LockError", "what": "there is no lock", "where": str(path), "expected": "hardtack.lock",
            "found": "no such file", "mend": "hardtack lock",
        }  # fmt: skip


def test_a_lock_that_is_a_folder_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(DiskError) as caught:
        read_lock(tmp_path)
    assert caught.value.found == "Is a directory"
    (tmp_path / "hardtack.lock").write_bytes(b"version = 1\n# \xff\n")
    with pytest.raises(LockError) as refused:
        read_lock(tmp_path / "hardtack.lock")
    assert refused.value.found == "0xff at byte 14"


def test_a_lone_carriage_return_is_not_taken_for_a_line_end(tmp_path: Path) -> None:
    (tmp_path / "hardtack.lock").write_bytes(b'version = 1\rmanifest = ""\n')
    with pytest.raises(LockError, match="not valid TOML"):
        read_lock(tmp_path / "hardtack.lock")


def test_the_stack_is_deep_enough_for_nothing_else() -> None:
    deep = "x = " + "[" * (sys.getrecursionlimit() * 2)
    with pytest.raises(LockError, match="nested too deep"):
        parse_lock(deep)
