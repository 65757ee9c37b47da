"""One process's models, each loaded once, when it is first used.

Knows no lock, no place and no engine: it is handed a ``load`` and the names it may be asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from threading import Lock
from typing import Any

from hardtack.errors import UnknownModel
from hardtack.runtime.classifier import Classifier
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.reranker import Reranker
from hardtack.spec.words import Task

Model = Embedder | Reranker | Classifier


class ModelManager:
    """Models by key and by task. Safe to call from several threads at once.

    Args:
        load: makes a model of a key; called once a key, until it is unloaded. Its exceptions reach everybody who waits
            for that model, and the next who asks tries again.
        tasks: the keys there are, and what each is for.
    """

    def __init__(self, load: Callable[[str], Model], tasks: Mapping[str, Task]) -> None:
        self._load = load
        self._tasks = dict(tasks)
        self._lock = Lock()
        self._models: dict[str, Future[Model]] = {}

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The keys there are, loaded or not, and what each is for."""
        return dict(self._tasks)

    @property
    def embed(self) -> Embedder:
        """The embedder, loaded if it is not yet."""
        model = self.load(self._only(Task.EMBED))
        assert isinstance(model, Embedder)
        return model

    @property
    def rerank(self) -> Reranker:
        """The reranker, loaded if it is not yet."""
        model = self.load(self._only(Task.RERANK))
        assert isinstance(model, Reranker)
        return model

    @property
    def classify(self) -> Classifier:
        """The classifier, loaded if it is not yet."""
        model = self.load(self._only(Task.CLASSIFY))
        assert isinstance(model, Classifier)
        return model

    def load(self, key: str) -> Model:
        """The model of a key, loaded if it is not yet; whoever asks meanwhile waits for the same one.

        Raises:
            UnknownModel: there is no such key.
        """
        if key not in self._tasks:
            raise UnknownModel(
                f"no model is called {key!r}", where="the model manager",
                expected=", ".join(sorted(self._tasks)) or "no model at all", found=key, mend="hardtack list",
            )  # fmt: skip
        with self._lock:
            promise = self._models.get(key)
            mine = promise is None
            if promise is None:
                promise = self._models[key] = Future()
        if mine:
            try:
                promise.set_result(self._load(key))
            except BaseException as problem:
                with self._lock:
                    if self._models.get(key) is promise:
                        del self._models[key]
                promise.set_exception(problem)
                raise
        return promise.result()

    def unload(self, key: str) -> bool:
        """Let go of a model; whether there was one.

        Its memory is freed once the last call that uses it ends: a model is never closed under a caller's hands.
        """
        with self._lock:
            return self._models.pop(key, None) is not None

    def loaded(self) -> tuple[str, ...]:
        """The keys of the models that are in memory now."""
        with self._lock:
            return tuple(sorted(key for key, promise in self._models.items() if _ready(promise)))

    def info(self) -> list[dict[str, Any]]:
        """Every model there is, as plain values ready for JSON: key, task, whether loaded, and if so all about it."""
        with self._lock:
            models = {key: promise.result() for key, promise in self._models.items() if _ready(promise)}
        return [
            {"key": key, "task": task.value, "loaded": key in models}
            | (dict(models[key].info) if key in models else {})
            | {"key": key}
            for key, task in sorted(self._tasks.items())
        ]

    def _only(self, task: Task) -> str:
        keys = sorted(key for key, each in self._tasks.items() if each is task)
        if len(keys) != 1:
            raise UnknownModel(
                f"there is {'more than one model' if keys else 'no model'} of task {task.value}",
                where="the model manager", expected="exactly one, or load(key)",
                found=", ".join(keys or sorted(self._tasks)) or "no model at all",
                mend="hardtack list" if keys else f"hardtack add REPO --task {task.value}",
            )  # fmt: skip
        return keys[0]


def _ready(promise: Future[Model]) -> bool:
    return promise.done() and promise.exception() is None
