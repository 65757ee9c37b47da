"""What answers, by task: a tokenizer, and an Embedder, Reranker or Classifier around it and an engine.

Apart from :mod:`.load`, which imports this beside the compilation of the graph: importing and making a tokenizer both
hold the interpreter, the compiler does not.
"""

from __future__ import annotations

from hardtack.runtime.classifier import Classifier
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.engines.interface import Engine
from hardtack.runtime.layout import Layout
from hardtack.runtime.likelihood import make_classifier
from hardtack.runtime.loaded import Identity
from hardtack.runtime.reranker import Reranker
from hardtack.runtime.tokens import Tokens
from hardtack.spec.lock import LockedModel
from hardtack.spec.words import Task


def make_tokens(layout: Layout, content: bytes, rows: int | None) -> Tokens:
    """A model's tokenizer.

    Args:
        layout: what the model is.
        content: its tokenizer's file.
        rows: of its vocabulary's table; None: not known.

    Raises:
        UnsupportedModel: the file is no tokenizer.
    """
    return Tokens(
        content,
        layout.tokenizing,
        vocabulary=rows,
        where=str(layout.directory / layout.tokenizing.file),
        # a prompt is cut in its middle, by whoever knows where that is
        cut=not (layout.task is Task.CLASSIFY and layout.config.get("is_encoder_decoder")),
    )


def make_model(
    identity: Identity, layout: Layout, engine: Engine, tokens: Tokens, locked: LockedModel | None
) -> Embedder | Reranker | Classifier:
    """The model itself; labels to choose from are the lock's."""
    if layout.task is Task.EMBED:
        return Embedder(identity, layout, engine, tokens)
    if layout.task is Task.RERANK:
        return Reranker(identity, layout, engine, tokens)
    return make_classifier(identity, layout, engine, tokens, groups=locked.labels if locked else ())
