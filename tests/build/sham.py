"""Quantising for tests without NNCF: the drawn graph is written as it is, or with answers off by a known lot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hardtack.build.quantize_child import name_by_place
from hardtack.build.recipe import WAYS, Recipe
from hardtack.build.texts import Texts
from hardtack.runtime.engines.openvino_import import import_openvino
from hardtack.runtime.families import draw
from hardtack.runtime.instructions import Native
from hardtack.runtime.read_layout import read_layout
from hardtack.runtime.weights import open_weights
from hardtack.spec.lock import LOCK_NAME
from hardtack.spec.lock_text import read_lock


@dataclass(frozen=True)
class Ran:
    returncode: int = 0
    said: str = ""
    attempts: int = 0


def writing(noise: Mapping[str, float] | None = None, seen: list[str] | None = None) -> Callable[..., Ran]:
    """A ``run`` that writes a build.

    Args:
        noise: by way: how far its answers are off, relative to their size; 0 for a way that it does not name.
        seen: told the ways, in the order they were asked for.
    """

    def run(command: Sequence[str], env: Mapping[str, str]) -> Ran:
        job, source, key, way, _, out = command[-6:]
        model = read_lock(Path(job) / LOCK_NAME).find(key)
        layout = read_layout(Path(source), model.task, overrides=model.overrides)
        weights = open_weights(layout)
        graph = draw(layout, weights)
        ov = import_openvino()
        if amount := (noise or {}).get(way, 0.0):
            width = graph.output(0).get_partial_shape()[1]
            columns = width.get_length() if width.is_static else 1
            # a fixed shift of every column: vectors turn, and a score moves by what its text has there
            shift = np.random.default_rng(0).normal(1, amount, (1, columns)).astype(np.float32)
            off = ov.opset13.multiply(graph.output(0).get_node().input_value(0), shift)
            graph = ov.Model([off], graph.get_parameters())
        name_by_place(graph)
        ov.serialize(graph, str(Path(out) / "model.xml"), str(Path(out) / "model.bin"))
        if seen is not None:
            seen.append(way)
        return Ran()

    return run


def recipe(way: str, texts: Texts) -> Recipe:
    """The recipe, as if NNCF 9.9 were installed."""
    return Recipe(way, WAYS[way].version, "2026.4.1", "9.9", texts.digest if WAYS[way].calibrated else "")


def race(**seconds: float) -> Callable[[Mapping[str, Callable[[], object]]], dict[str, float]]:
    """A race that ends as said; ``fp32`` and ``usual`` take a second unless said otherwise."""
    return lambda runs: {name: ({"fp32": 1.0, "usual": 1.0, "build": 0.5} | seconds)[name] for name in runs}


def cpu(kind: Native) -> Callable[[], Native]:
    """A CPU of a kind."""
    return lambda: kind
