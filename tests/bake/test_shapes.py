"""The shapes of a pantry: slim, as a cache, in the root of an image; and the golden answers that a project keeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest

from hardtack.bake.answers import ANSWERS_NAME
from hardtack.bake.stock import Arrangement, Shape
from hardtack.errors import Misused, NotProven, UnknownModel
from hardtack.offline.prove import check_pantry
from hardtack.spec.lock import LOCK_NAME
from hardtack.spec.lock_text import read_lock, write_lock
from hardtack.spec.verify import Kind
from tests.hub import lay_out
from tests.voyage import Voyage

HUB = Shape(arrangement=Arrangement.HUB)
ROOT = Shape(whole_image=True)


@pytest.fixture
def voyage(tmp_path: Path) -> Iterator[Voyage]:
    with Voyage(tmp_path) as voyage:
        # what other libraries read, and hardtack does not; and the terms
        lay_out(voyage.folder / "static", {"vocab.txt": "a\n", "special_tokens_map.json": "{}", "LICENSE": "terms"})
        yield voyage


def pulled(voyage: Voyage, **paths: str) -> Voyage:
    text = voyage.manifest.read_text()
    for repo, path in paths.items():
        text = text.replace(f'repo = "tiny/{repo}"', f'repo = "tiny/{repo}"\npath = "{path}"')
    voyage.manifest.write_text(text)
    voyage.project.lock()
    voyage.project.pull()
    return voyage


def ask(voyage: Voyage, code: str, **env: str) -> str:
    """What a process says that finds its models by itself, far from the project."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=voyage.root, env=voyage.environment(**env),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_slim_keeps_what_is_read_and_the_terms(voyage: Voyage) -> None:
    whole = pulled(voyage).project.bake(voyage.pantry)
    slim = voyage.project.bake(voyage.root / "slim", Shape(slim=True))
    static = voyage.root / "slim/static"
    assert (voyage.pantry / "static/special_tokens_map.json").exists()
    assert not (static / "special_tokens_map.json").exists()
    assert (static / "LICENSE").read_text() == "terms"
    assert check_pantry(voyage.root / "slim").good
    assert slim.lock == read_lock(voyage.root / "slim" / LOCK_NAME)
    assert slim.lock.find("static").digest != whole.lock.find("static").digest
    assert slim.lock.find("emb").commit == whole.lock.find("emb").commit
    answers = "static/hardtack/golden.json"
    assert (voyage.root / "slim" / answers).read_bytes() == (voyage.pantry / answers).read_bytes()


def test_slim_keeps_no_file_that_is_not_opened(voyage: Voyage) -> None:
    pulled(voyage).project.bake(voyage.root / "slim", Shape(slim=True))
    code = (
        "import sys; seen = set()\n"
        "sys.addaudithook(lambda name, args: name == 'open' and seen.add(str(args[0])))\n"
        "import os; os.environ['HARDTACK_VERIFY'] = 'stat'\n"  # so that nothing is opened to be hashed
        "from hardtack import load_embedder, load_reranker, load_classifier\n"
        "load_embedder('emb'); load_embedder('static'); load_reranker(); load_classifier()\n"
        "print(chr(10).join(sorted(seen)))"
    )
    opened = set(ask(voyage, code, HARDTACK_PANTRY=str(voyage.root / "slim")).splitlines())
    files = {str(path) for path in (voyage.root / "slim").rglob("*") if path.is_file()}
    unread = {Path(path).name for path in files - opened}
    assert unread <= {"LICENSE", "golden.json"}


