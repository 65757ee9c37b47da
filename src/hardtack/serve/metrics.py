"""Figures for Prometheus, in its text format 0.0.4, by the names that text-embeddings-inference made usual.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import os
import resource
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
STARTED = time.time()


class Counter:
    """A number that only grows, by values of its labels."""

    def __init__(self, name: str, about: str, labels: Sequence[str] = ()) -> None:
        self.name, self._about, self._labels = name, about, tuple(labels)
        self.values: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}

    def add(self, *labels: str, by: float = 1.0) -> None:
        """Let it grow."""
        self.values[labels] = self.values.get(labels, 0.0) + by

    def lines(self) -> Iterable[str]:
        """Its lines of the exposition."""
        yield from _head(self.name, "counter", self._about)
        for values, figure in sorted(self.values.items()):
            yield f"{self.name}{_labels(self._labels, values)} {_number(figure)}"


class Gauge:
    """Numbers that are asked for when somebody looks."""

    def __init__(
        self, name: str, about: str, read: Callable[[], Mapping[tuple[str, ...], float]], labels: Sequence[str] = (),
        kind: str = "gauge",
    ) -> None:  # fmt: skip
        self.name, self._about, self._read, self._labels, self._kind = name, about, read, tuple(labels), kind

    def lines(self) -> Iterable[str]:
        """Its lines of the exposition."""
        yield from _head(self.name, self._kind, self._about)
        for values, figure in sorted(self._read().items()):
            yield f"{self.name}{_labels(self._labels, values)} {_number(figure)}"


class Histogram:
    """How often a figure fell where, by values of its labels."""

    def __init__(self, name: str, about: str, bounds: Sequence[float], labels: Sequence[str] = ()) -> None:
        self.name, self._about, self._bounds, self._labels = name, about, tuple(bounds), tuple(labels)
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def see(self, figure: float, *labels: str) -> None:
        """Count one figure."""
        counts = self._counts.get(labels)
        if counts is None:
            counts = self._counts[labels] = [0] * (len(self._bounds) + 1)
            self._sums[labels] = 0.0
        counts[bisect_left(self._bounds, figure)] += 1
        self._sums[labels] += figure

    def count(self, *labels: str) -> int:
        """How many figures there were."""
        return sum(self._counts.get(labels, ()))

    def quantile(self, share: float, *labels: str) -> float:
        """About where a share of the figures lies below, interpolated within a bound; 0 where there are none."""
        counts = self._counts.get(labels, [])
        due, low = share * sum(counts), 0.0
        for bound, count in zip((*self._bounds, self._bounds[-1]), counts, strict=bool(counts)):
            if count and due <= count:
                return low + (bound - low) * due / count
            due -= count
            low = bound
        return low if counts else 0.0

    def lines(self) -> Iterable[str]:
        """Its lines of the exposition."""
        yield from _head(self.name, "histogram", self._about)
        for values, counts in sorted(self._counts.items()):
            total = 0
            for bound, count in zip((*map(_number, self._bounds), "+Inf"), counts, strict=True):
                total += count
                yield f"{self.name}_bucket{_labels((*self._labels, 'le'), (*values, bound))} {total}"
            yield f"{self.name}_sum{_labels(self._labels, values)} {_number(self._sums[values])}"
            yield f"{self.name}_count{_labels(self._labels, values)} {total}"


class Measures:
    """Everything that a service measures. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        per_method = ("method",)
        per_model = ("model",)
        self.requests = Counter("te_request_count", "Requests that came.", per_method)
        self.success = Counter("te_request_success", "Requests that were answered.", per_method)
        self.failure = Counter("te_request_failure", "Requests that were refused, by why.", ("err",))
        self.http = Counter(
            "http_requests_total", "Responses by method, path and status.", ("method", "path", "status")
        )
        self.duration = Histogram("te_request_duration", "Seconds from request to answer.", SECONDS, per_method)
        self.queue = Histogram("te_request_queue_duration", "Seconds a text waited for its turn.", SECONDS, per_model)
        self.counting = Histogram(
            "te_request_tokenization_duration", "Seconds a request waited for its tokens.", SECONDS, per_model
        )
        self.inference = Histogram("te_request_inference_duration", "Seconds a batch ran.", SECONDS, per_model)
        self.length = Histogram("te_request_input_length", "Tokens of a text.", COUNTS, per_model)
        self.batch = Histogram("te_batch_next_size", "Texts in a batch.", COUNTS, per_model)
        self.batch_tokens = Histogram("te_batch_next_tokens", "Tokens in a batch.", COUNTS, per_model)
        self.left = Counter("hardtack_clients_left_total", "Requests whose client left before the answer.")
        self._more: list[Gauge] = _process()

    def add(self, gauge: Gauge) -> None:
        """Show one more."""
        self._more.append(gauge)

    def text(self) -> str:
        """All of it, as Prometheus reads it."""
        shown = [each for each in vars(self).values() if isinstance(each, Counter | Histogram)]
        return "\n".join(line for each in (*shown, *self._more) for line in each.lines()) + "\n"


def resident_bytes() -> int:
    """Memory that this process holds; 0 where the kernel does not say so."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def _process() -> list[Gauge]:
    """What prometheus_client shows of every process, by its names."""

    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    return [
        Gauge("process_resident_memory_bytes", "Resident memory.", lambda: {(): float(resident_bytes())}),
        Gauge("process_cpu_seconds_total", "User and system CPU time.", lambda: {(): cpu()}, kind="counter"),
        Gauge("process_start_time_seconds", "When it started, since the epoch.", lambda: {(): STARTED}),
        Gauge("process_threads", "Threads of Python.", lambda: {(): float(threading.active_count())}),
    ]


def _head(name: str, kind: str, about: str) -> tuple[str, str]:
    return f"# HELP {name} {about}", f"# TYPE {name} {kind}"


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    if not names:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(figure: float) -> str:
    return str(int(figure)) if figure == int(figure) else repr(figure)
