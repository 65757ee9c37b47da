from __future__ import annotations

import pytest

from hardtack.serve.metrics import Counter, Gauge, Histogram, Measures


def test_a_counter() -> None:
    counter = Counter("asked_total", "How often.", ("method",))
    counter.add("/embed")
    counter.add("/embed", by=2)
    counter.add('a"b\\c\nd')
    assert list(counter.lines()) == [
        "# HELP asked_total How often.",
        "# TYPE asked_total counter",
        'asked_total{method="/embed"} 3',
        'asked_total{method="a\\"b\\\\c\\nd"} 1',
    ]


def test_a_gauge_is_asked_when_somebody_looks() -> None:
    figures: dict[tuple[str, ...], float] = {("a",): 1.5}
    gauge = Gauge("room", "Room.", lambda: figures, ("key",))
    assert list(gauge.lines())[-1] == 'room{key="a"} 1.5'
    figures["a",] = 2.0
    assert list(gauge.lines())[-1] == 'room{key="a"} 2'


def test_a_histogram_counts_up_to_each_bound() -> None:
    histogram = Histogram("took", "Seconds.", (0.1, 1.0))
    for figure in (0.05, 0.1, 0.5, 3.0):
        histogram.see(figure)
    assert list(histogram.lines())[2:] == [
        'took_bucket{le="0.1"} 2',
        'took_bucket{le="1"} 3',
        'took_bucket{le="+Inf"} 4',
        "took_sum 3.65",
        "took_count 4",
    ]


def test_a_quantile_lies_within_its_bound() -> None:
    histogram = Histogram("took", "Seconds.", (0.1, 1.0, 10.0))
    assert histogram.quantile(0.5) == 0.0
    for figure in [0.05] * 98 + [5.0] * 2:
        histogram.see(figure)
    assert 0 < histogram.quantile(0.5) <= 0.1
    assert 1 < histogram.quantile(0.99) <= 10
    assert histogram.quantile(1.0) == pytest.approx(10)


def test_all_of_it_has_each_name_once() -> None:
    types = [line.split()[2] for line in Measures().text().splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types))
    assert {"te_request_count", "te_request_duration", "process_resident_memory_bytes"} <= set(types)
