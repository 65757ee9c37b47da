from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardtack.errors import Misused, UnsupportedModel
from hardtack.runtime.layout import Tokenizing
from hardtack.runtime.tokens import Tokens
from tests.runtime.fakes import VOCABULARY, bert_tokenizer, t5_tokenizer

SIXTEEN = Tokenizing("tokenizer.json", 16, pad_id=0)


def tokens(tokenizing: Tokenizing = SIXTEEN, data: bytes | None = None, vocabulary: int | None = None) -> Tokens:
    return Tokens(data or bert_tokenizer(cut=4), tokenizing, vocabulary=vocabulary, where="tokenizer.json")


def test_the_layouts_length_holds_and_not_the_files() -> None:
    (text,) = tokens().texts(["a b c d e a b c d e"])
    assert len(text) == 12  # the file would have cut at 4, and padded
    (cut,) = tokens().texts(["a " * 100])
    assert len(cut) == 16
    assert cut.ids[0] == 2
    assert cut.ids[-1] == 3


def test_a_short_text_or_pair_is_brief() -> None:
    made = tokens()
    assert made.is_brief("a " * 250)
    assert not made.is_brief("a " * 251)
    assert made.is_brief(("a " * 125, "b " * 125))
    assert not made.is_brief(("a " * 125, "b " * 126))


def test_nothing_is_padded() -> None:
    assert [len(text) for text in tokens().texts(["a", "a b", ""])] == [3, 4, 2]


def test_a_pair_is_a_pair_with_types_and_the_longer_part_is_cut() -> None:
    (pair,) = tokens(replace(SIXTEEN, max_length=8)).pairs([("a b", "c d e a b c d e")])
    assert list(pair.ids) == [
        2,
        VOCABULARY["a"],
        VOCABULARY["b"],
        3,
        VOCABULARY["c"],
        VOCABULARY["d"],
        VOCABULARY["e"],
        3,
    ]
    assert list(pair.types) == [0, 0, 0, 0, 1, 1, 1, 1]


def test_a_separator_in_a_text_is_no_separator_between_parts() -> None:
    (spelled,) = tokens().texts(["a [SEP] b"])
    (pair,) = tokens().pairs([("a", "b")])
    assert list(spelled.ids) != list(pair.ids) or list(spelled.types) != list(pair.types)


def test_lowercase_comes_first() -> None:
    assert list(tokens(replace(SIXTEEN, lowercase=True)).texts(["RED"])[0].ids) == [2, VOCABULARY["red"], 3]
    assert list(tokens().texts(["RED"])[0].ids) == [2, VOCABULARY["[UNK]"], 3]


def test_without_special_tokens() -> None:
    assert list(tokens(replace(SIXTEEN, special=False)).texts(["a b"])[0].ids) == [VOCABULARY["a"], VOCABULARY["b"]]
    assert len(tokens(replace(SIXTEEN, special=False)).texts([""])[0]) == 0


def test_a_prompt_for_t5_ends_in_its_end_token() -> None:
    assert tokens(data=t5_tokenizer()).texts(["energy high"])[0].ids[-1] == 3


@pytest.mark.parametrize("bad", [None, 5, b"a", ("a", "b"), ["a", "b"], float("nan")])
def test_what_is_not_text_is_refused_by_its_number(bad: object) -> None:
    with pytest.raises(Misused) as problem:
        tokens().texts(["a", bad])  # type: ignore[list-item]
    assert problem.value.where == "input 1"
    with pytest.raises(Misused):
        tokens().pairs([("a", bad)])  # type: ignore[list-item]


def test_half_a_surrogate_is_refused_with_its_place() -> None:
    with pytest.raises(Misused) as problem:
        tokens().texts(["a", "bc\udce4d"])
    assert problem.value.where == "input 1, character 2"
    with pytest.raises(Misused):
        tokens().pairs([("a", "\ud800")])


@given(st.lists(st.text(), max_size=5))
def test_any_text_has_tokens_within_the_length(texts: list[str]) -> None:
    made = tokens().texts(texts)
    assert len(made) == len(texts)
    assert all(2 <= len(each) <= 16 and each.ids.max() < len(VOCABULARY) for each in made)


def test_a_text_of_200_000_tokens_is_cut() -> None:
    assert len(tokens().texts(["a " * 200_000])[0]) == 16


def test_an_id_that_the_model_has_no_row_for_is_one_clear_error() -> None:
    with pytest.raises(UnsupportedModel) as problem:
        tokens(vocabulary=VOCABULARY["red"]).texts(["a", "red"])
    assert "'red'" in problem.value.found
    assert len(tokens(vocabulary=VOCABULARY["red"] + 1).texts(["red"])[0]) == 3


@pytest.mark.parametrize("data", [b"", b"{}", b"version https://git-lfs", b"\xff\x00", b"[1]"])
def test_bytes_that_are_no_tokenizer(data: bytes) -> None:
    with pytest.raises(UnsupportedModel):
        Tokens(data, SIXTEEN, vocabulary=None, where="tokenizer.json")


@pytest.mark.parametrize("length", [1, 2])
def test_a_length_that_leaves_no_room_is_refused(length: int) -> None:
    # tokenizers itself would then not cut at all
    with pytest.raises(UnsupportedModel):
        tokens(replace(SIXTEEN, max_length=length))


def test_several_threads_get_the_same_answers() -> None:
    shared = tokens()
    texts = ["a " * n for n in range(1, 40)]
    expected = [list(text.ids) for text in shared.texts(texts)]
    start, wrong = threading.Barrier(4), []

    def run() -> None:
        start.wait()
        for _ in range(20):
            if not all(np.array_equal(a.ids, b) for a, b in zip(shared.texts(texts), expected, strict=True)):
                wrong.append(1)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("first", "second"), [(60, 60), (300, 60), (60, 300), (2000, 1999), (1999, 2000), (70, 71), (71, 70), (2000, 1)]
)
def test_a_pair_of_two_long_parts_is_what_the_tokenizer_itself_makes_of_it(first: int, second: int) -> None:
    words = ("a", "b", "c", "d", "e")
    pair = tuple(
        " ".join(words[(n * n + part) % 5] for n in range(count)) for part, count in enumerate((first, second))
    )
    made_for = tokens(replace(SIXTEEN, max_length=12))
    plain = made_for._tokenizer.encode(pair[0], pair[1])
    made = made_for.pairs([(pair[0], pair[1])])[0]
    assert made.ids.tolist() == plain.ids
    assert made.types.tolist() == plain.type_ids
    assert made.cut


def test_a_pair_of_two_books_is_cut_at_once() -> None:
    book = "a " * 20_000
    assert len(tokens(replace(SIXTEEN, max_length=12)).pairs([(book, book)])[0]) == 12


def test_what_was_cut_says_so() -> None:
    made_for = tokens(replace(SIXTEEN, max_length=5))
    assert [text.cut for text in made_for.texts(["a b", "a b c d e"])] == [False, True]


def test_spelling_cuts_nothing_and_decoding_gives_the_text_back() -> None:
    made_for = tokens(replace(SIXTEEN, max_length=5))
    text = "a b " * 20
    pieces = made_for.spell(text)
    assert [piece.special for piece in pieces] == [True, *[False] * 40, True]
    assert {text[piece.start : piece.stop] for piece in pieces[1:-1]} == {"a", "b"}
    assert made_for.spell(text, special=False) == pieces[1:-1]
    assert made_for.decode([piece.id for piece in pieces[1:-1]]) == text.strip()
