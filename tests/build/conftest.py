from __future__ import annotations

import pytest

from hardtack.build.texts import Texts, read_texts

WORDS = ("the cat sits", "a dog turns on the light", "kitchen window opens", "warm evening", "cold morning at seven")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Texts:
    """Few and short: the tiny models know some words only."""
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("\n".join(f"{a} , {b}" for a in WORDS for b in WORDS))
    return read_texts(path)
