"""Lock, bake and run embedding, reranking and classifier models, with no network and no torch.

    >>> import hardtack
    >>> hardtack.load_embedder().encode(["Light turns on at 7 AM"])      # (1, 384) float32

Names are imported when they are first used: ``import hardtack`` alone costs nothing and brings nothing with it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hardtack.errors import HardtackError
    from hardtack.loaders import get_model_manager, load_classifier, load_embedder, load_reranker
    from hardtack.project import Project
    from hardtack.runtime.classifier import Classifier
    from hardtack.runtime.embedder import Embedder
    from hardtack.runtime.manager import ModelManager
    from hardtack.runtime.reranker import Reranker

__version__ = "0.1.0"

_HOMES = {
    "Classifier": "runtime.classifier",
    "Embedder": "runtime.embedder",
    "HardtackError": "errors",
    "ModelManager": "runtime.manager",
    "Project": "project",
    "Reranker": "runtime.reranker",
    "get_model_manager": "loaders",
    "load_classifier": "loaders",
    "load_embedder": "loaders",
    "load_reranker": "loaders",
}

__all__ = [
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


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
