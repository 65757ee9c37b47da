"""What a model directory says it is, read once and frozen: architecture, modules, lengths, prompts, labels.

Values only; :mod:`hardtack.runtime.read_layout` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from hardtack.spec.words import Pooling, Similarity, Task, WeightsKind

_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Dense:
    """One sentence-transformers ``Dense`` module.

    Attributes:
        weights: the safetensors file, relative to the model directory; holds ``linear.weight`` (and ``linear.bias``).
        inputs: in_features.
        outputs: out_features.
        bias: whether there is a bias.
        activation: ``tanh`` or ``identity`` (or another that the families know).
    """

    weights: str
    inputs: int
    outputs: int
    bias: bool
    activation: str


@dataclass(frozen=True)
class Tokenizing:
    """How texts become ids.

    Attributes:
        file: ``tokenizer.json``, relative to the model directory.
        max_length: tokens a text (or pair) is cut to, special tokens included; None: as the architecture allows.
        pad_id: the id of the padding token.
        pad_type_id: token type of padding.
        pad_left: padding goes left of the text.
        special: whether special tokens are added (static models: no).
        lowercase: texts are lower-cased first, whatever the tokenizer itself does.
    """

    file: str
    max_length: int | None
    pad_id: int
    pad_type_id: int = 0
    pad_left: bool = False
    special: bool = True
    lowercase: bool = False


class Overrides(Protocol):
    """What a manifest may say otherwise than the model's own files; None: as the files say."""

    @property
    def max_length(self) -> int | None:
        """Tokens a text is cut to."""
        ...

    @property
    def prompts(self) -> Mapping[str, str] | None:
        """Instead of the model's prompts, all of them."""
        ...

    @property
    def pooling(self) -> Pooling | None:
        """Instead of the model's pooling."""
        ...

    @property
    def normalize(self) -> bool | None:
        """Whether vectors are normalised, whatever the modules say."""
        ...

    @property
    def similarity(self) -> Similarity | None:
        """Instead of the model's similarity."""
        ...


@dataclass(frozen=True)
class Layout:
    """A model directory, understood.

    Attributes:
        directory: where it lies.
        task: what it is loaded for.
        family: the name of a module in :mod:`hardtack.runtime.families`: bert, distilbert, roberta, mpnet,
            t5, llama, static; where a graph or torch serves, the config's ``model_type`` if no family draws it.
        config: ``config.json``, as it is.
        weights: files of the transformer (several where it is sharded), relative to ``directory``; of a graph that
            the repository ships, the graph first.
        tokenizing: how texts become ids.
        pooling: for embedders with a transformer; None for rerankers, classifiers and static models.
        dense: Dense modules after pooling, in order.
        normalize: whether vectors are normalised to length one.
        similarity: what the vectors are meant to be compared with.
        prompts: name → text put before each input.
        default_prompt: a name in ``prompts``, or None.
        labels: ``id2label`` in order, for rerankers and classifiers; empty for embedders.
        activation: what the model's own files say about the logits of a reranker: ``sigmoid``, ``identity`` or
            None where they say nothing (sentence-transformers then takes sigmoid for one label, identity for more).
        include_prompt: whether the tokens of a prompt are pooled with those of the text.
        stored: what kind of files ``weights`` are.
        template: how a reranker puts a pair into one text, with ``{query}`` and ``{passage}``; None: as a pair.
        whole: whether the vectors of all tokens are wanted, where an embedder's pooling reads the first alone.
    """

    directory: Path
    task: Task
    family: str
    config: Mapping[str, Any]
    weights: tuple[str, ...]
    tokenizing: Tokenizing
    pooling: Pooling | None = None
    dense: tuple[Dense, ...] = ()
    normalize: bool = False
    similarity: Similarity = Similarity.COSINE
    prompts: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    default_prompt: str | None = None
    labels: tuple[str, ...] = ()
    activation: str | None = None
    include_prompt: bool = True
    stored: WeightsKind = WeightsKind.SAFETENSORS
    template: str | None = None
    whole: bool = False

    @property
    def first_alone(self) -> bool:
        """Whether nothing reads the last layer but of each text's first token: classification heads, pooling by CLS."""
        if self.task is not Task.EMBED:
            return True
        plain = not self.tokenizing.pad_left and self.include_prompt
        return self.pooling is Pooling.CLS and plain and not self.whole
