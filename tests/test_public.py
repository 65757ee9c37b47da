"""The public names, and what ``import hardtack`` costs: nothing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

import hardtack

NAMES = [
    "Classifier",
    "Embedder",
    "HardtackError",
    "ModelManager",
    "Project",
    "Reranker",
    "get_model_manager",
    "load_classifier",
    "load_embedder",
    "load_reranker",
]


def test_the_public_names_are_these() -> None:
    assert hardtack.__all__ == NAMES == sorted(NAMES)
    assert set(NAMES) <= set(dir(hardtack))
    for name in NAMES:
        assert getattr(hardtack, name).__name__ == name


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'load_everything'"):
        _ = hardtack.load_everything


def brought_in_by(statement: str) -> set[str]:
    """The top-level modules that a statement brings into a fresh interpreter."""
    script = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "banned"),
    [
        (
            "import hardtack",
            {"torch", "transformers", "openvino", "huggingface_hub", "numpy", "tokenizers", "click", "ssl"},
        ),
        (
            "from hardtack import load_embedder, get_model_manager",
            {"torch", "transformers", "openvino", "huggingface_hub", "fastapi", "ray", "tomlkit", "ssl"},
        ),
    ],
)
def test_what_an_import_brings_with_it(statement: str, banned: set[str]) -> None:
    there = {name for name in banned if importlib.util.find_spec(name)}
    assert "openvino" in there
    assert brought_in_by(statement) & there == set()
