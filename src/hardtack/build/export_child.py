"""What runs in the process of its own: traces a model in torch, converts it, holds it to torch's answers, writes it.

Run as ``python -m hardtack.build.export_child JOB SOURCE KEY TEXTS OUT``; not meant for people. Prints, last, the
figures of the comparison as one line of JSON, or a line that says why there is no graph.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from hardtack.build.ask import ask
from hardtack.build.export import PARITY
from hardtack.build.gate import hold, measure
from hardtack.build.quantize_child import name_by_place
from hardtack.build.texts import read_texts
from hardtack.errors import HardtackError, Unable
from hardtack.runtime.builds import GRAPH, NUMBERS
from hardtack.runtime.engines.interface import Engine
from hardtack.runtime.engines.openvino import open_engine
from hardtack.runtime.engines.openvino_import import import_openvino
from hardtack.runtime.engines.torch import TorchEngine
from hardtack.runtime.layout import Layout
from hardtack.runtime.load import Options, load_model
from hardtack.runtime.weights import Graph, Tensors, Weights
from hardtack.spec.lock import LOCK_NAME
from hardtack.spec.lock_text import read_lock
from hardtack.spec.words import EngineName, Precision

_TRACED = ("input_ids", "attention_mask", "token_type_ids")
_EXAMPLE = (2, 11)
"""Rows and tokens of what is traced; the graph takes any."""


def main(job: Path, source: Path, key: str, texts: Path, out: Path) -> None:
    """Trace, convert, compare, write."""
    model = replace(read_lock(job / LOCK_NAME).find(key), builds=(), engine=EngineName.AUTO, precision=Precision.FP32)
    taken: list[TorchEngine] = []

    def take(layout: Layout, weights: Weights, options: Options) -> Engine:  # noqa: ARG001 - the loader's signature
        from hardtack.runtime.engines.torch import open_engine as open_torch

        taken.append(open_torch(layout, precision=Precision.FP32, why="to export"))
        return taken[0]

    asked = read_texts(texts)
    plain = Options(precision=Precision.FP32)
    loaded = load_model(source, model.task, locked=model, source="store", options=plain, open_engine=take)
    reference = ask(loaded, asked)
    _convert(taken[0], out)
    taken[0].close()

    def reopen(layout: Layout, weights: Weights, options: Options) -> Engine:  # noqa: ARG001 - the loader's signature
        numbers = np.memmap(out / NUMBERS, dtype=np.uint8, mode="r")
        graph = Graph((out / GRAPH).read_bytes(), numbers, Precision.FP32.value, "export")
        return open_engine(layout, Weights(Tensors((), {}), graph=graph))

    again = load_model(source, model.task, locked=model, source="store", options=plain, open_engine=reopen)
    figures = measure(model.task, ask(again, asked), reference)
    missed = [str(figure) for figure in hold(model.task, figures, PARITY[model.task]) if not figure.good]
    if missed:
        raise Unable("the exported graph does not answer as torch does", where=key, found=", ".join(missed))
    sys.stdout.write(json.dumps(figures) + "\n")


def _convert(engine: TorchEngine, out: Path) -> None:
    import torch

    inputs = engine.info.inputs
    if not set(inputs) <= set(_TRACED):
        raise Unable("a graph of these inputs is not traced", where=engine.info.name, found=", ".join(inputs))
    # the converter takes a missing telemetry package for "send nothing" (openvino/tools/ovc/telemetry_utils.py)
    cast("dict[str, Any]", sys.modules)["openvino_telemetry"] = None
    from openvino.tools.ovc import convert_model

    class Traced(torch.nn.Module):  # type: ignore[misc]  # torch has no types here
        def forward(self, *tensors: Any) -> Any:
            return engine.forward(dict(zip(inputs, tensors, strict=True))).float()

    ov = import_openvino()
    example = [torch.ones(_EXAMPLE, dtype=torch.int64) for _ in inputs]
    with torch.no_grad():
        graph = convert_model(Traced(), example_input=tuple(example), input=[([-1, -1], ov.Type.i64) for _ in inputs])
    for name, port in zip(inputs, graph.inputs, strict=True):
        port.get_tensor().set_names({name})
    # how many columns there are may be lost in the trace, and a loader asks the graph for it
    rows = ov.opset13.reshape(graph.output(0).get_node().input_value(0), [-1, engine.info.width], False)
    graph = ov.Model([rows], graph.get_parameters(), "exported")
    name_by_place(graph)
    ov.serialize(graph, str(out / GRAPH), str(out / NUMBERS))


if __name__ == "__main__":
    given_job, given_source, given_key, given_texts, given_out = sys.argv[1:]
    try:
        main(Path(given_job), Path(given_source), given_key, Path(given_texts), Path(given_out))
    except HardtackError as problem:
        raise SystemExit(f"{problem.what}: {problem.found}") from None
