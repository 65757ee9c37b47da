from __future__ import annotations

from pathlib import Path

import pytest

from hardtack.mirror.card import Card, read_card

from .conftest import README


def test_a_card() -> None:
    names = frozenset({"modules.json", "model.safetensors"})
    card = read_card(README.encode(), b'{"model_type": "bert", "architectures": ["BertModel"], "secret": 1}', names)
    assert card.data == {
        "license": "apache-2.0",
        "language": ["en", "no"],  # Norwegian, not False
        "tags": ["sentence-similarity", "tiny"],
        "base_model": "org/parent",
    }
    assert card.config == {"model_type": "bert", "architectures": ["BertModel"]}
    assert (card.library_name, card.pipeline_tag) == ("sentence-transformers", "sentence-similarity")
    assert card.tags == (
        "sentence-transformers",
        "safetensors",
        "bert",
        "sentence-similarity",
        "tiny",
        "en",
        "no",
        "base_model:org/parent",
        "license:apache-2.0",
    )


def test_what_a_card_says_goes_before_what_is_guessed() -> None:
    readme = b"---\nlibrary_name: other\npipeline_tag: text-ranking\n---\n"
    card = read_card(readme, b"{}", frozenset({"modules.json"}))
    assert (card.library_name, card.pipeline_tag) == ("other", "text-ranking")


@pytest.mark.parametrize(
    ("head", "task"),
    [
        ("BertModel", "feature-extraction"),
        ("XLMRobertaForSequenceClassification", "text-classification"),
        ("T5ForConditionalGeneration", "text2text-generation"),
        ("GPT2LMHeadModel", "text-generation"),
        ("Something", None),
    ],
)
def test_the_task_is_guessed_from_the_head(head: str, task: str | None) -> None:
    assert read_card(None, f'{{"architectures": ["{head}"]}}'.encode(), frozenset()).pipeline_tag == task


@pytest.mark.parametrize(
    "readme",
    [
        None,
        b"",
        b"# no front matter",
        b"---\nlicense: mit\n",
        b"---\n: : :\n\t- [\n---\n",
        b"---\n- a\n- list\n---\n",
        b"---\nlicense: {a: b}\nlanguage: [[en]]\ntags: []\n---\n",
        b"---\n" + b"[" * 5000 + b"\n---\n",
        b"\xff\xfe---",
    ],
)
def test_a_card_that_says_nothing(readme: bytes | None) -> None:
    assert read_card(readme, None, frozenset()) == Card()


@pytest.mark.parametrize("config", [b"", b"[]", b"nope", b"\xff", b"[" * 100_000, b'{"architectures": "x"}'])
def test_a_config_that_says_nothing(config: bytes) -> None:
    assert read_card(None, config, frozenset()).pipeline_tag is None


def test_windows_line_ends_and_a_byte_order_mark() -> None:
    assert read_card(b"\xef\xbb\xbf---\r\nlicense: mit\r\n---\r\n", None, frozenset()).data == {"license": "mit"}


def test_a_card_makes_no_objects(tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    readme = f"---\nlicense: !!python/object/apply:os.mkdir ['{proof}']\n---\n"
    assert read_card(readme.encode(), None, frozenset()).data == {"license": [str(proof)]}
    assert not proof.exists()
