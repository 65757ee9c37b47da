"""Any encoder, and T5, on any CPU through OpenVINO: a graph drawn by a family, compiled, run from a few threads.

Many batches are fastest in as many streams as there are CPUs, of one thread each: they do not wait for each other at
every layer, as the threads of one stream do; a lone batch is cut in as many pieces as there are streams. A lone text is
fastest in one stream of all threads. A small model is compiled for both, each when it is first needed; of a large one
the second copy of the packed weights would cost more than it gains.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import Enum
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardtack.errors import UnsupportedModel
from hardtack.runtime.cpus import usable_cpus
from hardtack.runtime.engines.interface import Deliver, EngineInfo, Feed
from hardtack.runtime.engines.openvino_import import import_openvino
from hardtack.runtime.engines.openvino_streams import Streams, cut
from hardtack.runtime.families import draw
from hardtack.runtime.instructions import read_instructions
from hardtack.runtime.layout import Layout
from hardtack.runtime.weights import Graph, Weights
from hardtack.spec.words import Precision, Task, WeightsKind

log = logging.getLogger("hardtack")

_SMALL = 256 * 2**20
"""Bytes of weights up to which a model is compiled twice."""

_COMPANY = 8
"""Lone batches that keep to a stream of their own after one ran beside another: others may come beside them too."""

_SHAPES = {"CPU_RUNTIME_CACHE_CAPACITY": 64}
"""How much of each kind OpenVINO keeps of the shapes (rows × width) that a stream has run: by default 5,000 times what
takes up to 0.5 MB, so that memory grows for hours. Fewer cost hardly any time (docs/performance-notes.md).

