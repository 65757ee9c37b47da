from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub.utils._validators import validate_repo_id
from safetensors import safe_open

from hardtack.spec.words import Task
from hardtack.starter import STARTERS, Starter

HERE = Path(__file__).parent
LIMIT = 3_000_000  # bytes of one model, tokenizer included
COMMON = {"README.md", "config.json", "model.safetensors", "tokenizer.json"}
_NO_CONTENT = """a an the of to for in on at by is are was be my me your you i it its and or if not no will how what who
where when with without way do did does from there all too up down off out that this as into he she"""
STOP = frozenset(_NO_CONTENT.split())

every = pytest.mark.parametrize("starter", STARTERS, ids=lambda s: s.key)


def content_words(text: str) -> set[str]:
    stems = (re.sub(r"(ing|ed|es|s|e)$", "", w) for w in re.findall(r"[a-z]+", text.lower()) if w not in STOP)
    return set(stems)


def test_one_starter_for_each_task_that_loads() -> None:
    assert [s.task for s in STARTERS] == [t for t in Task if t.loads]


@every
def test_the_directory_is_a_whole_model_and_small(starter: Starter) -> None:
    files = [f for f in starter.directory.rglob("*") if f.is_file()]
    assert {f.name for f in files} >= COMMON
    assert sum(f.stat().st_size for f in files) <= LIMIT


@every
def test_the_weights_are_half_precision_and_finite(starter: Starter) -> None:
    with safe_open(starter.directory / "model.safetensors", "np") as weights:
        for name in weights.keys():  # noqa: SIM118 (not a mapping)
            tensor = weights.get_tensor(name)
            assert tensor.dtype == "float16", name
            assert abs(tensor).max() < float("inf"), name


@every
def test_the_bytes_are_those_that_the_sums_name(starter: Starter) -> None:
    prefix = starter.directory.name + "/"
    lines = [line.split("  ", 1) for line in (HERE / "sums.txt").read_text().splitlines()]
    expected = {path.removeprefix(prefix): digest for digest, path in lines if path.startswith(prefix)}
    found = {
        f.relative_to(starter.directory).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in starter.directory.rglob("*")
        if f.is_file()
    }
    assert found == expected


@every
def test_the_card_names_licence_and_sources(starter: Starter) -> None:
    card = (starter.directory / "README.md").read_text()
    front = card.split("---")[1]
    assert "license: apache-2.0" in front
    for said in ("all-MiniLM-L6-v2", "WordNet", "CC BY 4.0", "Not for"):
        assert said in card, said


@every
def test_clients_take_the_repository_id_and_nobody_can_register_it(starter: Starter) -> None:
    validate_repo_id(starter.repo)
    namespace = starter.repo.split("/")[0]
    assert not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", namespace)  # the Hub's rule for a new name


def test_a_prompt_names_only_the_text_and_earlier_groups() -> None:
    for starter in STARTERS:
        known = {"text"}
        for group in starter.labels:
            assert set(re.findall(r"{(\w+)}", group.prompt)) <= known
            known.add(group.name)


def test_importing_it_imports_nothing_heavy() -> None:
    code = "import sys, hardtack.starter; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"numpy", "torch", "transformers", "openvino", "tokenizers", "huggingface_hub"}


def test_the_rerank_cases_are_well_formed_and_half_of_them_share_no_word() -> None:
    cases = [json.loads(line) for line in (HERE / "rerank.jsonl").read_text().splitlines()]
    assert len(cases) >= 60
    assert all(len(set(c["documents"])) == 5 and 0 <= c["right"] < 5 for c in cases)
    apart = [c for c in cases if not content_words(c["query"]) & content_words(c["documents"][c["right"]])]
    assert len(apart) >= len(cases) / 2


def test_the_home_sentences_are_well_formed() -> None:
    rows = [json.loads(line) for line in (HERE / "home.jsonl").read_text().splitlines()]
    assert len({r["text"] for r in rows}) >= 150
    category, priority = next(s.labels for s in STARTERS if s.task is Task.CLASSIFY)
    assert {r["category"] for r in rows} == set(category.values)
    assert {r["priority"] for r in rows} == set(priority.values)
