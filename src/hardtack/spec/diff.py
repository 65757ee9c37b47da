"""Two locks side by side: what came, went and changed, and whether stored vectors still fit.

Values only; it opens no file and asks nobody. What two locks alone can say of vectors:

* The **space** of an embedder (:mod:`hardtack.runtime.space`) is a hash of its commit (of a local directory: its
  digest), pooling, normalising, prompts and length. All of these but the commit are read from files that are locked,
  and from the overrides. So commit, files and overrides equal: the same space, :attr:`Vectors.SAME_SPACE`.
* A commit that changed no file which decides vectors gives the same vectors, but ``space`` names the commit and so
  changes: the index stays, the name stored beside it must be written anew, :attr:`Vectors.SAME_VECTORS`.
* Anything else is taken for another space, :attr:`Vectors.REEMBED`. That is the careful answer: a file may have changed
  in a way that moves no vector (a comment in a config), and only loading both could tell.

Every locked file decides vectors but licences and model cards. Engine and precision do not count, as for ``space``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from hardtack.spec.lock import Lock, LockedFile, LockedModel
from hardtack.spec.words import Task

_WORDS_ONLY = re.compile(r"(?:LICEN[CS]E|NOTICE|COPYING|USE_POLICY|README)[\w.-]*", re.IGNORECASE)


class Change(StrEnum):
    """What happened to a model or a file."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Vectors(StrEnum):
    """What a change of an embedder means for vectors that are stored."""

    SAME_SPACE = "same space"
    SAME_VECTORS = "same vectors, another name of the space"
    REEMBED = "re-embed"


@dataclass(frozen=True)
class FileChange:
    """One file; ``old`` and ``new`` are its bytes, None where it is not."""

    change: Change
    path: str
    old: int | None
    new: int | None


@dataclass(frozen=True)
class FieldChange:
    """One word of a model's entry, as text."""

    name: str
    old: str
    new: str


@dataclass(frozen=True)
class ModelDiff:
    """One model that differs.

    Attributes:
        change: whether it came, went or changed.
        key, task: which; of the new lock where it is there.
        fields: what is said of it: repository, commit, licence, overrides, …; empty unless it changed.
        files: sorted by path; those of other repositories' code are written ``repo: path``.
        vectors: of an embedder that changed; None for all else.
    """

    change: Change
    key: str
    task: Task
    fields: tuple[FieldChange, ...] = ()
    files: tuple[FileChange, ...] = ()
    vectors: Vectors | None = None


def diff_locks(old: Lock, new: Lock) -> tuple[ModelDiff, ...]:
    """What differs between two locks, by key; empty where every model is the same."""
    found = []
    for key in sorted({model.key for model in (*old.models, *new.models)}):
        before, after = old.get(key), new.get(key)
        if before is None and after is not None:
            found.append(ModelDiff(Change.ADDED, key, after.task, files=_files((), _everything(after))))
        elif before is not None and after is None:
            found.append(ModelDiff(Change.REMOVED, key, before.task, files=_files(_everything(before), ())))
        elif before is not None and after is not None and before != after:
            found.append(
                ModelDiff(
                    Change.CHANGED, key, after.task, _fields(before, after),
                    _files(_everything(before), _everything(after)), vectors_between(before, after),
                )
            )  # fmt: skip
    return tuple(found)


def vectors_between(old: LockedModel, new: LockedModel) -> Vectors | None:
    """What going from one locked embedder to another means for stored vectors; None where it is about none."""
    if old.task is not Task.EMBED or new.task is not Task.EMBED:
        return None
    if _deciding(old) != _deciding(new):
        return Vectors.REEMBED
    named = (old.commit or old.digest) == (new.commit or new.digest)
    return Vectors.SAME_SPACE if named else Vectors.SAME_VECTORS


def _deciding(model: LockedModel) -> object:
    """What decides a model's vectors, comparable."""
    files = [(file.path, file.sha256) for file in model.files if not _WORDS_ONLY.fullmatch(file.path)]
    code = [(code.repo, [(file.path, file.sha256) for file in code.files]) for code in model.code]
    # how vectors are compared with one another moves none of them
    over = replace(model.overrides, similarity=None)
    prompts = None if over.prompts is None else dict(over.prompts)
    return files, code, model.weights, replace(over, prompts=prompts)


def _everything(model: LockedModel) -> tuple[LockedFile, ...]:
    # not everything(): there the commit is part of the path of code, and all of it would seem to be new
    builds = (file for build in model.builds for file in build.files)
    code = (replace(file, path=f"{code.repo}: {file.path}") for code in model.code for file in code.files)
    return (*model.files, *model.added, *builds, *code)


def _files(old: Iterable[LockedFile], new: Iterable[LockedFile]) -> tuple[FileChange, ...]:
    before, after = {file.path: file for file in old}, {file.path: file for file in new}
    found = []
    for path in sorted(before.keys() | after.keys()):
        was, now = before.get(path), after.get(path)
        if was is None and now is not None:
            found.append(FileChange(Change.ADDED, path, None, now.size))
        elif was is not None and now is None:
            found.append(FileChange(Change.REMOVED, path, was.size, None))
        elif was is not None and now is not None and was.sha256 != now.sha256:
            found.append(FileChange(Change.CHANGED, path, was.size, now.size))
    return tuple(found)


def _fields(old: LockedModel, new: LockedModel) -> tuple[FieldChange, ...]:
    before, after = _said(old), _said(new)
    return tuple(FieldChange(name, before[name], after[name]) for name in before if before[name] != after[name])


def _said(model: LockedModel) -> dict[str, str]:
    over = model.overrides
    return {
        "task": model.task.value, "repo": model.repo, "requested": model.requested, "commit": model.commit,
        "license": model.license, "engine": model.engine.value, "precision": model.precision.value,
        "weights": model.weights.value, "path": model.path, "max-length": _text(over.max_length),
        "prompts": _text(None if over.prompts is None else dict(sorted(over.prompts.items()))),
        "pooling": _text(over.pooling), "normalize": _text(over.normalize), "similarity": _text(over.similarity),
        "trust-remote-code": _text(model.trust_remote_code),
        "code": ", ".join(f"{code.repo}@{code.commit}" for code in model.code),
        "builds": ", ".join(f"{build.recipe} {build.precision.value} {build.digest}" for build in model.builds),
        "labels": "; ".join(f"{group.name}: {', '.join(group.values)}: {group.prompt}" for group in model.labels),
        "gate": _text(dict(sorted(model.gate.items())) or None), "note": model.note,
    }  # fmt: skip


def _text(value: object) -> str:
    return "" if value is None else str(value)
