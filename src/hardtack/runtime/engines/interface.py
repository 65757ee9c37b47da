"""What every engine is to the rooms above it: feeds of token ids in, rows of float32 out.

An engine knows no text, no tokenizer, no task and no file that was not handed to it. One engine serves one model; its
graph ends where the task's answer is a plain number, so that heads and pooling stay in one place and in float32:

========== ============================================================= ============================
layout     inputs (int64)                                                output (float32)
========== ============================================================= ============================
embedder   ``input_ids (B, T)``, ``attention_mask (B, T)``,              ``(B, dim)`` pooled, through
           ``token_type_ids (B, T)`` where the model has them,           Dense and Normalize modules
           ``pooling_mask (B, T)`` where prompts are not pooled
reranker,  the same                                                      ``(B, labels)`` raw logits
classifier
embedder,  as an embedder's, without ``pooling_mask``                    ``(B, T, H)`` a vector a
unpooled                                                                 token
T5         ``input_ids (B, T)``, ``attention_mask (B, T)``,              ``(B, K)`` sum of the
           ``decoder_input_ids (K, D)``, ``target_ids (K, D)``,          log-probabilities of each
           ``target_mask (K, D)``: K label texts, teacher-forced         label's tokens
========== ============================================================= ============================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Feed = Mapping[str, NDArray[np.int64]]
"""One batch: input name → token ids, all rows padded to the batch's length."""

Deliver = Callable[[int, NDArray[np.float32]], None]
"""Called once a feed with the feed's number and its rows; rows are only valid during the call."""


@dataclass(frozen=True)
class EngineInfo:
    """What an engine turned out to be, for the log line and for reports.

    Attributes:
        name: ``openvino``, ``native`` or ``torch``.
        precision: what the numbers are executed in: ``fp32``, ``bf16``, ``fp16`` or ``int8``.
        device: ``cpu``, ``cuda:0``, …
        inputs: the names a feed must have, in the graph's order.
        width: columns of the output; 0 where the feed decides (T5: one a label).
        why: one sentence, why this engine and precision.
    """

    name: str
    precision: str
    device: str
    inputs: tuple[str, ...]
    width: int
    why: str


class Engine(Protocol):
    """One compiled model. Safe to call from several threads at once."""

    @property
    def info(self) -> EngineInfo:
        """What this engine turned out to be."""
        ...

    def run(self, feeds: Iterable[Feed], deliver: Deliver) -> None:
        """Run every feed and hand each one's rows to ``deliver``, in whatever order they finish.

        ``feeds`` is consumed lazily, so the next batch may be tokenized while this one runs. The first exception of a
        feed or of ``deliver`` stops the run and is raised once everything under way has ended.
        """
        ...

    def close(self) -> None:
        """Free the memory. A closed engine is not used again."""
        ...


@runtime_checkable
class Unpooling(Protocol):
    """What an embedder's engine is too where it can stop before its pooling."""

    def unpooled(self) -> Engine:
        """The engine of each token's vector, of the same weights; made when first asked for, closed with this one.

        Raises:
            UnsupportedModel: the model comes as a graph that ends in pooled vectors.
        """
        ...