https://github.com/openvinotoolkit/openvino/issues/23316
"""

Unpool = Callable[[], "OpenVinoEngine"]

_HINTS = {Precision.FP32: "f32", Precision.BF16: "bf16"}


def open_engine(
    layout: Layout,
    weights: Weights,
    *,
    precision: Precision = Precision.AUTO,
    threads: int | None = None,
    compiling: Callable[[], object] = lambda: None,
) -> OpenVinoEngine:
    """Take a model's graph, drawn, shipped or of a build, and compile it for this CPU.

    Args:
        layout: what the model is.
        weights: its numbers; the engine keeps them mapped until it is closed.
        precision: what to execute in. ``auto`` is bf16 where the CPU multiplies it faster than fp32, else fp32.
        threads: CPUs to use; None: those that affinity and the container's quota leave.
        compiling: called when all that needs the interpreter is done, and the graph is about to be compiled.

    Raises:
        UnsupportedModel: the graph cannot be drawn, or this CPU does not execute the precision.
    """
    ov = import_openvino()
    # these draw with openvino, so not before this
    from hardtack.runtime.engines.shipped import is_int8, read_shipped
    from hardtack.runtime.families.heads import unpooled

    core = ov.Core()
    bf16 = _bf16_here(core)
    _keep_few_shapes(core)  # not before the plugin is there: a property that it does not know would keep it from coming
    if weights.graph is not None:
        model, shown = _read_built(weights.graph, core), Precision(weights.graph.precision)
        # what a build did not quantise, attention above all, is executed as a drawn graph would be; a whole graph in
        # fp32 was exported, and its last product cannot be told apart to keep close scores from tying in bf16
        wanted = Precision.AUTO if shown is Precision.INT8 else shown
        chosen, _ = choose_precision(wanted, layout.family, bf16)
        why = f"the lock has this build: {weights.graph.recipe}"
        why += f"; what is not {shown} runs in {chosen}" if chosen is not shown else ""
    elif layout.stored is WeightsKind.SAFETENSORS:
        chosen, why = choose_precision(precision, layout.family, bf16)
        model, shown = draw(layout, weights), chosen
    else:
        model = read_shipped(layout, weights, core)
        chosen, shown, why = _choose_shipped(precision, layout, is_int8(model), bf16)
    cpus = threads or usable_cpus()
    config: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": _HINTS[chosen],
        "INFERENCE_NUM_THREADS": cpus,
        # Two processes that pin their threads pin them to the same first CPUs and share those.
        "ENABLE_CPU_PINNING": False,
    }
    stored = sum((layout.directory / name).stat().st_size for name in layout.weights)
    small = (weights.graph.numbers.nbytes if weights.graph else stored) <= _SMALL
    lone = 1 if small else cpus
    width = model.output(0).get_partial_shape()[1]
    info = EngineInfo(
        name="openvino",
        precision=str(shown),
        device="cpu",
        inputs=_names_of(model),
        width=width.get_length() if width.is_static else 0,
        why=why,
    )

    def opened(graph: Any, info: EngineInfo, unpool: Unpool | None = None) -> OpenVinoEngine:
        def compile_for(streams: int) -> Any:
            return core.compile_model(graph, "CPU", {**config, "NUM_STREAMS": streams})

        return OpenVinoEngine(compile_for, weights, info, many=cpus, lone=lone, unpool=unpool)

    def unpool() -> OpenVinoEngine:
        drawn = weights.graph is None and layout.stored is WeightsKind.SAFETENSORS
        graph = unpooled(draw(replace(layout, whole=True), weights) if drawn and layout.first_alone else model)
        if graph is None:
            raise UnsupportedModel(
                "This model's graph gives one vector a text: those of its tokens are not to be had.",
                where=str(layout.directory), expected="a graph drawn here", found=info.why,
                mend="HARDTACK_ENGINE=torch …",
            )  # fmt: skip
        width = graph.output(0).get_partial_shape()[2].get_length()
        return opened(graph, replace(info, width=width, inputs=_names_of(graph)))

    compiling()
    return opened(model, info, unpool)


def _keep_few_shapes(core: Any) -> None:
    try:
        core.set_property("CPU", _SHAPES)
    except RuntimeError as problem:
        # no document names that property, so that another OpenVINO may not know it: it costs memory, and nothing else
        log.info("openvino keeps every shape it runs in memory: %s", problem)


def _names_of(graph: Any) -> tuple[str, ...]:
    return tuple(port.get_any_name() for port in graph.inputs)


def _read_built(graph: Graph, core: Any) -> Any:
    """The ``openvino.Model`` of a build; its constants stay views of the mapping, which must outlive it."""
    ov = import_openvino()
    # with a shape and a type the tensor takes a read-only array as it is
    numbers = ov.Tensor(graph.numbers, ov.Shape([graph.numbers.size]), ov.Type.u8)
    return core.read_model(graph.description, numbers)


_FP32_FAMILIES = {
    "static": "a static embedding has no products that bf16 would speed up",
    # measured: the probabilities of a trained T5's labels moved by up to 0.055 in bf16
    "t5": "the residual stream of a T5 grows too large for bf16 to keep labels apart",
}
"""Families that ``auto`` executes in fp32 whatever the CPU can, and why."""


class Bf16(Enum):
    """What OpenVINO makes of bf16 on a CPU."""

    FAST = "this CPU multiplies bf16 faster than fp32"
    SLOW = "this CPU multiplies bf16 natively, and slower than fp32"
    ABSENT = "this CPU does not multiply bf16 natively"


def _bf16_here(core: Any) -> Bf16:
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return Bf16.ABSENT
    return Bf16.FAST if read_instructions().bf16_pays else Bf16.SLOW


def choose_precision(precision: Precision, family: str, bf16: Bf16) -> tuple[Precision, str]:
    """What to execute in, and why.

    Raises:
        UnsupportedModel: this CPU does not execute what is asked for.
    """
    has_bf16 = bf16 is not Bf16.ABSENT
    if precision is Precision.AUTO:
        if family in _FP32_FAMILIES:
            return Precision.FP32, _FP32_FAMILIES[family]
        return Precision.BF16 if bf16 is Bf16.FAST else Precision.FP32, bf16.value
    if precision not in _HINTS or (precision is Precision.BF16 and not has_bf16):
        raise UnsupportedModel(
            "The openvino engine does not execute that precision on this CPU.",
            where="precision",
            expected="fp32 or bf16" if has_bf16 else "fp32",
            found=str(precision),
        )
    return precision, "as asked"


def _choose_shipped(precision: Precision, layout: Layout, int8: bool, bf16: Bf16) -> tuple[Precision, Precision, str]:
    """What to execute a shipped graph in, what to call that, and why."""
    whose = f"the repository's own {layout.stored.value} graph"
    if int8:
        wanted = Precision.FP32 if precision in (Precision.AUTO, Precision.INT8) else precision
        chosen, _ = choose_precision(wanted, layout.family, bf16)
        return chosen, Precision.INT8, f"{whose} is INT8; its loss is not measured"
    if precision is Precision.AUTO and layout.task is not Task.EMBED:
        # the last product of a foreign graph cannot be told to stay in float32, and in bf16 close scores tie
        return Precision.FP32, Precision.FP32, f"{whose}, in fp32 so that close scores do not tie"
    chosen, why = choose_precision(precision, layout.family, bf16)
    return chosen, chosen, f"{whose}; {why}"


class OpenVinoEngine:
    """A compiled model; see :class:`hardtack.runtime.engines.interface.Engine`. Made by :func:`open_engine`.

    Args:
        compile_for: compiles the graph for a number of streams.
        weights: what the graph's constants are views of.
        info: what this engine is.
        many: streams for many batches.
        lone: streams for a lone batch; its graph is compiled at once, the other one when it is first needed.
        unpool: makes the engine of :meth:`unpooled`.
    """

    def __init__(
        self, compile_for: Callable[[int], Any], weights: Weights, info: EngineInfo, *, many: int, lone: int,
        unpool: Unpool | None = None,
    ) -> None:  # fmt: skip
        self._compile_for = compile_for
        self._weights: Weights | None = weights
        self._info = info
        self._many = many
        self._lone = lone
        self._compiling = threading.Lock()
        self._counting = threading.Lock()
        self._lone_ones = 0  # under way
        self._company = 0
        self._unpool = unpool
        self._unpooled: OpenVinoEngine | None = None
        self._graphs = {lone: Streams(compile_for(lone), lone)}

    @property
    def info(self) -> EngineInfo:
        """What this engine turned out to be."""
        return self._info

    def run(self, feeds: Iterable[Feed], deliver: Deliver) -> None:
        """Run every feed; results are delivered on the caller's thread, in the feeds' order.

        See :meth:`hardtack.runtime.engines.interface.Engine.run`.
        """
        rest = iter(feeds)
        first = list(islice(rest, 2))
        if len(first) == 1:
            self._run_lone(first[0], deliver)
        elif first:
            self._streams(self._many).run(chain(first, rest), deliver)

    def unpooled(self) -> OpenVinoEngine:
        """The same weights before their pooling; see :class:`hardtack.runtime.engines.interface.Unpooling`."""
        with self._compiling:
            if self._unpooled is None:
                assert self._unpool is not None, "neither a closed engine nor one without a pooling is unpooled"
                self._unpooled = self._unpool()
            return self._unpooled

    def close(self) -> None:
        """Free the memory; waits for what is under way."""
        with self._compiling:
            if self._unpooled is not None:
                self._unpooled.close()
            self._unpool = self._unpooled = None
            for streams in self._graphs.values():
                streams.close()
            self._graphs.clear()
            del self._compile_for
            self._weights = None

    def _run_lone(self, feed: Feed, deliver: Deliver) -> None:
        with self._counting:
            self._lone_ones += 1
            self._company = _COMPANY if self._lone_ones > 1 else max(0, self._company - 1)
            company = self._company > 0
        # lone ones of several callers are many; but none waits for what that would have to be compiled for
        many = self._many if self._many in self._graphs else self._lone
        try:
            if company:
                rows = self._streams(many).infer(feed)
            elif self._lone == 1 and (many == 1 or len(feed["input_ids"]) < many):
                rows = self._streams(1).infer(feed)
            else:
                pieces: list[NDArray[np.float32]] = []
                self._streams(many).run(cut(feed, many), lambda _, piece: pieces.append(piece))
                rows = np.concatenate(pieces)
        finally:
            with self._counting:
                self._lone_ones -= 1
        deliver(0, rows)

    def _streams(self, count: int) -> Streams:
        with self._compiling:
            if count not in self._graphs:
                self._graphs[count] = Streams(self._compile_for(count), count)
            return self._graphs[count]
