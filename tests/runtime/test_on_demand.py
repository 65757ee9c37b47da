"""A vocabulary loaded in part cuts every text as the whole one does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from hardtack.runtime import on_demand as module
from hardtack.runtime.layout import Tokenizing
from hardtack.runtime.on_demand import OnDemand, on_demand
from hardtack.runtime.tokens import Tokens

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
SYLLABLES = (
    "la",
    "li",
    "ght",
    "tur",
    "ns",
    "on",
    "mor",
    "ning",
    "ki",
    "tch",
    "en",
    "é",
    "日",
    "本",
    "ß",
    "a",
    "t",
    "s",
)
TEXTS = [
    "light turns on",
    "morning kitchen",
    "",
    "   ",
    "日本 light ß",
    "zzz unknown 🚀🚀 zz",
    "a" * 40,
    "lightlightturns",
]


def parts_of() -> dict[str, Any]:
    """XLM-R's shape: specials in front, ``<mask>`` at the end, pieces that overlap, a score for each."""
    rng = np.random.default_rng(0)
    pieces = [f"{mark}{first}{second}" for mark in ("▁", "") for first in SYLLABLES for second in ("", *SYLLABLES)]
    pieces = ["▁", *dict.fromkeys(pieces)]
    vocabulary = [[piece, 0.0] for piece in SPECIAL]
    vocabulary += [[piece, -float(score)] for piece, score in zip(pieces, rng.uniform(3, 12, len(pieces)), strict=True)]
    vocabulary.append(["<mask>", 0.0])
    added = [(0, "<s>"), (1, "<pad>"), (2, "</s>"), (3, "<unk>"), (len(vocabulary) - 1, "<mask>")]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    space = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": {"type": "NFKC"},
        "added_tokens": [{"id": number, "content": text, **flags} for number, text in added],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, space]},
        "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True,
                           "add_prefix_space": True},
        "decoder": space,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocabulary, "byte_fallback": False},
    }  # fmt: skip


DATA = json.dumps(parts_of()).encode()
WHOLE = Tokenizer.from_buffer(DATA)
TOKENIZING = Tokenizing("tokenizer.json", 16, pad_id=1)


@pytest.fixture(autouse=True)
def _of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGE", 0)


def partly(data: bytes = DATA) -> OnDemand:
    made = on_demand(data, lambda _: None)
    assert made is not None
    return made


def ids_of(vocabulary: OnDemand, texts: list[str]) -> list[list[int]]:
    tokenizer, stands_for = vocabulary.for_texts(texts)
    rows = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts)]
    return rows if stands_for is None else [stands_for[row].tolist() for row in rows]


def test_known_texts() -> None:
    vocabulary = partly()
    expected = [encoding.ids for encoding in WHOLE.encode_batch(TEXTS)]
    assert ids_of(vocabulary, TEXTS) == expected
    assert [ids_of(vocabulary, [text])[0] for text in TEXTS] == expected
    assert vocabulary.for_texts(TEXTS)[1] is not None
    assert vocabulary.for_texts(TEXTS)[0].get_vocab_size() < WHOLE.get_vocab_size() / 2


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.sampled_from("".join(SYLLABLES) + " ▁xé🚀\n")), max_size=4))
def test_any_text(texts: list[str]) -> None:
    assert ids_of(partly_once, texts) == [encoding.ids for encoding in WHOLE.encode_batch(texts)]


partly_once = OnDemand(DATA, parts_of(), lambda _: None)
"""Grows from example to example."""


@pytest.mark.parametrize("text", ["light <mask> turns", "a</s>b", "<s>"])
def test_a_special_token_in_a_text(text: str) -> None:
    assert ids_of(partly(), [text]) == [WHOLE.encode(text).ids]


