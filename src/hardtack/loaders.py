"""``load_embedder`` and its kin: find the model, load it, hold it to what the environment and the caller said.

The one place where production code may reach for the Hub: only for a locked model that is nowhere on this machine, and
only where the policy is online (:mod:`hardtack.finding`).

What a call needs is imported by the call: ``from hardtack import load_embedder`` brings neither numpy nor tokenizers.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock as Mutex
from typing import TYPE_CHECKING, cast

from hardtack.errors import HardtackError, Misused, UnsupportedModel, WrongSpace
from hardtack.finding import Fetch, Found, find_model
from hardtack.places import find_lock, policy_of, store_of
from hardtack.settings import Pin, Policy, Settings, read_settings
from hardtack.spec.lock import LockedModel
from hardtack.spec.lock_text import read_lock
from hardtack.spec.words import Task

if TYPE_CHECKING:
    from hardtack.runtime.classifier import Classifier
    from hardtack.runtime.embedder import Embedder
    from hardtack.runtime.manager import Model, ModelManager
    from hardtack.runtime.reranker import Reranker

_mutex = Mutex()
_manager: ModelManager | None = None


def load_embedder(
    which: str | Path | None = None,
    *,
    space: str | None = None,
    trust_remote_code: bool = False,
    settings: Settings | None = None,
    fetch: Fetch | None = None,
) -> Embedder:
    """Load an embedder.

    Args:
        which: a path (starts with ``/``, ``.`` or ``~``), a key, a repository or its last part; None: what
            ``EMBED_MODEL_PATH`` or ``EMBED_REPO`` names, else the lock's only embedder.
        space: the space an index was made in (:attr:`Embedder.space`); a model of another one is refused.
        trust_remote_code: the caller's leave for code that the lock carries, which the torch engine then runs. Nothing
            that the lock does not carry is ever run.
        settings: instead of the environment as it is now.
        fetch: instead of the supply room, for what is nowhere on this machine.

    Raises:
        UnknownModel: a name that is in no lock.
        ModelNotFound: locked, but nowhere to be had.
        Mismatch: bytes are not what the lock says.
        Unverified: a path that no lock names, where the policy is strict.
        WrongSpace: the model's vectors would not fit the index.
        Misused: ``EMBEDDING_DIM`` is not the model's, or the lock has the model for another task.
    """
    settings = settings or read_settings()
    model = cast("Embedder", _load(which, Task.EMBED, settings, fetch, trust_remote_code))
    try:
        _check_embedder(model, space, settings)
    except HardtackError:
        model.close()
        raise
    return model


def load_reranker(
    which: str | Path | None = None,
    *,
    trust_remote_code: bool = False,
    settings: Settings | None = None,
    fetch: Fetch | None = None,
) -> Reranker:
    """Load a reranker; arguments and errors as for :func:`load_embedder`."""
    return cast("Reranker", _load(which, Task.RERANK, settings or read_settings(), fetch, trust_remote_code))


def load_classifier(
    which: str | Path | None = None,
    *,
    trust_remote_code: bool = False,
    settings: Settings | None = None,
    fetch: Fetch | None = None,
) -> Classifier:
    """Load a classifier; arguments and errors as for :func:`load_embedder`."""
    return cast("Classifier", _load(which, Task.CLASSIFY, settings or read_settings(), fetch, trust_remote_code))


def make_manager(settings: Settings, *, start: Path | None = None, fetch: Fetch | None = None) -> ModelManager:
    """A manager of every model that the lock has, and of those the environment names by path.

    Args:
        settings: the environment.
        start: where to look upward from for a lock; None: the working directory.
        fetch: as for :func:`load_embedder`.
    """
    from hardtack.runtime.manager import ModelManager

    path = find_lock(settings, start or Path.cwd())
    models = read_lock(path).models if path else ()
    tasks = {model.key: model.task for model in models if model.task.loads and model.task not in settings.model_paths}
    tasks |= {str(where.absolute()): Task(task) for task, where in settings.model_paths.items()}
    # without a lock there is what the environment pins, each by being the default of its task
    pinned = {pin.repo for pin in settings.pins.values()} if path is None else set()
    tasks |= {pin.repo: Task(task) for task, pin in settings.pins.items() if pin.repo in pinned}

    def load(key: str) -> Model:
        which = None if key in pinned else key
        match tasks[key]:
            case Task.EMBED:
                return load_embedder(which, settings=settings, fetch=fetch)
            case Task.RERANK:
                return load_reranker(which, settings=settings, fetch=fetch)
            case _:
                return load_classifier(which, settings=settings, fetch=fetch)

    return ModelManager(load, tasks)


def get_model_manager() -> ModelManager:
    """The process's own manager, made of the environment as it is when this is first called."""
    global _manager
    with _mutex:
        if _manager is None:
            _manager = make_manager(read_settings())
        return _manager


