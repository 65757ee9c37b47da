"""Lock, bake and run embedding, reranking and classifier models, with no network and no torch."""

from __future__ import annotations

__version__ = "0.1.0"
