from __future__ import annotations

import pytest

from tests.serve.serving import Serving

TEXT = "light turns on"


@pytest.mark.parametrize("model", ["emb", "rerank"])
def test_tei_tokenize_knows_no_prompt_that_the_model_does_not(served: Serving, model: str) -> None:
    said = served.post(f"/models/{model}/tokenize", {"inputs": "light", "prompt_name": "query"})
    assert (said.status, said.json["error_type"]) == (422, "Validation")


def test_tei_tokenize_and_decode(served: Serving) -> None:
    pieces = served.post("/tokenize", {"inputs": TEXT, "model": "emb"}).json[0]
    assert [piece["special"] for piece in pieces] == [True, *[False] * 3, True]
    assert TEXT[pieces[1]["start"] : pieces[1]["stop"]] == "light"
    ids = [piece["id"] for piece in pieces]
    assert served.post("/decode", {"ids": ids, "model": "emb"}).json == [TEXT]
    bare = served.post("/tokenize", {"inputs": TEXT, "add_special_tokens": False, "model": "emb"}).json[0]
    assert bare == pieces[1:-1]


def test_tei_tokenize_cuts_nothing(served: Serving) -> None:
    pieces = served.post("/tokenize", {"inputs": "light " * 300, "model": "emb"}).json[0]
    assert len(pieces) == 302
    assert [piece["special"] for piece in pieces].count(True) == 2
    assert pieces[-2]["stop"] == 6 * 300 - 1


def test_tei_info(served: Serving) -> None:
    said = served.get("/info?model=emb").json
    assert said["model_id"] == "tiny/bert"
    assert said["model_type"] == {"embedding": {"pooling": "mean"}}
    assert {each["key"]: each["loaded"] for each in said["models"]}["rerank"] is True
