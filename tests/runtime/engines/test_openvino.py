"""The contract of an engine, held by OpenVINO's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardtack.errors import UnsupportedModel
from hardtack.runtime.engines import openvino as engine_module
from hardtack.runtime.engines.interface import Engine, Feed
from hardtack.runtime.engines.openvino import Bf16, choose_precision, open_engine
from hardtack.runtime.engines.openvino_import import import_openvino
from hardtack.runtime.engines.openvino_streams import Streams, cut
from hardtack.runtime.read_layout import read_layout
from hardtack.runtime.weights import open_weights
from hardtack.spec.words import Precision, Task
from tests.models import make_bert, make_mpnet, make_roberta, make_static, make_t5
from tests.runtime.running import LABELS, PAIRS, TEXTS, cosines, encode, engine_for, feed, label_feed, rows_of

HAS_BF16 = "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
needs_bf16 = pytest.mark.skipif(not HAS_BF16, reason="this CPU does not multiply bf16 natively")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def engine(directory: Path) -> Engine:
    return engine_for(directory, Task.EMBED)


@pytest.fixture(scope="module")
def batch(directory: Path, engine: Engine) -> Feed:
    return feed(engine, encode(directory, TEXTS), pad_id=0)


def one(batch: Feed, row: int) -> Feed:
    return {name: rows[row : row + 1] for name, rows in batch.items()}


def test_info(engine: Engine) -> None:
    info = engine.info
    assert (info.name, info.precision, info.device, info.width) == ("openvino", "fp32", "cpu", 16)
    assert info.inputs == ("input_ids", "attention_mask", "token_type_ids")
    assert info.why


def test_no_feeds_deliver_nothing(engine: Engine) -> None:
    engine.run([], lambda number, rows: pytest.fail("delivered"))


def test_every_feed_is_delivered_once_with_its_number(engine: Engine, batch: Feed) -> None:
    wanted = rows_of(engine, batch)
    seen: dict[int, Any] = {}
    engine.run((one(batch, n % 3) for n in range(50)), lambda number, rows: seen.setdefault(number, rows.copy()))
    assert sorted(seen) == list(range(50))
    for number, rows in seen.items():
        np.testing.assert_allclose(rows, wanted[number % 3 : number % 3 + 1], atol=1e-6)
        assert rows.dtype == np.float32


def test_feeds_are_taken_as_they_are_needed(engine: Engine, batch: Feed) -> None:
    taken, ahead = 0, []

    def feeds() -> Iterator[Feed]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield one(batch, 0)

    engine.run(feeds(), lambda number, _: ahead.append(taken - number))
    assert max(ahead) <= 6  # two streams, as many waiting, and the one in hand


@pytest.mark.parametrize("small", [True, False])
def test_a_lone_feed_is_the_same_in_one_piece_or_several(
    small: bool, directory: Path, batch: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_SMALL", 2**30 if small else 0)
    engine = engine_for(directory, Task.EMBED)
    alone = rows_of(engine, *(one(batch, row) for row in range(3)))
    np.testing.assert_allclose(rows_of(engine, batch), alone, atol=1e-6)


def test_how_a_lone_feed_is_run(directory: Path, batch: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_for(directory, Task.EMBED)
    seen: list[int] = []
    beside, go = threading.Event(), threading.Event()
    infer = Streams.infer

    def watched(streams: Any, feed: Feed) -> Any:
        seen.append(len(feed["input_ids"]))
        if threading.current_thread().name == "beside":
            beside.set()
            assert go.wait(10)
        return infer(streams, feed)

    monkeypatch.setattr(Streams, "infer", watched)

    def run(*feeds: Feed) -> list[int]:
        seen.clear()
        rows_of(engine, *feeds)
        return sorted(seen)

    assert run(batch) == [3], "the graph of many streams is not compiled yet"
    run(batch, batch)
    assert run(batch) == [1, 2], "a piece for each stream"
    assert run(one(batch, 0)) == [1]
    other = threading.Thread(target=lambda: rows_of(engine, one(batch, 0)), name="beside")
    other.start()
    assert beside.wait(10)
    assert run(batch) == [3], "beside another a stream is all it has"
    go.set()
    other.join()
    assert [run(batch) for _ in range(8)] == [*[[3]] * 7, [1, 2]], "and for a while after, as others may come again"


def test_an_openvino_that_cannot_be_told_to_keep_few_shapes_runs(
    directory: Path, batch: Feed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = rows_of(engine_for(directory, Task.EMBED), batch)
    assert not caplog.records
    monkeypatch.setattr(engine_module, "_SHAPES", {"NO_SUCH_PROPERTY": 128})
    with caplog.at_level("INFO", "hardtack"):
        found = rows_of(engine_for(directory, Task.EMBED), batch)
    assert "NO_SUCH_PROPERTY" in caplog.text
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("pieces", [1, 2, 3, 5])
def test_cutting_keeps_every_text_and_all_labels(pieces: int) -> None:
    whole = {"input_ids": np.arange(6).reshape(3, 2), "target_ids": np.arange(8).reshape(4, 2)}
    parts = cut(whole, pieces)
    assert len(parts) == min(pieces, 3)
    np.testing.assert_array_equal(np.concatenate([part["input_ids"] for part in parts]), whole["input_ids"])
    assert all(part["target_ids"] is whole["target_ids"] for part in parts)


def test_a_lone_feed_of_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = make_t5(tmp_path)
    labels = label_feed([label.ids for label in encode(directory, LABELS)])
    engines = [engine_for(directory, Task.CLASSIFY)]
    monkeypatch.setattr(engine_module, "_SMALL", 0)
    engines.append(engine_for(directory, Task.CLASSIFY))
    rows = [rows_of(engine, {**feed(engine, encode(directory, TEXTS), pad_id=0), **labels}) for engine in engines]
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-5)


class Stop(Exception):
    pass


def failing_feeds(batch: Feed) -> Iterator[Feed]:
    yield one(batch, 0)
    yield one(batch, 1)
    raise Stop


def failing_delivery(number: int, rows: Any) -> None:
    if number == 1:
        raise Stop


RUNS: dict[str, Callable[[Engine, Feed], None]] = {
    "a feed that cannot be made": lambda engine, batch: engine.run(failing_feeds(batch), lambda *_: None),
    "a delivery that fails": lambda engine, batch: engine.run([one(batch, 0)] * 20, failing_delivery),
}


@pytest.mark.parametrize("run", RUNS)
def test_the_first_exception_stops_the_run_and_the_engine_goes_on(run: str, engine: Engine, batch: Feed) -> None:
    with pytest.raises(Stop):
        RUNS[run](engine, batch)
    assert len(rows_of(engine, batch)) == 3


def test_a_feed_that_does_not_fit_is_an_exception(engine: Engine, batch: Feed) -> None:
    too_long = {name: np.zeros((1, 41), np.int64) for name in batch}  # the position table has 40 rows
    with pytest.raises(RuntimeError):
        engine.run([one(batch, 0), too_long, one(batch, 1)], lambda *_: None)
    assert len(rows_of(engine, batch)) == 3


def test_several_callers_at_once(engine: Engine, batch: Feed) -> None:
    wanted = rows_of(engine, *(one(batch, n % 3) for n in range(20)))
    found: list[Any] = []
    callers = [
        threading.Thread(target=lambda: found.append(rows_of(engine, *(one(batch, n % 3) for n in range(20)))))
        for _ in range(6)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 6
    for rows in found:
        np.testing.assert_array_equal(rows, wanted)


def test_a_closed_engine_lets_go_of_its_weights(directory: Path, batch: Feed) -> None:
    import gc
    import weakref

    layout = read_layout(directory, Task.EMBED)
    weights = open_weights(layout)
    body = weakref.ref(weights.body)
    engine = open_engine(layout, weights, precision=Precision.FP32, threads=1)
    del weights
    gc.collect()
    assert body() is not None
    assert len(rows_of(engine, batch)) == 3
    engine.close()
    gc.collect()
    assert body() is None


@pytest.mark.parametrize(
    ("asked", "family", "bf16", "chosen"),
    [
        (Precision.AUTO, "bert", Bf16.FAST, Precision.BF16),
        (Precision.AUTO, "bert", Bf16.SLOW, Precision.FP32),
        (Precision.AUTO, "bert", Bf16.ABSENT, Precision.FP32),
        (Precision.AUTO, "static", Bf16.FAST, Precision.FP32),
        (Precision.FP32, "bert", Bf16.FAST, Precision.FP32),
        (Precision.BF16, "bert", Bf16.SLOW, Precision.BF16),
        (Precision.BF16, "t5", Bf16.FAST, Precision.BF16),
    ],
)
def test_choice_of_precision(asked: Precision, family: str, bf16: Bf16, chosen: Precision) -> None:
    precision, why = choose_precision(asked, family, bf16)
    assert precision is chosen
    assert why


@pytest.mark.parametrize("asked", [Precision.BF16, Precision.FP16, Precision.INT8])
def test_what_the_cpu_does_not_execute_is_refused(asked: Precision) -> None:
    with pytest.raises(UnsupportedModel) as caught:
        choose_precision(asked, "bert", Bf16.ABSENT)
    assert caught.value.found == asked


@needs_bf16
@pytest.mark.parametrize("make", [make_bert, make_roberta, make_mpnet])
def test_bf16_is_close_to_float32(make: Callable[..., Path], tmp_path: Path) -> None:
    directory = make(tmp_path, hidden_size=64, num_hidden_layers=3, intermediate_size=128)
    rows = []
    for precision in (Precision.FP32, Precision.BF16):
        engine = engine_for(directory, Task.EMBED, precision)
        assert engine.info.precision == precision
        rows.append(rows_of(engine, feed(engine, encode(directory, TEXTS), pad_id=1)))
    assert cosines(*rows).min() > 0.9999
    assert not np.array_equal(rows[0], rows[1])


@needs_bf16
@pytest.mark.parametrize(
    ("make", "task"),
    [
        (lambda d: make_bert(d, num_hidden_layers=0, dense=(12,)), Task.EMBED),
        (lambda d: make_bert(d, Task.RERANK, num_hidden_layers=0), Task.RERANK),
        (lambda d: make_roberta(d, Task.RERANK, num_hidden_layers=0), Task.RERANK),
        (lambda d: make_mpnet(d, Task.CLASSIFY, num_hidden_layers=0, labels=("a", "b", "c")), Task.CLASSIFY),
        (lambda d: make_static(d), Task.EMBED),
    ],
)
def test_heads_are_float32_whatever_the_rest_is(make: Callable[[Path], Path], task: Task, tmp_path: Path) -> None:
    # Without layers nothing but the head is left that could be rounded.
    directory = make(tmp_path)
    rows = []
    for precision in (Precision.FP32, Precision.BF16):
        engine = engine_for(directory, task, precision)
        rows.append(rows_of(engine, feed(engine, encode(directory, TEXTS), pad_id=1)))
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)


@needs_bf16
@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_close_scores_do_not_fall_on_the_grid_of_bf16(dtype: str, tmp_path: Path) -> None:
    directory = make_bert(tmp_path, Task.RERANK, dtype=dtype)
    engine = engine_for(directory, Task.RERANK, Precision.BF16)
    scores = rows_of(engine, feed(engine, encode(directory, PAIRS), pad_id=0))
    assert ((scores.view(np.uint32) & 0xFFFF) != 0).all()


@needs_bf16
def test_scores_of_labels_in_bf16(tmp_path: Path) -> None:
    directory = make_t5(tmp_path)
    labels = label_feed([label.ids for label in encode(directory, LABELS)])
    rows = []
    for precision in (Precision.FP32, Precision.BF16):
        engine = engine_for(directory, Task.CLASSIFY, precision)
        rows.append(rows_of(engine, {**feed(engine, encode(directory, TEXTS), pad_id=0), **labels}))
    np.testing.assert_allclose(rows[0], rows[1], rtol=0.02)
    assert ((rows[1].view(np.uint32) & 0xFFFF) != 0).all()
