from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from hardtack.errors import Misused
from hardtack.runtime.arguments import CONSTRUCTORS
from hardtack.runtime.embedder import ARGUMENTS, Embedder
from hardtack.runtime.layout import Dense
from hardtack.runtime.space import space_of, space_text
from hardtack.spec.words import Pooling, Similarity
from tests.runtime.fakes import COMMIT, NumpyEngine, a_layout, an_identity, mean_of_rows, the_tokens

TEXTS = ["a", "red light is on", "", "b c d e " * 10, "green", "a b c"]


def an_embedder(**layout: Any) -> Embedder:
    described = a_layout(**layout)
    return Embedder(an_identity(), described, NumpyEngine(4, mean_of_rows(4)), the_tokens(described))


def prompted() -> Embedder:
    prompts = {"query": "red ", "passage": "green ", "corpus": "blue "}
    return an_embedder(prompts=prompts, default_prompt="corpus")


def test_shapes_and_types() -> None:
    embedder = an_embedder()
    assert embedder.encode("a").shape == (4,)
    assert embedder.encode(["a"]).shape == (1, 4)
    assert embedder.encode(TEXTS).shape == (6, 4)
    assert embedder.encode(tuple(TEXTS)).shape == (6, 4)
    assert embedder.encode(np.array(TEXTS)).shape == (6, 4)  # type: ignore[arg-type]
    assert embedder.encode([]).shape == (0, 4)
    assert embedder.encode([]).dtype == embedder.encode("a").dtype == np.float32
    assert embedder.dim == embedder.get_embedding_dimension() == embedder.get_sentence_embedding_dimension() == 4


def test_a_text_has_its_vector_in_any_company() -> None:
    embedder = an_embedder()
    alone = np.stack([embedder.encode(text) for text in TEXTS])
    for batch_size in (None, 1, 2, 32):
        np.testing.assert_allclose(embedder.encode(TEXTS, batch_size=batch_size), alone, atol=1e-6)


def test_batch_size_bounds_the_rows() -> None:
    described = a_layout()
    engine = NumpyEngine(4, mean_of_rows(4))
    Embedder(an_identity(), described, engine, the_tokens(described)).encode(["a"] * 7, batch_size=3)
    assert sorted(len(feed["input_ids"]) for feed in engine.feeds) == [1, 3, 3]


def test_prompts() -> None:
    embedder, plain = prompted(), an_embedder()
    same = np.testing.assert_array_equal
    same(embedder.encode("a"), plain.encode("blue a"))
    same(embedder.encode("a", prompt_name="query"), plain.encode("red a"))
    same(embedder.encode("a", prompt="off ", prompt_name="query"), plain.encode("off a"))
    same(embedder.encode("a", prompt=""), plain.encode("a"))
    same(embedder.encode_query("a"), plain.encode("red a"))
    same(embedder.encode_query("a", prompt="off "), plain.encode("off a"))
    same(embedder.encode_document("a"), plain.encode("green a"))  # `passage` comes before `corpus`
    same(plain.encode_query("a"), plain.encode("a"))
    same(plain.encode_document(["a"]), plain.encode(["a"]))


def test_a_prompt_that_is_not_there_is_named() -> None:
    with pytest.raises(Misused) as problem:
        prompted().encode("a", prompt_name="Query")
    assert problem.value.expected == "corpus, passage, query"


def test_cutting_comes_before_normalising() -> None:
    embedder = an_embedder()
    whole = embedder.encode(TEXTS)
    np.testing.assert_array_equal(embedder.encode(TEXTS, truncate_dim=2), whole[:, :2])
    np.testing.assert_array_equal(embedder.encode(TEXTS, truncate_dim=99), whole)
    cut = embedder.encode(TEXTS, truncate_dim=2, normalize_embeddings=True)
    np.testing.assert_allclose(np.linalg.norm(cut, axis=1), 1, atol=1e-6)
    assert cut.flags.c_contiguous


@pytest.mark.parametrize(
    "bad",
    [
        {"output_value": "token_embeddings"}, {"output_value": None}, {"convert_to_tensor": True},
        {"convert_to_numpy": False}, {"device": "cuda:0"}, {"pool": {}}, {"chunk_size": 5}, {"batch_size": 0},
        {"batch_size": 2.5}, {"truncate_dim": 0}, {"precision": "float16"}, {"normalise_embeddings": True},
        {"sentences": ["a"]}, {"prompt": 5},
    ],
)  # fmt: skip
def test_what_is_refused_names_itself(bad: Mapping[str, Any]) -> None:
    with pytest.raises(Misused) as problem:
        an_embedder().encode(["a", "b"], **bad)
    assert problem.value.what
    assert problem.value.mend


@pytest.mark.parametrize(
    "fine",
    [
        {"output_value": "sentence_embedding"}, {"convert_to_tensor": False}, {"convert_to_numpy": True},
        {"device": "cpu"}, {"device": None}, {"show_progress_bar": True}, {"pool": None}, {"chunk_size": None},
    ],
)  # fmt: skip
def test_what_asks_for_nothing_new_is_taken(fine: Mapping[str, Any]) -> None:
    assert an_embedder().encode(["a"], **fine).shape == (1, 4)


