"""What drawing and running MiniLM otherwise would give: one thing changed at a time, against how it is drawn and run.

Texts a second of CPU time are shown beside those of the clock: they say what the work costs, whoever else is at work.
The answer is in docs/performance-notes.md; this is how to ask again on another CPU. Needs HARDTACK_REAL, not torch.
"""

from __future__ import annotations

import logging
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.measure import alternate
from benchmarks.runtime import REAL, _texts
from hardtack.runtime.batching import Budget
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.engines.openvino import OpenVinoEngine, open_engine
from hardtack.runtime.load import Options, load_model
from hardtack.runtime.weights import Weights
from hardtack.spec.words import Precision, Task

_COUNT = 200
_ROUNDS = 3


def main() -> None:
    """Print the figures."""
    if not REAL.is_dir():
        print(f"SKIP: no real models at HARDTACK_REAL={REAL}")
        return
    logging.getLogger("hardtack").setLevel(logging.ERROR)  # a directory without a lock is meant here
    texts = _texts(_COUNT)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        model = Path(folder) / "minilm"
        subprocess.run([str(REAL / "fetch-minilm"), str(model)], check=True, capture_output=True)
        cpus = len(os.sched_getaffinity(0))
        opened = {
            "as it is": _load(model),
            "fused QKV": _load(model, _fused_qkv),
            "attention as MatMul, Softmax, MatMul": _load(model, _plain_attention),
            "tanh GELU": _load(model, _tanh_gelu),
            "1 stream of all threads": _load(model, streams=1),
            f"{2 * cpus} streams": _load(model, streams=2 * cpus),
        }
        runs: dict[str, Callable[[], object]] = {name: partial(each.encode, texts) for name, each in opened.items()}
        budget = Budget()
        for name, other in {
            "batches of 8": replace(budget, rows=8),
            "batches of 16": replace(budget, rows=16),
            "batches of 64": replace(budget, rows=64, tokens=16384),
            "batches of 512 tokens": replace(budget, tokens=512),
            "batches of 2,048 tokens": replace(budget, tokens=2048),
            "batches of 8,192 tokens": replace(budget, tokens=8192),
            "lengths in steps from 1": replace(budget, step=1),
            "lengths in steps from 32": replace(budget, step=32),
        }.items():
            opened[name] = _load(model)
            opened[name]._budget = other
            runs[name] = partial(opened[name].encode, texts)
        packed = stack.enter_context(_packed(model))
        runs["packed rows of 256 tokens"] = partial(packed, texts)
        for embedder in opened.values():
            embedder.encode(texts)
        packed(texts)
        reference = opened["as it is"].encode(texts)
        costs: dict[str, list[float]] = {name: [] for name in runs}
        rates = alternate({name: _timed(work, costs[name]) for name, work in runs.items()}, rounds=_ROUNDS)
        cost = {name: statistics.median(each) for name, each in costs.items()}
        usual, executed = "as it is", opened["as it is"].engine.precision
        print(f"{_COUNT} texts of mixed lengths, {executed}, {cpus} CPUs; texts/s, × as it is: by clock, by CPU time")
        for name, rate in rates.items():
            lowest = f"{float((opened[name].encode(texts) * reference).sum(1).min()):.5f}" if name in opened else "–"
            print(
                f"  {name:<38} {rate:7.1f} {rate / rates[usual]:5.2f} {cost[name]:7.1f} {cost[name] / cost[usual]:5.2f}"
                f"  lowest cosine to it {lowest}"
            )


def _load(model: Path, change: Callable[[], Any] | None = None, *, streams: int | None = None) -> Embedder:
    def engine(layout: Any, weights: Weights, options: Options) -> OpenVinoEngine:
        made = open_engine(layout, weights, precision=options.precision)
        if streams is not None:
            made._many = streams
        return made

    with ExitStack() as stack:
        if change is not None:
            stack.enter_context(change())
        options = Options(precision=Precision.AUTO)
        loaded = load_model(model, Task.EMBED, locked=None, source="path", options=options, open_engine=engine)
    assert isinstance(loaded, Embedder)
    return loaded


def _timed(work: Callable[[], object], cost: list[float]) -> Callable[[], float]:
    """Texts a second of a piece of work; those a second of CPU time go into ``cost``."""

    def run() -> float:
        began, worked = time.perf_counter(), time.process_time()
        work()
        cost.append(_COUNT / (time.process_time() - worked))
        return _COUNT / (time.perf_counter() - began)

    return run


def _plain_attention() -> Any:
    from hardtack.runtime.families import bert
    from hardtack.runtime.families.pieces import numbers, op

    def attention(q: Any, k: Any, v: Any, bias: Any, scale: float) -> Any:
        scores = op.add(op.multiply(op.matmul(q, k, False, True), numbers(scale)), bias)
        return op.matmul(op.softmax(scores, -1), v, False, False)

    return mock.patch.object(bert, "attention", attention)


