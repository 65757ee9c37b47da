"""The native engine, in its double: near the openvino engine in fp32, and the same to the bit in any company."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hardtack.errors import NotDrawn, UnsupportedModel
from hardtack.runtime.engines import native, openvino
from hardtack.runtime.engines.interface import Engine, Feed
from hardtack.runtime.layout import Layout
from hardtack.runtime.native.library import Ability
from hardtack.runtime.native.packed import Packed, pack
from hardtack.runtime.native.reading import read_arrays, read_shape
from hardtack.runtime.read_layout import read_layout
from hardtack.runtime.weights import open_weights
from hardtack.spec.words import Pooling, Precision, Task
from tests.double import double
from tests.models import make_bert, make_distilbert, make_mpnet, make_roberta, random_weights, write_safetensors
from tests.runtime.running import PAIRS, TEXTS, cosines, encode, feed, rows_of

Make = Callable[..., Path]
FAMILIES: dict[str, tuple[Make, dict[str, Any]]] = {
    "bert": (make_bert, {}),
    "bert without types": (make_bert, {"type_vocab_size": 1}),
    "roberta": (make_roberta, {}),
    "xlm-roberta": (make_roberta, {"model_type": "xlm-roberta", "hidden_act": "gelu_new"}),
    "mpnet": (make_mpnet, {}),
    "one head of 32": (make_bert, {"hidden_size": 32, "num_attention_heads": 1}),
    "heads of 40, in two panels": (make_bert, {"hidden_size": 80, "num_attention_heads": 2, "intermediate_size": 70}),
    "several slices": (make_bert, {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 1100}),
    "half precision": (make_mpnet, {"dtype": "F16"}),
}
LENGTHS = (1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 127, 128, 129, 300)


def packed(layout: Layout) -> Packed:
    shape = read_shape(layout)
    return pack(shape, read_arrays(layout, open_weights(layout), shape))


def native_engine(directory: Path, task: Task, threads: int = 2) -> native.NativeEngine:
    layout = read_layout(directory, task)
    return native.open_engine(layout, packed(layout), double(), threads=threads, why="a test")


def openvino_engine(directory: Path, task: Task) -> Engine:
    layout = read_layout(directory, task)
    return openvino.open_engine(layout, open_weights(layout), precision=Precision.FP32, threads=2)


def batch(rows: Sequence[NDArray[np.int64]], *, extra: int = 0, pad: int = 0) -> Feed:
    """Ids of a BERT, without types, as one feed."""
    width = max(len(row) for row in rows) + extra
    ids, mask = np.full((len(rows), width), pad), np.zeros((len(rows), width), np.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
        mask[number, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def random_rows(lengths: Sequence[int], vocabulary: int, seed: int = 0) -> list[NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(4, vocabulary, length) for length in lengths]


@pytest.fixture(scope="module")
def long_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small, but with positions enough for the longest texts."""
    directory = tmp_path_factory.mktemp("long")
    return make_bert(directory, hidden_size=32, num_attention_heads=2, max_position_embeddings=512)


@pytest.fixture(scope="module")
def engine(long_bert: Path) -> Iterator[native.NativeEngine]:
    made = native_engine(long_bert, Task.EMBED)
    yield made
    made.close()


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("task", [Task.EMBED, Task.RERANK])
def test_answers_are_near_those_of_openvino(name: str, task: Task, tmp_path: Path) -> None:
    make, config = FAMILIES[name]
    directory = make(tmp_path, task, **config)
    ours, theirs = native_engine(directory, task), openvino_engine(directory, task)
    assert ours.info.inputs == theirs.info.inputs
    assert ours.info.width == theirs.info.width
    pad = read_layout(directory, task).tokenizing.pad_id
    texts = feed(theirs, encode(directory, TEXTS if task is Task.EMBED else PAIRS), pad_id=pad, extra=2)
    made, due = rows_of(ours, texts), rows_of(theirs, texts)
    if task is Task.EMBED:
        assert cosines(made, due).min() >= 0.9998  # weights of chance are farther off than trained ones
    np.testing.assert_allclose(made, due, atol=0.03)
    ours.close()


@pytest.mark.parametrize("pooling", [p for p in Pooling if p is not Pooling.MEAN])
@pytest.mark.parametrize("prompt", [False, True])
def test_every_pooling(pooling: Pooling, prompt: bool, tmp_path: Path) -> None:
    directory = make_bert(tmp_path, pooling=pooling, normalize=False)
    if prompt:
        config = directory / "1_Pooling/config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"include_prompt": False}))
    ours, theirs = native_engine(directory, Task.EMBED), openvino_engine(directory, Task.EMBED)
    assert ours.info.inputs == theirs.info.inputs
    texts = dict(feed(theirs, encode(directory, TEXTS), pad_id=0))
    if prompt:
        texts["pooling_mask"] = texts["attention_mask"] * (np.arange(texts["input_ids"].shape[1]) >= 2)
    np.testing.assert_allclose(rows_of(ours, texts), rows_of(theirs, texts), atol=0.04)
    ours.close()


