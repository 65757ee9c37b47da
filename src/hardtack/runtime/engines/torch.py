"""Anything else, through transformers and sentence-transformers: the ``[torch]`` extra.

Behind the same interface: token ids in, rows of float32 out; the modules of an embedder are sentence-transformers' own.
Nothing is fetched: models are loaded from a directory, with ``local_files_only`` and the libraries told to be offline.
A checkpoint that leaves weights of the architecture out is refused, where transformers would make them up.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hardtack.errors import UnsupportedModel
from hardtack.runtime.cpus import usable_cpus
from hardtack.runtime.engines.interface import Deliver, EngineInfo, Feed
from hardtack.runtime.layout import Layout
from hardtack.runtime.remote_code import Carried, lay_out
from hardtack.spec.words import Precision, Task

if TYPE_CHECKING:
    from hardtack.runtime.engines.torch_model import Forward


def open_engine(
    layout: Layout,
    *,
    code: Carried | None = None,
    precision: Precision = Precision.AUTO,
    threads: int | None = None,
    device: str = "cpu",
    why: str = "as asked",
) -> TorchEngine:
    """Load a model into torch.

    Args:
        layout: what the model is; for what no family draws, ``pooling`` is None and its modules decide.
        code: the model's own code, where it is carried and allowed; None: none is run.
        precision: what to execute in. ``auto`` is fp32 on a CPU and bf16 elsewhere.
        threads: CPUs that torch may use, in this process; None: those that affinity and quota leave.
        device: torch's name of it.
        why: why torch, for reports.

    Raises:
        UnsupportedModel: the device or precision is not to be had, or the libraries cannot load the model.
        Mismatch: code is not what the lock says.
    """
    import torch

    from hardtack.runtime.engines.torch_model import load_forward

    where = _device(torch, device, layout)
    chosen, reason = _precision(precision, where)
    torch.set_num_threads(threads or usable_cpus())
    place = layout.directory if code is None else lay_out(layout.directory, code)
    made = load_forward(layout, place, dtype=_DTYPES[chosen], device=where, trusted=code is not None)
    info = EngineInfo("torch", str(chosen), where, made.inputs, made.width, f"{why}; {reason}")
    unpooled = None if made.tokens is None else (made.tokens, made.hidden)
    return TorchEngine(made.rows, info, unpooled)


_DTYPES = {Precision.FP32: "float32", Precision.BF16: "bfloat16", Precision.FP16: "float16"}


def _device(torch: Any, device: str, layout: Layout) -> str:
    try:
        # the name alone says nothing: whether a number can be put there does
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as problem:
        raise UnsupportedModel(
            "torch has no such device here", where=str(layout.directory),
            expected="cpu" + (f", cuda:0 to cuda:{torch.cuda.device_count() - 1}" if torch.cuda.is_available() else ""),
            found=f"{device}: {str(problem).splitlines()[0]}", mend="HARDTACK_DEVICE=cpu …",
        ) from problem  # fmt: skip
    return str(torch.zeros(1, device=device).device)


def _precision(precision: Precision, device: str) -> tuple[Precision, str]:
    if precision is Precision.AUTO:
        if device == "cpu":
            return Precision.FP32, "fp32 on a CPU"
        return Precision.BF16, f"bf16 on {device}"
    if precision not in _DTYPES:
        raise UnsupportedModel(
            "The torch engine does not execute that precision.", where="precision",
            expected=", ".join(map(str, _DTYPES)), found=str(precision), mend="hardtack lock  # with another precision",
        )  # fmt: skip
    return precision, f"{precision} as asked"


class TorchEngine:
    """A model in torch; see :class:`hardtack.runtime.engines.interface.Engine`. Made by :func:`open_engine`.

    Feeds run one after the other: torch spreads each over the threads, or the device, by itself.

    Args:
        forward: tensors by name → rows.
        info: what this engine is.
        unpooled: of an embedder, what gives the vectors of the tokens, and their size.
    """

    def __init__(self, forward: Forward, info: EngineInfo, unpooled: tuple[Forward, int] | None = None) -> None:
        self._forward: Forward | None = forward
        self._tokens = unpooled
        self._unpooled: TorchEngine | None = None
        self._info = info
        self._one_at_a_time = threading.Lock()

    @property
    def info(self) -> EngineInfo:
        """What this engine turned out to be."""
        return self._info

    @property
    def forward(self) -> Forward:
        """Tensors by name → rows, for whoever traces it; it modifies the mapping it is given."""
        assert self._forward is not None, "a closed engine is not used again"
        return self._forward

    def run(self, feeds: Iterable[Feed], deliver: Deliver) -> None:
        """Run every feed, in order, on the caller's thread; see :class:`hardtack.runtime.engines.interface.Engine`."""
        for number, feed in enumerate(feeds):
            deliver(number, self._rows(feed))

    def unpooled(self) -> TorchEngine:
        """The same weights before their pooling; see :class:`hardtack.runtime.engines.interface.Unpooling`."""
        with self._one_at_a_time:
            if self._unpooled is None:
                assert self._tokens is not None, "neither a closed engine nor one without a pooling is unpooled"
                forward, width = self._tokens
                inputs = tuple(name for name in self._info.inputs if name != "pooling_mask")
                self._unpooled = TorchEngine(forward, replace(self._info, inputs=inputs, width=width))
            return self._unpooled

    def close(self) -> None:
        """Free the memory."""
        with self._one_at_a_time:
            if self._unpooled is not None:
                self._unpooled.close()
            self._forward = self._tokens = self._unpooled = None

    def _rows(self, feed: Feed) -> NDArray[np.float32]:
        import torch

        with self._one_at_a_time, torch.inference_mode():
            assert self._forward is not None, "a closed engine is not used again"
            tensors = {name: torch.from_numpy(rows).to(self._info.device) for name, rows in feed.items()}
            rows: NDArray[np.float32] = self._forward(tensors).float().cpu().numpy()
        return rows


def task_class(layout: Layout) -> str:
    """The class of transformers that a task takes."""
    if layout.task is Task.EMBED:
        return "AutoModelForTextEncoding" if layout.config.get("is_encoder_decoder") else "AutoModel"
    return "AutoModelForSeq2SeqLM" if layout.config.get("is_encoder_decoder") else "AutoModelForSequenceClassification"
