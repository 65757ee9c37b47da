from __future__ import annotations

import json
from pathlib import Path

import pytest

from hardtack.build.texts import CALIBRATION, GATE, Question, read_texts
from hardtack.errors import ManifestError
from hardtack.runtime import golden

MANY = [f"text number {number}" for number in range(20)]


def test_ours_are_calibrated_on_nothing_that_they_are_measured_on() -> None:
    calibration, gate = read_texts(CALIBRATION), read_texts(GATE)
    assert not set(calibration.mixed) & set(gate.mixed)
    assert not set(calibration.mixed) & {*golden.TEXTS, *golden.QUERIES}
    assert len(calibration.texts) >= 100
    assert len(gate.questions) >= 20  # one query more or less moves top-1 agreement by no more than the gate's 0.05
    assert len(gate.pairs) == sum(len(question.documents) for question in gate.ranked)


def test_a_text_file_has_a_text_a_line(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join([*MANY, "", "  "]))
    texts = read_texts(path)
    assert texts.texts == tuple(MANY)
    assert texts.questions == ()
    # where nothing says what is a query, the first of eleven texts is one
    assert [len(question.documents) for question in texts.ranked] == [10, 8]
    assert texts.ranked[0].query == MANY[0]


def test_rows_of_jsonl_may_be_texts_pairs_or_questions(tmp_path: Path) -> None:
    rows = ["plain", {"text": "in a row"}, {"query": "q", "document": "one"}, {"query": "q", "document": "two"},
            {"query": "r", "documents": ["three", "four"]}, *MANY]  # fmt: skip
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    texts = read_texts(path)
    assert texts.texts[:2] == ("plain", "in a row")
    assert texts.questions == (Question("q", ("one", "two")), Question("r", ("three", "four")))
    # each question is asked with the next one's documents besides, which fit it less
    assert texts.ranked[0].documents == ("one", "two", "three", "four")
    assert texts.mixed[-1] == "three four"
    assert ("r", "three") in texts.pairs


def test_the_digest_is_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(MANY))
    first = read_texts(path).digest
    path.write_text("\n".join(MANY) + "\n")
    assert read_texts(path).digest != first
    assert first.startswith("sha256:")


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("t.jsonl", b"{]\n", "line 1"),
        ("t.jsonl", b'{"txt": "typo"}\n', "line 1"),
        ("t.jsonl", b'{"query": "q", "documents": []}\n', "line 1"),
        ("t.txt", b"one\ntwo\n", "2"),
        ("t.txt", b"\xff\xfe\n", "can't decode"),
        ("absent.txt", None, "no such file"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, name: str, content: bytes | None, found: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ManifestError) as refused:
        read_texts(path, key="gate-texts")
    assert found in refused.value.found
    assert refused.value.where == str(path)
    assert "gate-texts" in refused.value.what
