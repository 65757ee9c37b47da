"""What runs in the process of its own: draws a model's graph, quantises it with NNCF, writes it.

Run as ``python -m hardtack.build.quantize_child JOB SOURCE KEY WAY TEXTS OUT``; not meant for people. Calibration goes
through the model's own front door: an engine that only takes notes stands where the real one would, so what is
calibrated on is just what the model is fed when it answers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from hardtack.build.ask import ask
from hardtack.build.offsets import begin_at_zero
from hardtack.build.recipe import WAYS
from hardtack.build.tables import look_up_first
from hardtack.build.texts import read_texts
from hardtack.runtime.builds import GRAPH, NUMBERS
from hardtack.runtime.engines.interface import Deliver, EngineInfo, Feed
from hardtack.runtime.engines.openvino_import import import_openvino
from hardtack.runtime.families import TOKENS, draw
from hardtack.runtime.families.precise import is_precise
from hardtack.runtime.layout import Layout
from hardtack.runtime.load import Options, load_model
from hardtack.runtime.weights import Weights
from hardtack.spec.lock import LOCK_NAME
from hardtack.spec.lock_text import read_lock
from hardtack.spec.words import Precision

_MOST = 300
"""Feeds that are calibrated on at most; they are taken evenly from all."""

_SMOOTHING, _SMOOTHING_OF = 0.75, {"t5": 0.95}
"""How much of what is uneven in activations is moved into the weights they meet, by family: SmoothQuant's α
(https://arxiv.org/abs/2211.10438, equation 4)."""


class NoteTaker:
    """An engine that draws the graph, notes the feeds, and answers zeros."""

    def __init__(self, layout: Layout, weights: Weights) -> None:
        self.graph = draw(layout, weights)
        self.layout = layout
        self.weights = weights  # the graph's constants are views of these
        self.feeds: list[Feed] = []
        width = self.graph.output(0).get_partial_shape()[1]
        inputs = tuple(port.get_any_name() for port in self.graph.inputs)
        self._info = EngineInfo(
            "notes", "fp32", "cpu", inputs, width.get_length() if width.is_static else 0, "to calibrate on"
        )

    @property
    def info(self) -> EngineInfo:
        """What it pretends to be."""
        return self._info

    def run(self, feeds: Iterable[Feed], deliver: Deliver) -> None:
        """Note each feed and answer zeros."""
        for number, feed in enumerate(feeds):
            self.feeds.append(dict(feed))
            columns = self._info.width or len(feed["target_ids"])
            deliver(number, np.zeros((len(feed["input_ids"]), columns), np.float32))

    def close(self) -> None:
        """Nothing to free: the graph is still wanted."""


def main(job: Path, source: Path, key: str, way: str, texts: Path, out: Path) -> None:
    """Draw, calibrate, quantise, write."""
    model = read_lock(job / LOCK_NAME).find(key)
    taken: list[NoteTaker] = []

    def take(layout: Layout, weights: Weights, _: Options) -> NoteTaker:
        # whole, so that the vectors of tokens are to be had from the build, too
        taken.append(NoteTaker(replace(layout, whole=True), weights))
        return taken[0]

    loaded = load_model(
        source, model.task, locked=model, source="store", options=Options(precision=Precision.FP32), open_engine=take
    )
    notes = taken[0]
    if WAYS[way].calibrated:
        ask(loaded, read_texts(texts), batch_size=1)
    name_by_place(notes.graph)
    graph = _quantized(notes, way)
    look_up_first(graph)
    begin_at_zero(graph)
    import_openvino().serialize(graph, str(out / GRAPH), str(out / NUMBERS))


def _quantized(notes: NoteTaker, way: str) -> Any:
    # NNCF takes a missing telemetry package for "send nothing" (nncf/telemetry/wrapper.py); None in sys.modules is
    # Python's own way to say that a module is not to be had
    cast("dict[str, Any]", sys.modules)["openvino_telemetry"] = None
    import nncf

    kept = _products(notes.graph, is_precise)  # heads and Dense modules
    if way in ("static-half", "static-partly"):
        config = notes.layout.config
        narrow = (config.get("hidden_size", config.get("d_model")), config.get("intermediate_size", config.get("d_ff")))
        narrowing = _products(notes.graph, lambda node: _weight_shape(node) == narrow)  # in the order of the layers
        kept += narrowing if way == "static-partly" else narrowing[: (len(narrowing) + 1) // 2]
    # OpenVINO executes an attention in bf16 or f32, whatever goes in: eight bits would be lost for nothing
    ignored = nncf.IgnoredScope(names=kept, types=["ScaledDotProductAttention"], validate=False)
    if way == "weights":
        return nncf.compress_weights(notes.graph, mode=nncf.CompressWeightsMode.INT8_SYM, ignored_scope=ignored)
    step = max(1.0, len(notes.feeds) / _MOST)
    feeds = [notes.feeds[int(number * step)] for number in range(min(_MOST, len(notes.feeds)))]
    return nncf.quantize(
        notes.graph,
        nncf.Dataset(feeds),
        subset_size=len(feeds),
        model_type=nncf.ModelType.TRANSFORMER,
        ignored_scope=ignored,
        advanced_parameters=_parameters(nncf, notes.layout.family),
    )


def _parameters(nncf: Any, family: str) -> Any:
    """How ranges are told and smoothed, where NNCF's own ways lose more: docs/performance-notes.md has the figures.

    It takes the mean over the texts of each one's least and greatest number, and cuts off what is beyond. And it
    smooths with 0.95, which makes the activations of an encoder even at the cost of its weights.
    """
    ranges = nncf.quantization.range_estimator
    least, greatest = (
        ranges.StatisticsCollectorParameters(statistics_type=kind, aggregator_type=over)
        for kind, over in (
            (ranges.StatisticsType.MIN, ranges.AggregatorType.MIN),
            (ranges.StatisticsType.MAX, ranges.AggregatorType.MAX),
        )
    )
    return nncf.AdvancedQuantizationParameters(
        smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=_SMOOTHING_OF.get(family, _SMOOTHING)),
        activations_range_estimator_params=ranges.RangeEstimatorParameters(min=least, max=greatest),
    )


def name_by_place(graph: Any) -> None:
    """Give every node a name that depends on the graph alone, not on what was drawn before it in this process.

    The node where pooling begins has such a name, by which it is found again.
    """
    for number, node in enumerate(graph.get_ordered_ops()):
        if node.get_type_name() != "Parameter" and node.get_friendly_name() != TOKENS:
            node.set_friendly_name(f"{node.get_type_name()}_{number}")
    for number, port in enumerate(graph.outputs):
        port.get_tensor().set_names({f"answers_{number}"})


def _products(graph: Any, wanted: Any) -> list[str]:
    return [
        node.get_friendly_name() for node in graph.get_ordered_ops()
        if node.get_type_name() == "MatMul" and wanted(node)
    ]  # fmt: skip


def _weight_shape(node: Any) -> tuple[int, ...]:
    shape = node.input_value(1).get_partial_shape()
    return tuple(shape.to_shape()) if shape.is_static else ()


if __name__ == "__main__":
    given_job, given_source, given_key, given_way, given_texts, given_out = sys.argv[1:]
    main(Path(given_job), Path(given_source), given_key, given_way, Path(given_texts), Path(given_out))