def test_a_cache_is_found_by_name_without_links_and_is_a_pantry(
    voyage: Voyage, monkeypatch: pytest.MonkeyPatch
) -> None:
    baked = pulled(voyage).project.bake(voyage.pantry, HUB)
    assert check_pantry(voyage.pantry).good
    assert not any(path.is_symlink() for path in voyage.pantry.rglob("*"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    folder = huggingface_hub.snapshot_download("tiny/bert", cache_dir=voyage.pantry)
    emb = baked.lock.find("emb")
    assert Path(folder) == voyage.pantry / "models--tiny--bert/snapshots" / emb.commit
    file = huggingface_hub.hf_hub_download("tiny/bert", "config.json", cache_dir=voyage.pantry)
    assert json.loads(Path(file).read_bytes())["model_type"] == "bert"
    absent = huggingface_hub.try_to_load_from_cache("tiny/bert", "adapter_config.json", cache_dir=voyage.pantry)
    assert absent is huggingface_hub.file_download._CACHED_NO_EXIST
    info = huggingface_hub.scan_cache_dir(voyage.pantry)
    assert {repo.repo_id for repo in info.repos} == {"tiny/bert", "tiny/ranker", "tiny/t5"}
    code = "from hardtack import load_embedder as e; print(*(e(key).identity.directory for key in ('emb', 'static')))"
    said = ask(voyage, code, HARDTACK_PANTRY=str(voyage.pantry))
    assert said == f"{folder} {voyage.pantry / 'static'}"
    (voyage.pantry / "models--tiny--bert/refs/main").unlink()
    (voyage.pantry / "models--tiny--bert/refs/other").write_text("0" * 40)
    assert {finding.kind for finding in check_pantry(voyage.pantry).findings} == {Kind.MISSING, Kind.EXTRA}


def test_one_repository_twice_is_refused_as_a_cache(voyage: Voyage) -> None:
    lock = pulled(voyage).project.current()
    write_lock(lock.with_model(replace(lock.find("emb"), key="twin")), voyage.folder / LOCK_NAME)
    voyage.manifest.unlink()
    with pytest.raises(Misused) as refused:
        voyage.project.bake(voyage.pantry, HUB)
    assert refused.value.mend == "hardtack bake --layout pantry"


def test_paths_below_the_usual_place_make_a_usual_pantry(voyage: Voyage) -> None:
    pulled(voyage, bert="/models/emb2").project.bake(voyage.pantry)
    assert (voyage.pantry / "emb2/config.json").is_file()  # where /models/emb2 will be
    baked = voyage.project.bake(voyage.root / "image", ROOT)
    assert baked.directory == voyage.root / "image/models"
    assert (voyage.root / "image/models/emb2/config.json").is_file()
    assert check_pantry(baked.directory).good


def test_paths_elsewhere_are_laid_below_the_root_beside_what_is_there(voyage: Voyage) -> None:
    root = voyage.root / "image"
    lay_out(root, {"app/main.py": "print()", "etc/os-release": "ID"})
    baked = pulled(voyage, bert="/app/models/sarashina").project.bake(root, ROOT)
    again = voyage.project.bake(root, ROOT)  # over its own
    assert baked.directory == root
    assert baked.digest == again.digest
    assert (root / "app/models/sarashina/config.json").is_file()
    assert (root / "models/rerank/config.json").is_file()
    assert (root / "app/main.py").read_text() == "print()"
    assert check_pantry(root).good
    code = "from hardtack import load_embedder; print(load_embedder('emb').identity.directory)"
    said = ask(voyage, code, HARDTACK_PANTRY=str(root))
    assert said == str(root / "app/models/sarashina")
    assert [path.name for path in root.iterdir() if path.name.startswith(".")] == []
    lay_out(root, {"models/rerank/backdoor.py": "import os"})
    assert [(f.kind, f.path) for f in check_pantry(root).findings] == [(Kind.EXTRA, "models/rerank/backdoor.py")]


def test_what_others_put_into_a_root_is_never_replaced(voyage: Voyage) -> None:
    root = voyage.root / "image"
    lay_out(root, {"app/models/sarashina/mine": "mine"})
    with pytest.raises(Misused) as refused:
        pulled(voyage, bert="/app/models/sarashina").project.bake(root, ROOT)
    assert str(root / "app/models/sarashina") in refused.value.where
    assert [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()] == ["app/models/sarashina/mine"]


def test_a_move_that_fails_is_undone(voyage: Voyage, monkeypatch: pytest.MonkeyPatch) -> None:
    root = voyage.root / "image"
    before = pulled(voyage, bert="/app/emb").project.bake(root, ROOT)
    real = Path.rename
    failed: list[Path] = []

    def rename(self: Path, target: Path) -> Path:
        if target == root / "models/rerank" and not failed:
            failed.append(target)
            raise PermissionError(13, "Permission denied", str(target))
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(Exception, match="could not be baked"):
        voyage.project.bake(root, Shape(whole_image=True, slim=True))
    assert check_pantry(root).good
    assert read_lock(root / LOCK_NAME) == before.lock


def test_links_are_made_when_asked_and_never_to_a_local_model(voyage: Voyage) -> None:
    pulled(voyage).project.bake(voyage.pantry, link=True)
    project = voyage.project
    source = project.source(project.current().find("emb")) / "model.safetensors"
    assert (voyage.pantry / "emb/model.safetensors").samefile(source)
    assert not (voyage.pantry / "static/model.safetensors").samefile(voyage.folder / "static/model.safetensors")
    project.bake(voyage.pantry)
    assert not (voyage.pantry / "emb/model.safetensors").samefile(source)
    assert check_pantry(voyage.pantry).good


def test_kept_answers_are_what_is_baked_on_another_machine(voyage: Voyage) -> None:
    first = pulled(voyage).project.bake(voyage.pantry)
    kept = voyage.folder / ANSWERS_NAME
    before = kept.read_text()
    # as a CPU of another kind would have said it: one digit, the last
    rows = {name: json.loads(text) for name, text in json.loads(before).items()}
    name = next(name for name, row in rows.items() if row["task"] == "embed")
    rows[name]["answers"][0][0] += 1e-6
    other = {n: json.dumps(r, ensure_ascii=False, separators=(",", ":")) + "\n" for n, r in rows.items()}
    kept.write_text(json.dumps(other))
    second = voyage.project.bake(voyage.pantry)
    assert second.digest != first.digest  # the kept ones are carried, not those of this machine
    assert second.digest == voyage.project.bake(voyage.root / "third").digest
    rows[name]["answers"][0] = [-value for value in rows[name]["answers"][0]]
    kept.write_text(json.dumps({n: json.dumps(r) for n, r in rows.items()}))
    with pytest.raises(NotProven):
        voyage.project.bake(voyage.pantry)
    kept.write_text("no answers")
    assert voyage.project.bake(voyage.pantry).digest == first.digest
    assert kept.read_text() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_project_that_cannot_be_written_is_baked_all_the_same(voyage: Voyage) -> None:
    pulled(voyage)
    voyage.folder.chmod(0o555)
    try:
        voyage.project.bake(voyage.pantry)
    finally:
        voyage.folder.chmod(0o755)
    assert not (voyage.folder / ANSWERS_NAME).exists()


def test_just_the_models_that_are_named_are_baked_and_answers_of_others_stay(voyage: Voyage) -> None:
    pulled(voyage).project.bake(voyage.pantry)
    kept = (voyage.folder / ANSWERS_NAME).read_text()
    some = voyage.project.bake(voyage.root / "some", select=["emb", "ranker"])
    assert [model.key for model in some.lock.models if model.task.pulls] == ["emb", "rerank"]
    assert check_pantry(voyage.root / "some").good
    assert (voyage.folder / ANSWERS_NAME).read_text() == kept
    with pytest.raises(UnknownModel):
        voyage.project.bake(voyage.root / "none", select=["emb", "nobody"])
    assert not (voyage.root / "none").exists()
