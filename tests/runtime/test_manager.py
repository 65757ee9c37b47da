from __future__ import annotations

import json
import threading
from collections import Counter

import pytest

from hardtack.errors import ModelNotFound, UnknownModel
from hardtack.runtime.classifier import HeadClassifier
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.manager import Model, ModelManager
from hardtack.runtime.reranker import Reranker
from hardtack.spec.words import Task
from tests.runtime.fakes import NumpyEngine, a_layout, an_identity, mean_of_rows, the_tokens

TASKS = {"emb": Task.EMBED, "rerank": Task.RERANK, "classify": Task.CLASSIFY}
KINDS: dict[Task, type[Model]] = {Task.EMBED: Embedder, Task.RERANK: Reranker, Task.CLASSIFY: HeadClassifier}


def make(key: str) -> Model:
    layout = a_layout(TASKS[key], labels=("x",))
    return KINDS[TASKS[key]](an_identity(key=key), layout, NumpyEngine(1, mean_of_rows(1)), the_tokens(layout))


def test_each_is_loaded_when_it_is_first_used_and_once() -> None:
    calls: Counter[str] = Counter()

    def load(key: str) -> Model:
        calls[key] += 1
        return make(key)

    manager = ModelManager(load, TASKS)
    assert manager.loaded() == ()
    assert manager.embed is manager.embed is manager.load("emb")
    assert manager.rerank.key == "rerank"
    assert manager.loaded() == ("emb", "rerank")
    assert manager.classify.key == "classify"
    assert calls == {"emb": 1, "rerank": 1, "classify": 1}


def test_threads_that_ask_at_once_get_one_model() -> None:
    together = threading.Barrier(8)
    asked, go = threading.Event(), threading.Event()
    calls: list[str] = []
    got: list[Model] = []

    def load(key: str) -> Model:
        calls.append(key)
        asked.set()
        go.wait()
        return make(key)

    manager = ModelManager(load, TASKS)

    def ask() -> None:
        together.wait()
        got.append(manager.embed)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    asked.wait()
    assert manager.loaded() == ()  # one that is being loaded is not loaded
    assert not manager.info()[1]["loaded"]
    go.set()
    for thread in threads:
        thread.join()
    assert calls == ["emb"]
    assert len({id(model) for model in got}) == 1


def test_two_models_load_side_by_side() -> None:
    both = threading.Barrier(2)  # breaks after its timeout if one load waits for the other

    def load(key: str) -> Model:
        both.wait(timeout=30)
        return make(key)

    manager = ModelManager(load, TASKS)
    threads = [threading.Thread(target=manager.load, args=(key,)) for key in ("emb", "rerank")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert manager.loaded() == ("emb", "rerank")


def test_a_load_that_fails_is_tried_again() -> None:
    tries: list[str] = []

    def load(key: str) -> Model:
        tries.append(key)
        if len(tries) == 1:
            raise ModelNotFound("not there")
        return make(key)

    manager = ModelManager(load, TASKS)
    with pytest.raises(ModelNotFound):
        manager.load("emb")
    assert manager.load("emb").key == "emb"
    assert len(tries) == 2


def test_unload_lets_go_and_never_closes_under_a_callers_hands() -> None:
    manager = ModelManager(make, TASKS)
    assert not manager.unload("emb")
    held = manager.embed
    assert manager.unload("emb")
    assert manager.loaded() == ()
    assert held.encode("a").shape == (1,)
    assert manager.embed is not held


def test_info_is_json_of_every_model() -> None:
    manager = ModelManager(make, TASKS)
    manager.load("rerank")
    rows = json.loads(json.dumps(manager.info()))
    assert [(row["key"], row["loaded"]) for row in rows] == [("classify", False), ("emb", False), ("rerank", True)]
    assert rows[2]["engine"] == "numpy"


def test_names_that_are_not_there() -> None:
    manager = ModelManager(make, {"emb": Task.EMBED})
    with pytest.raises(UnknownModel):
        manager.load("other")
    with pytest.raises(UnknownModel) as problem:
        _ = manager.rerank
    assert problem.value.mend == "hardtack add REPO --task rerank"
    several = ModelManager(make, {"one": Task.EMBED, "two": Task.EMBED})
    with pytest.raises(UnknownModel) as problem:
        _ = several.embed
    assert problem.value.found == "one, two"