def _tanh_gelu() -> Any:
    from hardtack.runtime.families import pieces

    return mock.patch.dict(pieces.ACTIVATIONS, {"gelu": pieces._gelu_tanh})  # type: ignore[arg-type]


def _fused_qkv() -> Any:
    """The three projections of a layer as one product, split behind it; the queries' draws it for all three."""
    from hardtack.runtime.families import bert
    from hardtack.runtime.families.pieces import Constants, linear, op

    parts: list[Any] = []

    def fused(x: Any, constants: Constants, inputs: int, outputs: int) -> Any:
        name = constants.prefix.rstrip(".").rpartition(".")[2]
        if name not in ("query", "key", "value"):
            return linear(x, constants, inputs, outputs)
        if name == "query":
            own = Constants(constants.tensors, constants.prefix.removesuffix("query."))
            of = [own.under(each) for each in ("query", "key", "value")]
            weight = np.concatenate([c.tensors[f"{c.prefix}weight"].float32() for c in of])
            bias = np.concatenate([c.tensors[f"{c.prefix}bias"].float32() for c in of])
            whole = op.add(op.matmul(x, op.constant(weight), False, True), op.constant(bias))
            split = op.split(whole, op.constant(np.int64(2)), 3)
            parts[:] = [split.output(number) for number in range(3)]
        return parts[("query", "key", "value").index(name)]

    return mock.patch.object(bert, "linear", fused)


@contextmanager
def _packed(model: Path, width: int = 256, rows: int = 4) -> Iterator[Callable[[list[str]], None]]:
    """Several texts in one row, each blind to the others: no padding but at a row's end, and more attention.

    Means are taken outside of the graph, so that this is a bound from above on what packing could give.
    """
    import json

    import openvino as ov
    from tokenizers import Tokenizer

    from hardtack.runtime.families import bert
    from hardtack.runtime.families.config import number, whole
    from hardtack.runtime.families.pieces import Constants, embed, ids_input, ints, layer_norm, numbers, op
    from hardtack.runtime.read_layout import read_layout
    from hardtack.runtime.weights import open_weights

    layout = read_layout(model, Task.EMBED)
    weights = open_weights(layout)
    ids, places, segments = (ids_input(name) for name in ("input_ids", "places", "segments"))
    size = whole(layout, "hidden_size")
    constants = Constants(weights.body).rooted("embeddings.word_embeddings.weight")
    table = constants.under("embeddings")
    words = embed(table("word_embeddings.weight", whole(layout, "vocab_size"), size), ids)
    where = embed(table("position_embeddings.weight", whole(layout, "max_position_embeddings"), size), places)
    kind = op.gather(table("token_type_embeddings.weight", 2, size), ints(0), ints(0))
    summed = layer_norm(
        op.add(op.add(words, where), kind), table.under("LayerNorm"), size, number(layout, "layer_norm_eps")
    )

    def apart(segment: Any) -> Any:
        same = op.equal(op.unsqueeze(segment, ints(2)), op.unsqueeze(segment, ints(1)))
        away = op.subtract(numbers(1.0), op.convert(same, ov.Type.f32))
        return op.unsqueeze(op.multiply(away, numbers(-1e9)), ints(1))

    with mock.patch.object(bert, "mask_bias", apart):
        tokens = bert.encoder(layout, summed, segments, constants.under("encoder"))
    cpus = len(os.sched_getaffinity(0))
    config = {"NUM_STREAMS": cpus, "INFERENCE_NUM_THREADS": cpus, "ENABLE_CPU_PINNING": False}
    compiled = ov.Core().compile_model(ov.Model([tokens], [ids, places, segments]), "CPU", config)
    tokenizer = Tokenizer.from_str(json.dumps(json.loads((model / "tokenizer.json").read_text()) | {"padding": None}))
    tokenizer.enable_truncation(width)

    def run(texts: list[str]) -> None:
        lengths = [each.ids for each in tokenizer.encode_batch(texts)]
        packs: list[list[list[int]]] = []
        for each in sorted(lengths, key=len, reverse=True):
            place = next((p for p in packs if sum(map(len, p)) + len(each) <= width), None)
            packs.append([each]) if place is None else place.append(each)
        queue = ov.AsyncInferQueue(compiled, cpus)
        for start in range(0, len(packs), rows):
            feed = np.zeros((3, len(packs[start : start + rows]), width), np.int64)
            feed[2] = -1
            for row, pack in enumerate(packs[start : start + rows]):
                at = 0
                for segment, each in enumerate(pack):
                    end = at + len(each)
                    feed[0, row, at:end], feed[1, row, at:end], feed[2, row, at:end] = each, range(len(each)), segment
                    at = end
            queue.start_async(dict(zip(("input_ids", "places", "segments"), feed, strict=True)))
        queue.wait_all()

    yield run


if __name__ == "__main__":
    main()
