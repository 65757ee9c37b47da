"""BERT-like encoders on CPUs with AMX: the C++ of ``native/`` behind the engine interface, in bf16.

A batch's padding is taken out before native code sees it. Its texts are shared out, whole, among threads that live as
long as the engine; one short text keeps one of them busy. What a text is answered depends on that text alone,
to the last bit: not on its company, its place or the number of threads.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hardtack.errors import HardtackError, UnsupportedModel
from hardtack.runtime.cpus import usable_cpus
from hardtack.runtime.engines.interface import Deliver, EngineInfo, Feed
from hardtack.runtime.layout import Layout
from hardtack.runtime.native.library import Ability, CBatch, Library
from hardtack.runtime.native.packed import Packed
from hardtack.runtime.native.reading import read_shape
from hardtack.runtime.native.texts import Texts, texts_of
from hardtack.spec.words import Precision

_PRECISIONS = (Precision.AUTO, Precision.BF16)


def unfit(layout: Layout, precision: Precision) -> str | None:
    """Why this engine runs a model nowhere; None: it does where it can run. Looks at the config only."""
    if precision not in _PRECISIONS:
        return f"it executes bf16, not {precision}"
    try:
        read_shape(layout)
    except HardtackError as problem:
        return f"{Path(problem.where).name}: {problem.found}"
    return None


def why_not(layout: Layout, precision: Precision, able: Ability) -> str | None:
    """Why this engine does not run a model here; None: it does."""
    return unfit(layout, precision) or (able.why_not if able.library is None else None)


def refuse(layout: Layout, why: str, mend: str) -> UnsupportedModel:
    """What is raised where somebody insists on this engine and it cannot be."""
    return UnsupportedModel(
        "The native engine does not run this model here.", where=str(layout.directory),
        expected="an encoder in bf16 on a CPU with AMX", found=why, mend=mend,
    )  # fmt: skip


def open_engine(layout: Layout, packed: Packed, library: Library, *, threads: int | None, why: str) -> NativeEngine:
    """Start an engine.

    Args:
        layout: what the model is.
        packed: its arrays; the engine keeps them until it is closed.
        library: one that can run here.
        threads: how many; None: as many CPUs as affinity and the container's quota leave.
        why: one sentence, why this engine.

    Raises:
        MemoryError: there is no memory or no thread for it.
    """
    inputs = ["input_ids", "attention_mask"]
    if packed.shape.types:
        inputs.append("token_type_ids")
    if not layout.include_prompt:
        inputs.append("pooling_mask")
    info = EngineInfo("native", "bf16", "cpu", tuple(inputs), packed.shape.width, why)
    return NativeEngine(layout, packed, library, info, threads or usable_cpus())


@dataclass(frozen=True)
class _Job:
    """A batch under way, and what native code reads and writes of it: that lives as long as this does."""

    handle: int
    batch: CBatch
    texts: Texts
    rows: NDArray[np.float32]


class NativeEngine:
    """See :class:`hardtack.runtime.engines.interface.Engine`. Made by :func:`open_engine`."""

    def __init__(self, layout: Layout, packed: Packed, library: Library, info: EngineInfo, threads: int) -> None:
        self._layout = layout
        self._shape = packed.shape
        self._library = library
        self._info = info
        self._threads = threads
        self._process = os.getpid()
        self._idle = threading.Condition()
        self._runs = 0
        handle = library.open_engine(packed.shape, packed.addresses(), threads)
        if handle is None:
            raise MemoryError(f"no memory or no thread for an engine of {threads} threads")
        self._handle = handle
        # the arrays are an argument so that they are there until the threads are not
        self._end = weakref.finalize(self, _close, library, handle, packed, self._process)

    @property
    def info(self) -> EngineInfo:
        """What this engine turned out to be."""
        return self._info

    def run(self, feeds: Iterable[Feed], deliver: Deliver) -> None:
        """Run every feed; results are delivered on the caller's thread, in the feeds' order.

        See :meth:`hardtack.runtime.engines.interface.Engine.run`. A few feeds more than there are threads are under
        way, so that no thread waits for the caller's.
        """
        self._enter()
        under_way: deque[_Job] = deque()
        numbers = count()
        try:
            for feed in feeds:
                if len(under_way) > self._threads:
                    deliver(next(numbers), self._finish(under_way.popleft()))
                under_way.append(self._begin(feed))
            while under_way:
                deliver(next(numbers), self._finish(under_way.popleft()))
        finally:
            for job in under_way:  # only an exception leaves any
                self._library.wait(job.handle)
            self._leave()

    def close(self) -> None:
        """End the threads and let go of the weights; waits for what is under way."""
        with self._idle:
            self._idle.wait_for(lambda: self._runs == 0)
            self._end()

    def _enter(self) -> None:
        with self._idle:
            if not self._end.alive:
                raise ValueError("a closed engine is not used again")
            if os.getpid() != self._process:
                raise ValueError("threads do not survive a fork: load the model in the process that uses it")
            self._runs += 1

    def _leave(self) -> None:
        with self._idle:
            self._runs -= 1
            self._idle.notify_all()

    def _begin(self, feed: Feed) -> _Job:
        texts = texts_of(feed, self._layout, self._shape)
        rows = np.empty((len(texts.lengths), self._shape.width), np.float32)
        arrays = (texts.lengths, texts.ids, texts.positions, texts.types, texts.weights, rows)
        batch = CBatch(len(texts.lengths), *(array.ctypes.data for array in arrays))
        handle = self._library.submit(self._handle, ctypes.byref(batch))
        if handle is None:
            raise MemoryError("no memory for a batch")
        return _Job(handle, batch, texts, rows)

    def _finish(self, job: _Job) -> NDArray[np.float32]:
        if self._library.wait(job.handle) != 0:
            raise MemoryError(f"no memory for texts of up to {job.texts.lengths.max()} tokens")
        return job.rows


def _close(library: Library, handle: int, packed: Packed, process: int) -> None:
    if os.getpid() == process:  # a fork has the handle, but not the threads to join
        library.close(handle)
    del packed
