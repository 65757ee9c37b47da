"""What is refused before a model is opened: the wrong task, no directory, no lock where one is due, pickles alone.

Looks at names only; what is in the files is others' to judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hardtack.errors import Misused, ModelNotFound, UnsupportedModel, Unverified
from hardtack.spec.lock import LockedModel
from hardtack.spec.words import Task, WeightsKind

PICKLES = (".bin", ".pt", ".pth", ".ckpt")
"""How files end whose opening may run code."""

_LOADERS = {
    Task.EMBED: "hardtack.load_embedder(…)",
    Task.RERANK: "hardtack.load_reranker(…)",
    Task.CLASSIFY: "hardtack.load_classifier(…)",
}


def check(directory: Path, task: Task, locked: LockedModel | None, *, strict: bool) -> None:
    """Refuse what cannot be, or must not be, loaded from a directory for a task.

    Raises:
        Misused: the lock has it for another task.
        ModelNotFound: there is no such directory.
        Unverified: no lock names it, and ``strict`` wants one.
    """
    if locked is not None and locked.task is not task:
        raise Misused(
            f"{locked.key!r} is locked for another task", where=locked.key, expected=task.value,
            found=locked.task.value, mend=_LOADERS.get(locked.task, "hardtack list"),
        )  # fmt: skip
    if not directory.is_dir():
        raise ModelNotFound(
            "there is no such directory", where=str(directory), expected="a model's directory",
            found="a file" if directory.exists() else "nothing", mend="hardtack list",
        )  # fmt: skip
    if locked is None and strict:
        raise Unverified(
            "no lock names this model, and the policy is strict", where=str(directory),
            expected="a model that a lock names, or HARDTACK_POLICY=online", found="no lock for this directory",
            mend=f"hardtack add {directory}",
        )  # fmt: skip


def refuse_pickles(directory: Path, locked: LockedModel | None) -> None:
    """Say that there are only pickles, where that is so and no lock names them.

    Opening one runs whatever code its author put in it; torch's ``weights_only`` narrows that down, and a lock says
    whose it is.

    Raises:
        UnsupportedModel: so it is.
    """
    if locked is not None and locked.weights is WeightsKind.PICKLE:
        return
    kinds = ("safetensors*", "xml", "onnx")
    if any(True for depth in ("", "*/") for kind in kinds for _ in directory.glob(f"{depth}*.{kind}")):
        return
    pickles = sorted(file.name for file in directory.iterdir() if file.suffix in PICKLES)
    if pickles:
        raise UnsupportedModel(
            "the model's weights are pickled, and opening a pickle runs code", where=str(directory),
            expected="weights in safetensors", found=", ".join(pickles),
            mend="hardtack add REPO  # a revision that has safetensors; or weights = \"pickle\" in hardtack.toml",
        )  # fmt: skip


@contextmanager
def mended(locked: LockedModel | None) -> Iterator[None]:
    """Give a refusal that names no command one: another revision may have right what a model's own files say wrong."""
    try:
        yield
    except UnsupportedModel as problem:
        problem.mend = problem.mend or (f"hardtack lock --upgrade {locked.key}" if locked else "hardtack add REPO")
        raise
