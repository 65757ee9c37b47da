from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hardtack.runtime.embedder import Embedder
from hardtack.runtime.tokens import Tokenized
from hardtack.serve.demands import dimensions_of, named_prompt, prompt_of, refuse_more, tokenized
from hardtack.serve.refusals import Kind, Refusal
from tests.runtime.fakes import NumpyEngine, a_layout, an_identity, mean_of_rows, the_tokens


def embedder(**given: Any) -> Embedder:
    layout = a_layout(**given)
    return Embedder(an_identity(), layout, NumpyEngine(8, mean_of_rows(8)), the_tokens(layout))


def test_prompts_by_name_and_by_default() -> None:
    model = embedder(prompts={"query": "red ", "passage": "blue "}, default_prompt="passage")
    assert prompt_of(model, None) == "blue "
    assert prompt_of(model, "query") == named_prompt(model, "query") == "red "
    assert prompt_of(embedder(), None) == ""
    with pytest.raises(Refusal, match="passage, query") as raised:
        prompt_of(model, "document")
    assert (raised.value.kind, raised.value.param) == (Kind.INVALID, "prompt_name")


@pytest.mark.parametrize("config", [{"matryoshka_dimensions": [4, 2]}, {"is_matryoshka": True}])
def test_dimensions_of_a_model_that_may_be_cut(config: dict[str, object]) -> None:
    model = embedder(config={"vocab_size": 20, **config})
    assert [dimensions_of(model, wanted) for wanted in (None, 8, 4)] == [8, 8, 4]
    with pytest.raises(Refusal) as raised:
        dimensions_of(model, 9)
    assert raised.value.param == "dimensions"


def test_dimensions_of_one_that_may_not() -> None:
    with pytest.raises(Refusal, match="it allows: 8"):
        dimensions_of(embedder(), 4)


@pytest.mark.parametrize("ids", [[], [20], list(range(17))])
def test_token_ids_that_the_model_does_not_have(ids: list[int]) -> None:
    with pytest.raises(Refusal, match="input 1"):
        tokenized(embedder(), [[4], ids])
    assert [list(each.ids) for each in tokenized(embedder(), [[4], [19, 2]])] == [[4], [19, 2]]


def test_more_tokens_than_may_be() -> None:
    text = Tokenized(np.ones(5, np.int64), np.zeros(5, np.int64))
    refuse_more([text, text], 10)
    with pytest.raises(Refusal) as raised:
        refuse_more([text, text], 9)
    assert raised.value.kind is Kind.TOO_LARGE
