"""The scaffolds, word for word: golden files by the name of their case.

``python -m tests.bake.test_scaffold`` writes them anew; what changed is then for a person to read.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hardtack.bake.oci_base import digest_of
from hardtack.bake.reference import Reference
from hardtack.bake.registry import Registry
from hardtack.bake.scaffold import TEMPLATES, Kind, Memory, Plan, estimated_memory, fill, put, rounded, scaffold
from hardtack.cli.scaffold import needed_memory, pin
from hardtack.errors import Misused
from hardtack.spec.lock import Lock, LockedBuild, LockedFile, LockedModel
from hardtack.spec.words import EngineName, Precision, Task
from tests.bake.registry import FakeRegistry
from tests.voyage import Voyage

GOLDEN = Path(__file__).with_name("golden")
BASE = f"python:3.12-slim@sha256:{'ab' * 32}"


def model(key: str, task: Task, **more: object) -> LockedModel:
    found = LockedModel(key, task, f"org/{key}", commit="1" * 40, files=(LockedFile("w", 90 << 20, "0" * 64),))
    return replace(found, **more)  # type: ignore[arg-type]


EMB, RERANK = model("emb", Task.EMBED), model("rerank", Task.RERANK)
TILES = LockedBuild("tiles/1", Precision.BF16, "", (LockedFile("hardtack/bf16-0/weights.tiles", 45 << 20, "0" * 64),))
CASES = {
    "one-of-each-task": (EMB, RERANK, model("classify", Task.CLASSIFY), LockedModel("llm", Task.EXTERNAL, note="x")),
    "paths-outside-of-models": (model("ocr", Task.FILES, path="/app/models/ocr"), EMB),
    "int8-and-a-local-model": (
        replace(RERANK, precision=Precision.INT8), model("own", Task.EMBED, repo="./own", source="local", commit=""),
    ),
    "native-alone": (
        replace(EMB, engine=EngineName.NATIVE, builds=(TILES,)), model("ocr", Task.FILES, path="/models/ocr"),
    ),
}  # fmt: skip


def files_of(case: str) -> dict[str, str]:
    """Docker's and the workflow of every case; the others', where nothing but names differs, of the first."""
    plan = Plan(Lock("", CASES[case]), Memory(512, "measured: 400 MiB"), base=BASE, image="models:1")
    kinds = list(Kind) if case == next(iter(CASES)) else [Kind.DOCKER, Kind.CI]
    return {path: text for kind in kinds for path, text in scaffold(kind, plan).items()}


@pytest.mark.parametrize("case", CASES)
def test_scaffolds_are_these_words(case: str) -> None:
    folder = GOLDEN / case
    # a dot at the front or a test's name would make tools take them for their own
    known = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert known == {f"{path.removeprefix('.')}.txt": text for path, text in files_of(case).items()}


def test_every_template_is_written_and_every_kind_has_some() -> None:
    room = Path(__file__).parents[2] / "src/hardtack/bake/templates"
    files = (path for path in room.rglob("*") if path.is_file() and path.suffix != ".pyc")
    there = {path.relative_to(room).as_posix() for path in files}
    assert there == {f"{kind.value}/{name}" for kind in Kind for name in TEMPLATES[kind]}


@pytest.mark.parametrize("case", CASES)
def test_no_heredoc_and_no_syntax_line(case: str) -> None:
    for path, text in files_of(case).items():
        assert "<<" not in text, path
        assert "# syntax" not in text, path
        if "Dockerfile" in path:
            assert f"ARG BASE={BASE}\n" in text


@pytest.mark.parametrize(
    ("models", "lean", "proof", "extras"),
    [
        ((replace(EMB, engine=EngineName.NATIVE, builds=(TILES,)), RERANK), False, "verify", False),
        ((replace(EMB, engine=EngineName.NATIVE),), False, "verify", False),  # it packs what the pantry has
        ((replace(EMB, builds=(TILES,)),), False, "prove", False),  # elsewhere openvino runs it
        ((replace(EMB, builds=(replace(TILES, recipe="static/1", files=()),)),), False, "prove", True),
        ((replace(EMB, engine=EngineName.NATIVE, builds=(TILES,)),), True, "verify", False),
        ((model("ocr", Task.FILES),), False, "prove", False),
    ],
)
def test_openvino_stays_behind_only_where_nothing_is_left_to_it(
    models: tuple[LockedModel, ...], lean: bool, proof: str, extras: bool
) -> None:
    text = scaffold(Kind.DOCKER, Plan(Lock("", models), Memory(64, "")))["Dockerfile"]
    assert ("uninstall --yes openvino" in text) is lean
    assert f"COPY --from={'lean' if lean else 'env'} /opt/hardtack /opt/hardtack\nENV" in text
    assert f"RUN hardtack {proof} /image/models\n" in text
    assert ("hardtack[int8]" in text) is extras
    assert ("hardtack build" in text) is any(model.builds for model in models)


def test_a_line_of_a_name_alone_goes_with_it() -> None:
    assert fill("a\n@x@\n@y@ b\nrun@x@\n", {"x": "", "y": "1"}) == "a\n1 b\nrun\n"
    with pytest.raises(KeyError):
        fill("@nobody@ b", {})


def test_files_that_were_changed_are_never_written_over(tmp_path: Path) -> None:
    written = {"a": "1\n", "deep/b.sh": "#!/bin/sh\n"}
    assert put(written, tmp_path) == ("a", "deep/b.sh")
    assert (tmp_path / "deep/b.sh").stat().st_mode & 0o777 == 0o755
    assert put(written, tmp_path) == ()
    (tmp_path / "a").write_text("mine")
    (tmp_path / "deep/b.sh").unlink()
    with pytest.raises(Misused) as refused:
        put(written, tmp_path)
    assert refused.value.where == str(tmp_path / "a")
    assert not (tmp_path / "deep/b.sh").exists()
    assert put(written, tmp_path, force=True) == ("a", "deep/b.sh")


def test_a_local_model_outside_of_the_project_is_refused() -> None:
    with pytest.raises(Misused):
        scaffold(Kind.DOCKER, Plan(Lock("", (replace(EMB, repo="../emb", source="local"),)), Memory(64, "")))


def test_a_tag_becomes_a_digest_where_the_registry_answers() -> None:
    said: list[str] = []
    with FakeRegistry() as registry:
        name = f"{registry.host}/python:3"
        registry.manifests["python", "3"] = b"{}"
        assert pin(name, said.append) == f"{name}@{digest_of(b'{}')}"
        assert pin(f"{name}@{digest_of(b'')}", said.append) == f"{name}@{digest_of(b'')}"
        assert said == []
        assert pin(f"{registry.host}/nobody:3", said.append) == f"{registry.host}/nobody:3"

    def quick(reference: Reference) -> Registry:
        return Registry(reference, timeout=1, pause=lambda _: None)

    assert pin(name, said.append, quick) == name
    assert len(said) == 2


def test_memory_is_measured_where_there_is_a_pantry(tmp_path: Path) -> None:
    said: list[str] = []
    lock = Lock("", (EMB,))
    assert needed_memory(lock, tmp_path, 300, said.append) == Memory(300, "as you said: hardtack scaffold --memory")
    assert needed_memory(lock, tmp_path, None, said.append) == estimated_memory(lock)
    assert estimated_memory(lock).mebibytes == rounded(150 + 225) == 384
    assert len(said) == 1
    with Voyage(tmp_path) as voyage:
        found = needed_memory(lock, voyage.baked(), None, said.append)
    assert found.why.startswith("measured: ")
    assert 64 <= found.mebibytes <= 4096
    assert found.mebibytes % 64 == 0


def _write() -> None:
    shutil.rmtree(GOLDEN, ignore_errors=True)
    for case in CASES:
        for path, text in files_of(case).items():
            target = GOLDEN / case / f"{path.removeprefix('.')}.txt"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)


if __name__ == "__main__":
    _write()