def _load(
    which: str | Path | None, task: Task, settings: Settings, fetch: Fetch | None, trust_remote_code: bool
) -> Model:
    with _uncollected():
        return _find_and_load(which, task, settings, fetch, trust_remote_code)


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection: a load imports and makes a lot that stays, which would be walked through time and again.

    Where several load at once, collecting may begin again before the last of them is done.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _find_and_load(
    which: str | Path | None, task: Task, settings: Settings, fetch: Fetch | None, trust_remote_code: bool
) -> Model:
    from hardtack.runtime.load import Options, load_model

    found = find_model(which, task, settings, Path.cwd(), fetch or partial(_fetch, settings=settings), _pinned_lock)
    options = Options(
        engine=settings.engine,
        verify=settings.verify,
        golden=settings.golden,
        strict=policy_of(settings) is Policy.STRICT,
        threads=settings.threads,
        device=settings.device,
        allow_code=trust_remote_code or (found.locked is not None and found.locked.key in settings.allow_code),
        code_folders=_code_folders(found, settings),
    )
    _check_code(found, trust_remote_code, settings)
    return load_model(
        found.directory, task, locked=found.locked, source=found.source, options=options,
        builds=store_of(settings).builds,
    )  # fmt: skip


def _code_folders(found: Found, settings: Settings) -> dict[str, Path]:
    """Where code of other repositories lies for a model outside of a pantry: in the store."""
    if found.locked is None or found.source == "pantry":
        return {}
    store = store_of(settings)
    return {code.repo: store.snapshot(code.repo, code.commit) for code in found.locked.code}


def _check_code(found: Found, trust_remote_code: bool, settings: Settings) -> None:
    """Refuse a model that carries code, unless lock *and* caller say so: a pantry cannot vouch for itself."""
    model = found.locked
    if model is None or not model.trust_remote_code or trust_remote_code or model.key in settings.allow_code:
        return
    raise UnsupportedModel(
        f"{model.key!r} brings code of its own, and nobody here said that it may run", where=str(found.directory),
        expected=f"trust_remote_code=True, or HARDTACK_ALLOW_CODE={model.key}", found="neither",
        mend=f"HARDTACK_ALLOW_CODE={model.key} …",
    )  # fmt: skip


def _check_embedder(model: Embedder, space: str | None, settings: Settings) -> None:
    if settings.dimension is not None and settings.dimension != model.dim:
        raise Misused(
            "EMBEDDING_DIM is not this model's dimension", where=model.key, expected=f"EMBEDDING_DIM={model.dim}",
            found=str(settings.dimension), mend="unset EMBEDDING_DIM",
        )  # fmt: skip
    if space is not None and space != model.space:
        raise WrongSpace(
            "these vectors would not fit the index they are meant for", where=model.key, expected=f"space {space}",
            found=f"space {model.space or '(unknown)'}",
            mend="hardtack lock --upgrade  # to the commit the index was made with; or make the index anew",
        )  # fmt: skip


def _pinned_lock(pin: Pin, task: Task, settings: Settings) -> Path:
    # seldom asked for: where there is a lock, no other is made
    from hardtack.pinning import pinned_lock

    return pinned_lock(pin, task, settings)


def _fetch(model: LockedModel, lock: Path, settings: Settings) -> Path:
    # production runs from a pantry and never comes here: what talks to the Hub is imported only when it is needed
    from hardtack.supply.hub import Hub
    from hardtack.supply.pull import pull_model
    from hardtack.supply.store import project_id

    return pull_model(model, store_of(settings), Hub.of(settings), project=project_id(lock))