def test_enough_new_words_load_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENOUGH", 12)
    vocabulary = partly()
    assert vocabulary.for_texts(["light"])[1] is not None
    assert vocabulary.for_texts(["light light light"])[1] is not None  # no new word
    before = vocabulary.complete
    assert vocabulary.for_texts(["morning kitchen"])[1] is None
    assert (before, vocabulary.complete) == (False, True)
    assert vocabulary.for_texts(["light"])[1] is None
    assert ids_of(vocabulary, TEXTS) == [encoding.ids for encoding in WHOLE.encode_batch(TEXTS)]
    assert vocabulary.whole().get_vocab_size() == WHOLE.get_vocab_size()


def test_tokens_cut_and_pair_as_with_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    in_part = Tokens(DATA, TOKENIZING, vocabulary=None, where="tokenizer.json")
    monkeypatch.setattr(module, "_LARGE", len(DATA) + 1)
    whole = Tokens(DATA, TOKENIZING, vocabulary=None, where="tokenizer.json")
    assert in_part._partly
    assert whole._partly is None
    pairs = [("light turns on", "morning " * 20), ("", "a"), ("日本", "kitchen")]
    for one, other in ((in_part.texts(TEXTS), whole.texts(TEXTS)), (in_part.pairs(pairs), whole.pairs(pairs))):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine.ids, theirs.ids)
            np.testing.assert_array_equal(mine.types, theirs.types)
    assert in_part.special_count(pair=True) == whole.special_count(pair=True) == 4
    assert in_part.prompt_length("light") == whole.prompt_length("light")


def test_several_threads_at_once() -> None:
    vocabulary = partly()
    texts = [f"{first}{second} {second}" for first in SYLLABLES for second in SYLLABLES]
    expected = [encoding.ids for encoding in WHOLE.encode_batch(texts)]
    answers: list[list[list[int]]] = [[] for _ in range(4)]

    def work(number: int) -> None:
        for text in texts[number::4]:
            answers[number] += ids_of(vocabulary, [text])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        assert answers[number] == expected[number::4]


def without_mask(parts: dict[str, Any]) -> None:
    parts["model"]["vocab"].pop()


WHOLE_ONLY: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another model": lambda parts: parts["model"].update(type="WordPiece"),
    "bytes for unknown characters": lambda parts: parts["model"].update(byte_fallback=True),
    "no unknown piece": lambda parts: parts["model"].update(unk_id=None),
    "no words": lambda parts: parts.update(pre_tokenizer=None),
    "an added token that is no piece": without_mask,
    "a post-processor that is not known": lambda parts: parts.update(
        post_processor={"type": "Sequence", "processors": [parts["post_processor"]]}
    ),
    "special tokens far behind": lambda parts: parts["post_processor"].update(sep=["</s>", 5000]),
}


@pytest.mark.parametrize("name", WHOLE_ONLY)
def test_what_is_left_to_the_whole_one(name: str) -> None:
    parts = parts_of()
    WHOLE_ONLY[name](parts)
    assert on_demand(json.dumps(parts).encode(), lambda _: None) is None


def test_what_is_no_tokenizer_is_left_to_the_error_of_the_whole_one() -> None:
    assert on_demand(b'{"Unigram"', lambda _: None) is None
    assert on_demand(b'["Unigram"]', lambda _: None) is None


@pytest.mark.real
def test_flan_t5s_own_vocabulary_on_cranfield(real_dir: Path) -> None:
    data = (real_dir / "models/trained--t5-clinc-domains/tokenizer.json").read_bytes()
    parts = json.loads(data)
    # its extra tokens are no pieces of the model: without them it is of the kind that can be loaded in part
    pieces = {row[0] for row in parts["model"]["vocab"]}
    parts["added_tokens"] = [token for token in parts["added_tokens"] if token["content"] in pieces]
    data = json.dumps(parts).encode()
    with (real_dir / "eval/cranfield/corpus.jsonl").open() as lines:
        texts = [json.loads(line)["text"] for line in lines][:400]
    vocabulary, whole = partly(data), Tokenizer.from_buffer(data)
    expected = [encoding.ids for encoding in whole.encode_batch(texts)]
    assert [ids_of(vocabulary, [text])[0] for text in texts[:20]] == expected[:20]
    assert ids_of(vocabulary, texts) == expected
