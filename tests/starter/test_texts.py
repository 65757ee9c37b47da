"""The training texts keep away from the sentences that judge the models."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(HERE.parents[1] / "starter"))
    return importlib.import_module("texts")


def test_the_judges_know_their_own_sentences_and_what_comes_near_them(texts: ModuleType) -> None:
    judges = texts.Judges()
    home = [json.loads(line)["text"] for line in (HERE / "home.jsonl").read_text().splitlines()]
    assert all(judges.know(text) for text in home)
    assert judges.know(home[0].upper().rstrip("."))
    assert judges.know(home[0].rsplit(" ", 1)[0])
    assert not judges.know("Quarterly earnings of the shipping line fell short of what analysts had foreseen.")


def test_every_home_section_yields_sentences_and_none_is_a_judge(texts: ModuleType) -> None:
    made = texts.generated("home", 650, seed=7)
    assert {section for _, section in made} == {
        f"{category} {priority}"
        for category in ("energy", "comfort", "security", "convenience")
        for priority in ("high", "medium", "low")
    }
    judged = {json.loads(line)["text"].lower() for line in (HERE / "home.jsonl").read_text().splitlines()}
    assert not {text.lower() for text, _ in made} & judged
    assert not [text for text, _ in made if set("$|()") & set(text)]
