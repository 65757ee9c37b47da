"""What ``hardtack bench`` runs in a process for each model: load it, answer once, then be timed.

Run as ``python -m hardtack.cli.bench_child KEY``; not meant for people. Prints a line of JSON as soon as the first
answer is there, which whoever started it takes the time of, and one with the figures at the end.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from hardtack.errors import HardtackError
from hardtack.loaders import make_manager
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.golden import FALLBACK_LABELS, FALLBACK_PROMPT
from hardtack.runtime.likelihood import LikelihoodClassifier
from hardtack.runtime.manager import Model
from hardtack.runtime.reranker import Reranker
from hardtack.settings import read_settings

_LONE = 60
_SECONDS = 5.0
_LEAST = 3


def main(key: str) -> None:
    """Measure one model."""
    model = make_manager(read_settings()).load(key)
    ask_one(model, 0)
    _say({"answered": True})
    _say(measure(model))


def measure(model: Model, clock: Callable[[], float] = time.perf_counter) -> dict[str, Any]:
    """A loaded model's figures, as plain values; times are seconds."""
    from hardtack.build.ask import ask
    from hardtack.build.texts import GATE, read_texts

    texts = read_texts(GATE)
    count = len(ask(model, texts).rows)  # warm: every shape was seen, and what is compiled for many batches is
    lone = []
    for number in range(_LONE):
        began = clock()
        ask_one(model, number)
        lone.append(clock() - began)
    many: list[float] = []
    while len(many) < _LEAST or sum(many) < _SECONDS:
        began = clock()
        ask(model, texts)
        many.append(clock() - began)
    lone.sort()
    return {
        **{name: model.info[name] for name in ("key", "task", "repo", "engine", "precision", "why", "loss")},
        "unit": "pairs" if isinstance(model, Reranker) else "texts",
        "per_second": round(count / statistics.median(many), 1),
        "p50": round(statistics.median(lone), 6),
        "p99": round(lone[int(0.99 * len(lone))], 6),
        "load": model.info["seconds"],
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def ask_one(model: Model, number: int) -> None:
    """Put one short text (or pair) to a model; every number is a text of its own."""
    text = f"Light number {number} turns on at 7 AM"
    if isinstance(model, Embedder):
        model.encode(text)
    elif isinstance(model, Reranker):
        model.predict([("morning routine", text)])
    elif isinstance(model, LikelihoodClassifier) and not model.groups:
        model.classify(text, labels=FALLBACK_LABELS, prompt=FALLBACK_PROMPT)
    else:
        model.classify(text)


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except HardtackError as problem:
        _say({"error": problem.fields(), "exit": problem.exit_code})
