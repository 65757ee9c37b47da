"""The vectors of tokens, before they are pooled: of every family, of graphs that are read, and of builds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardtack.build.quantize_child import name_by_place
from hardtack.errors import Misused, UnsupportedModel
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.engines.interface import Unpooling
from hardtack.runtime.engines.openvino import open_engine
from hardtack.runtime.engines.openvino_import import import_openvino
from hardtack.runtime.families import TOKENS, draw
from hardtack.runtime.load import Options, load_model
from hardtack.runtime.read_layout import read_layout
from hardtack.runtime.weights import Graph, Tensors, Weights, open_weights
from hardtack.spec.words import EngineName, Pooling, Precision, Task
from tests.graphs import ship_ir
from tests.models import make_bert, make_distilbert, make_llama, make_mpnet, make_roberta, make_static, make_t5
from tests.runtime.fakes import NumpyEngine, a_layout, an_identity, mean_of_rows, the_tokens
from tests.runtime.running import TEXTS

MEAN: dict[str, Any] = {"pooling": Pooling.MEAN, "normalize": False}
FAMILIES: dict[str, Callable[..., Path]] = {
    **{make.__name__: partial(make, **MEAN) for make in (make_bert, make_distilbert, make_roberta, make_mpnet)},
    "llama": partial(make_llama, **MEAN, include_prompt=True),
    "llama, padded on the left": partial(make_llama, **MEAN, include_prompt=True, pad_left=True),
    "t5": partial(make_t5, task=Task.EMBED),
    "static": partial(make_static, normalize=False),
}


def load(directory: Path, precision: Precision = Precision.FP32, **options: Any) -> Embedder:
    options = {"precision": precision, **options}
    model = load_model(directory, Task.EMBED, locked=None, source="path", options=Options(**options))
    assert isinstance(model, Embedder)
    return model


@pytest.mark.parametrize("make", FAMILIES.values(), ids=FAMILIES)
def test_their_mean_is_the_vector_of_a_mean_pooled_model(make: Callable[..., Path], tmp_path: Path) -> None:
    model = load(make(tmp_path))
    tokenized = model.tokenize(TEXTS)
    vectors = model.encode_each_token(tokenized)
    assert [len(each) for each in vectors] == [len(each) for each in tokenized]
    means = np.stack([each.mean(0) for each in vectors])
    if model.layout.normalize:
        means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(means, model.encode(TEXTS), atol=2e-6)


@pytest.mark.parametrize("make", [make_bert, make_distilbert, make_roberta, make_mpnet])
def test_a_model_that_pools_by_the_first_token_has_all_of_them(make: Callable[..., Path], tmp_path: Path) -> None:
    first = load(make(tmp_path / "first", pooling=Pooling.CLS, normalize=False))
    tokenized = first.tokenize(TEXTS)
    vectors = first.encode_each_token(tokenized)
    np.testing.assert_allclose(np.stack([each[0] for each in vectors]), first.encode(TEXTS), atol=2e-6)
    whole = load(make(tmp_path / "mean", **MEAN)).encode_each_token(tokenized)
    for ours, theirs in zip(vectors, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)


@pytest.mark.parametrize("given", [{"pooling": Pooling.MAX}, {"pooling": Pooling.CLS, "dense": (12,)}], ids=str)
def test_what_follows_does_not_matter(given: dict[str, Any], tmp_path: Path) -> None:
    plain, other = load(make_bert(tmp_path / "plain", **MEAN)), load(make_bert(tmp_path / "other", **given))
    tokenized = plain.tokenize(TEXTS)
    wanted = plain.encode_each_token(tokenized)
    for ours, theirs in zip(other.encode_each_token(tokenized), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_a_prompt_that_is_not_pooled_has_its_vectors_too(tmp_path: Path) -> None:
    model = load(make_bert(tmp_path, include_prompt=False))
    (with_prompt,) = model.encode_each_token(model.tokenize(["light"], prompt="the cat "))
    (as_text,) = model.encode_each_token(model.tokenize(["the cat light"]))
    np.testing.assert_allclose(with_prompt, as_text, atol=2e-6)
    assert len(as_text) == len(model.tokenize(["light"])[0]) + 2


def test_many_batches_at_once(tmp_path: Path) -> None:
    model = load(make_bert(tmp_path))
    tokenized = model.tokenize([*TEXTS] * 12)
    vectors = model.encode_each_token(tokenized)
    for number in range(len(TEXTS)):
        (alone,) = model.encode_each_token(tokenized[number : number + 1])
        for each in vectors[number :: len(TEXTS)]:
            np.testing.assert_allclose(each, alone, atol=2e-6)


def test_no_texts(tmp_path: Path) -> None:
    assert load(make_bert(tmp_path)).encode_each_token([]) == []


def test_the_second_graph_is_made_once_and_closed_with_the_first(tmp_path: Path) -> None:
    layout = read_layout(make_bert(tmp_path), Task.EMBED)
    engine = open_engine(layout, open_weights(layout), precision=Precision.FP32)
    inner = engine.unpooled()
    assert engine.unpooled() is inner
    assert (inner.info.width, inner.info.precision) == (16, "fp32")
    engine.close()
    with pytest.raises(AttributeError):
        inner.run([{"input_ids": np.ones((1, 2), np.int64)}], lambda *_: pytest.fail("a closed engine answered"))


def test_an_ir_of_the_tokens(tmp_path: Path) -> None:
    drawn = load(make_bert(tmp_path / "drawn"))
    ship_ir(make_bert(tmp_path / "ir"), Task.EMBED)
    tokenized = drawn.tokenize(TEXTS)
    read = load(tmp_path / "ir").encode_each_token(tokenized)
    for ours, theirs in zip(read, drawn.encode_each_token(tokenized), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_a_graph_that_pools_by_itself_says_so(tmp_path: Path) -> None:
    ship_ir(make_bert(tmp_path), Task.EMBED, output="sentence_embedding")
    graph = tmp_path / "openvino" / "openvino_model.xml"
    graph.write_text(graph.read_text().replace(TOKENS, "anything"))
    model = load(tmp_path)
    with pytest.raises(UnsupportedModel, match="one vector a text") as raised:
        model.encode_each_token(model.tokenize(TEXTS))
    assert raised.value.mend


def test_a_build_remembers_where_its_pooling_begins(tmp_path: Path) -> None:
    layout = read_layout(make_bert(tmp_path), Task.EMBED)
    weights = open_weights(layout)
    graph = draw(layout, weights)
    name_by_place(graph)
    import_openvino().serialize(graph, str(tmp_path / "graph.xml"), str(tmp_path / "graph.bin"))
    numbers = np.fromfile(tmp_path / "graph.bin", np.uint8)
    built = Graph((tmp_path / "graph.xml").read_bytes(), numbers, Precision.FP32.value, "a test")
    engine = open_engine(layout, Weights(Tensors((), {}), graph=built))
    model = load(tmp_path)
    tokenized = model.tokenize(TEXTS[:1])
    again = Embedder(model.identity, layout, engine, model.tokens)
    np.testing.assert_allclose(again.encode_each_token(tokenized)[0], model.encode_each_token(tokenized)[0], atol=2e-6)


def test_an_engine_that_only_pools_is_named() -> None:
    layout = a_layout()
    model = Embedder(an_identity(), layout, NumpyEngine(4, mean_of_rows(4)), the_tokens(layout))
    with pytest.raises(UnsupportedModel, match="one vector a text") as raised:
        model.encode_each_token(model.tokenize(["red light"]))
    assert "numpy" in raised.value.found


def test_a_text_longer_than_the_budget_allows(tmp_path: Path) -> None:
    layout = a_layout(max_length=None)
    drawn = load(make_bert(tmp_path))
    assert isinstance(drawn._engine, Unpooling)
    model = Embedder(an_identity(), layout, drawn._engine, the_tokens(layout))
    with pytest.raises(Misused, match="longer than what fits"):
        model.encode_each_token(model.tokenize(["red " * 9000]))


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("make", [make_bert, make_mpnet, partial(make_llama, pad_left=True)])
def test_torch_gives_the_same(make: Callable[..., Path], tmp_path: Path) -> None:
    drawn, torch = load(make(tmp_path)), load(tmp_path, engine=EngineName.TORCH)
    tokenized = drawn.tokenize(TEXTS)
    for ours, theirs in zip(drawn.encode_each_token(tokenized), torch.encode_each_token(tokenized), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
    torch.close()


@pytest.mark.int8
def test_an_int8_build_has_them(tmp_path: Path) -> None:
    nncf = pytest.importorskip("nncf")
    layout = read_layout(make_bert(tmp_path), Task.EMBED)
    weights = open_weights(layout)
    model = load(tmp_path)
    feeds = [
        {
            "input_ids": text.ids[None],
            "attention_mask": np.ones_like(text.ids)[None],
            "token_type_ids": text.types[None],
        }
        for text in model.tokenize(TEXTS)
    ]
    graph = draw(layout, weights)
    name_by_place(graph)
    small = nncf.quantize(graph, nncf.Dataset(feeds), model_type=nncf.ModelType.TRANSFORMER)
    assert TOKENS in [node.get_friendly_name() for node in small.get_ops()]