def test_dense_modules_are_float32(tmp_path: Path) -> None:
    directory = make_bert(tmp_path, dense=(24, 7))
    ours, theirs = native_engine(directory, Task.EMBED), openvino_engine(directory, Task.EMBED)
    texts = feed(theirs, encode(directory, TEXTS), pad_id=0)
    made = rows_of(ours, texts)
    assert made.shape == (3, 7)
    assert cosines(made, rows_of(theirs, texts)).min() >= 0.999
    ours.close()


def test_every_length_at_the_edges_of_tiles(long_bert: Path, engine: native.NativeEngine) -> None:
    rows = random_rows((*LENGTHS, 511, 512), engine_vocabulary(long_bert))
    theirs = openvino_engine(long_bert, Task.EMBED)
    for row in rows:
        assert cosines(rows_of(engine, batch([row])), rows_of(theirs, batch([row]))).min() >= 0.9998, len(row)


def engine_vocabulary(directory: Path) -> int:
    return int(json.loads((directory / "config.json").read_text())["vocab_size"])


def test_a_text_is_answered_the_same_to_the_bit_in_any_company(long_bert: Path, engine: native.NativeEngine) -> None:
    rng = np.random.default_rng(5)
    lengths = [*LENGTHS, *(int(n) for n in rng.integers(1, 60, 300 - len(LENGTHS)))]
    rows = random_rows(lengths, engine_vocabulary(long_bert))
    alone = np.concatenate([rows_of(engine, batch([row])) for row in rows])
    whole = rows_of(engine, batch(rows))
    np.testing.assert_array_equal(bits(whole), bits(alone))
    one_thread = native_engine(long_bert, Task.EMBED, threads=1)
    for size in (2, 7, 64):
        order = rng.permutation(len(rows))
        parts = [batch([rows[n] for n in order[at : at + size]], extra=size) for at in range(0, len(order), size)]
        for each in (engine, one_thread):
            np.testing.assert_array_equal(bits(rows_of(each, *parts)), bits(alone[order]))
    one_thread.close()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_the_same_to_the_bit_in_any_company(name: str, tmp_path: Path) -> None:
    make, config = FAMILIES[name]
    made = native_engine(make(tmp_path, Task.RERANK, **config), Task.RERANK)
    rows = random_rows(range(1, 38), engine_vocabulary(tmp_path))
    alone = np.concatenate([rows_of(made, batch([row], pad=1)) for row in rows])
    assert np.isfinite(alone).all()
    np.testing.assert_array_equal(bits(rows_of(made, batch(rows, pad=1))), bits(alone))
    made.close()


@pytest.mark.parametrize("pooling", [Pooling.CLS, Pooling.LASTTOKEN])
@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_spared_in_the_last_layer_changes_no_bit(name: str, pooling: Pooling, tmp_path: Path) -> None:
    """Only where one token of *each* text is read is the last layer computed for those alone."""
    make, config = FAMILIES[name]
    made = native_engine(make(tmp_path, pooling=pooling, normalize=False, **config), Task.EMBED)
    rows = random_rows((1, 2, 15, 16, 17, 31, 32, 33, 37, 5), engine_vocabulary(tmp_path))
    nothing = np.array([], np.int64)
    spared, whole = rows_of(made, batch(rows, pad=1)), rows_of(made, batch([*rows[:4], nothing, *rows[4:]], pad=1))
    np.testing.assert_array_equal(bits(np.delete(whole, 4, axis=0)), bits(spared))
    made.close()


def bits(rows: NDArray[np.float32]) -> NDArray[np.uint32]:
    return rows.view(np.uint32)


def test_texts_of_no_tokens_are_answered_without_a_number_of_others(engine: native.NativeEngine) -> None:
    rows = [np.array([4, 5, 6]), np.array([], np.int64), np.array([7])]
    made = rows_of(engine, batch(rows, extra=1))
    assert (made[1] == 0).all()
    np.testing.assert_array_equal(bits(made[[0, 2]]), bits(rows_of(engine, batch([rows[0], rows[2]]))))
    empty = batch([np.array([], np.int64)], extra=1)
    assert (rows_of(engine, empty) == 0).all()


def test_several_callers_at_once(long_bert: Path, engine: native.NativeEngine) -> None:
    rows = random_rows([int(n) for n in np.random.default_rng(1).integers(1, 90, 60)], engine_vocabulary(long_bert))
    due = rows_of(engine, batch(rows))
    wrong: list[int] = []

    def call(number: int) -> None:
        for _ in range(3):
            part = rows[number::4]
            if not (bits(rows_of(engine, batch(part[:5]), batch(part[5:]))) == bits(due[number::4])).all():
                wrong.append(number)

    callers = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []


def test_a_failing_delivery_ends_the_run_and_not_the_engine(engine: native.NativeEngine) -> None:
    feeds = [batch([np.array([4, 5])])] * 9

    def fail(number: int, _: NDArray[np.float32]) -> None:
        raise RuntimeError(f"delivery {number}")

    with pytest.raises(RuntimeError, match="delivery 0"):
        engine.run(feeds, fail)
    assert len(rows_of(engine, *feeds)) == 9