def test_a_misspelled_argument_is_put_right() -> None:
    with pytest.raises(Misused) as problem:
        an_embedder().encode("a", normalise_embeddings=True)
    assert "normalize_embeddings" in problem.value.expected


@pytest.mark.parametrize("bad", [None, 5, b"a", {"a": 1}, [None], [["a", "b"]], [b"a"]])
def test_what_is_not_text_is_refused(bad: Any) -> None:
    with pytest.raises(Misused):
        an_embedder().encode(bad)


def test_precisions_of_vectors() -> None:
    embedder = an_embedder()
    whole = embedder.encode(TEXTS)
    assert embedder.encode(TEXTS, precision="ubinary").tolist() == np.packbits(whole > 0, axis=-1).tolist()
    assert embedder.encode(TEXTS, precision="binary").dtype == np.int8
    assert embedder.encode("a", precision="ubinary").shape == (1,)
    small = embedder.encode(TEXTS, precision="uint8")
    assert small.dtype == np.uint8
    assert (small.min(), small.max()) == (0, 255)
    assert embedder.encode(TEXTS, precision="int8").tolist() == (small.astype(int) - 128).tolist()
    with pytest.raises(Misused):
        embedder.encode("a", precision="int8")


def test_similarity_is_the_models_own() -> None:
    a, b = np.array([[1.0, 0.0], [3.0, 4.0]]), np.array([0.0, 2.0])
    expected: dict[Similarity, list[float]] = {
        Similarity.COSINE: [0, 0.8],
        Similarity.DOT: [0, 8],
        Similarity.EUCLIDEAN: [-(5**0.5), -(13**0.5)],
        Similarity.MANHATTAN: [-3, -5],
    }
    for similarity in Similarity:
        made = an_embedder(similarity=similarity).similarity(a, b)
        assert made.shape == (2, 1)
        np.testing.assert_allclose(made[:, 0], expected[similarity], rtol=1e-6)
    with pytest.raises(Misused):
        an_embedder().similarity(a, np.ones((2, 3)))


def test_the_space_is_the_hash_of_its_canonical_text() -> None:
    layout = a_layout(pooling=Pooling.MEAN, normalize=True, prompts={"q": "ä"}, default_prompt="q",
                      dense=(Dense("2_Dense/model.safetensors", 4, 2, True, "tanh"),))  # fmt: skip
    assert space_text(layout, COMMIT) == (
        "hardtack-space 1\n"
        f'model "{COMMIT}"\n'
        'pooling "mean"\n'
        'dense [["2_Dense/model.safetensors",4,2,true,"tanh"]]\n'
        "normalize true\n"
        'prompts {"q":"\\u00e4"}\n'
        'default-prompt "q"\n'
        "max-length 16\n"
    )
    # reckoned with printf and sha256sum
    assert space_of(layout, COMMIT) == "ce6137ea30d50e8f04ece980934fa28e"


def test_everything_that_decides_vectors_decides_the_space() -> None:
    dense = (Dense("2_Dense/model.safetensors", 4, 4, True, "identity"),)
    spaces = {
        an_embedder().space,
        an_embedder(pooling=Pooling.CLS).space,
        an_embedder(normalize=True).space,
        an_embedder(max_length=8).space,
        an_embedder(prompts={"q": "x"}).space,
        an_embedder(prompts={"q": "x"}, default_prompt="q").space,
        an_embedder(dense=dense).space,
        space_of(a_layout(), "another commit"),
    }
    assert len(spaces) == 8
    assert an_embedder().space == an_embedder(family="roberta").space
    assert space_of(a_layout(), "") == ""


def test_info_is_json_and_says_who_it_is() -> None:
    info = json.loads(json.dumps(an_embedder().info))
    assert (info["key"], info["dim"], info["commit"], info["engine"]) == ("emb", 4, COMMIT, "numpy")
    assert "org/tiny@0123456789ab" in repr(an_embedder())


@pytest.mark.torch
def test_the_table_of_arguments_is_that_of_the_installed_library() -> None:
    from sentence_transformers import SentenceTransformer

    for function in (SentenceTransformer.encode, SentenceTransformer.encode_query, SentenceTransformer.encode_document):
        theirs = [name for name in inspect.signature(function).parameters if name not in ("self", "kwargs")]
        assert sorted(theirs) == sorted(ARGUMENTS)
    ours = inspect.signature(Embedder.encode).parameters
    assert {name for name, standing in ARGUMENTS.items() if standing == "supported"} == set(ours) - {
        "self", "progress", "others",
    }  # fmt: skip


@pytest.mark.torch
def test_the_table_of_constructors_is_that_of_the_installed_library() -> None:
    from sentence_transformers import CrossEncoder, SentenceTransformer

    names = {name for each in (SentenceTransformer, CrossEncoder) for name in inspect.signature(each).parameters}
    assert names == set(CONSTRUCTORS)