@pytest.mark.parametrize(
    ("name", "value"), [("input_ids", -1), ("input_ids", 10**6), ("token_type_ids", 2), ("token_type_ids", -3)]
)
def test_rows_that_the_model_does_not_have(engine: native.NativeEngine, name: str, value: int) -> None:
    asked = {key: array.copy() for key, array in batch([np.array([4, 5, 6])]).items()}
    asked[name][0, 1] = value
    with pytest.raises(UnsupportedModel) as problem:
        rows_of(engine, asked)
    assert problem.value.where == name
    asked["attention_mask"][0, 1] = 0  # of padding nothing is looked up
    assert np.isfinite(rows_of(engine, asked)).all()


def test_a_text_that_is_longer_than_the_positions(engine: native.NativeEngine) -> None:
    with pytest.raises(UnsupportedModel, match="rows that the model does not have"):
        rows_of(engine, batch([np.full(513, 4)]))


def test_a_closed_engine_is_not_used_again(tmp_path: Path) -> None:
    made = native_engine(make_bert(tmp_path), Task.EMBED)
    made.close()
    made.close()
    with pytest.raises(ValueError, match="closed"):
        rows_of(made, batch([np.array([4])]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3.4e38])
@pytest.mark.parametrize("name", ["embeddings.word_embeddings.weight", "encoder.layer.1.output.dense.bias"])
def test_weights_that_are_no_numbers_are_refused(bad: float, name: str, tmp_path: Path) -> None:
    layout = read_layout(make_bert(tmp_path), Task.EMBED)
    tensors = {key: each.float32().copy() for key, each in open_weights(layout).body.items()}
    tensors[name].flat[3] = bad
    write_safetensors(tmp_path / "model.safetensors", {key: ("F32", array) for key, array in tensors.items()})
    with pytest.raises(UnsupportedModel, match="no finite number") as problem:
        packed(layout)
    assert name in problem.value.found


@pytest.mark.parametrize("change", ["shape", "absent", "twice"])
def test_weights_that_do_not_fit_the_config(change: str, tmp_path: Path) -> None:
    layout = read_layout(make_bert(tmp_path), Task.EMBED)
    tensors: dict[str, NDArray[Any]] = {key: each.float32() for key, each in open_weights(layout).body.items()}
    match change:
        case "shape":
            tensors["encoder.layer.0.intermediate.dense.weight"] = np.zeros((33, 16), np.float32)
        case "absent":
            del tensors["encoder.layer.0.attention.self.key.bias"]
        case _:
            tensors |= random_weights({"other.embeddings.word_embeddings.weight": (2, 16)})
    write_safetensors(tmp_path / "model.safetensors", {key: ("F32", array) for key, array in tensors.items()})
    with pytest.raises(UnsupportedModel) as problem:
        packed(layout)
    assert not isinstance(problem.value, NotDrawn)


@pytest.mark.parametrize(
    ("make", "config", "says"),
    [
        (make_distilbert, {}, "distilbert"),
        (make_bert, {"hidden_act": "relu"}, "relu"),
        (make_bert, {"hidden_size": 24}, "24"),
        (make_bert, {"position_embedding_type": "relative_key"}, "relative_key"),
        (make_bert, {"num_attention_heads": 5}, "5"),
        (make_bert, {"dense": (8, 8, 8, 8, 8)}, "5 layers"),
        (make_roberta, {"type_vocab_size": 2}, "2"),
    ],
)
def test_models_that_are_left_to_openvino(make: Make, config: dict[str, Any], says: str, tmp_path: Path) -> None:
    layout = read_layout(make(tmp_path, **config), Task.EMBED)
    why = native.why_not(layout, Precision.AUTO, Ability(double()))
    assert why is not None
    assert says in why


def test_precisions_that_are_left_to_openvino(long_bert: Path) -> None:
    layout = read_layout(long_bert, Task.EMBED)
    able = Ability(double())
    assert [p for p in Precision if native.why_not(layout, p, able) is None] == [Precision.AUTO, Precision.BF16]


@pytest.mark.real
def test_the_real_minilm(minilm: Path, real_dir: Path) -> None:
    with (real_dir / "eval/cranfield/corpus.jsonl").open() as lines:
        texts = sorted((json.loads(line)["text"] for line in lines), key=len)
    few = ["", "a", "Ünïcödé 日本語 🚀", *texts[::100], texts[-1]]
    ours, theirs = native_engine(minilm, Task.EMBED), openvino_engine(minilm, Task.EMBED)
    encodings = encode(minilm, few)
    for encoding in encodings:
        encoding.truncate(256)
    asked = feed(theirs, encodings, pad_id=0)
    made = rows_of(ours, asked)
    assert cosines(made, rows_of(theirs, asked)).min() >= 0.9999
    one = native_engine(minilm, Task.EMBED, threads=1)
    for number in (0, len(few) // 2):
        np.testing.assert_array_equal(
            bits(rows_of(one, feed(one, [encodings[number]], pad_id=0)))[0], bits(made)[number]
        )
    for each in (ours, one):
        each.close()
