"""The lock: what the manifest's wishes are, to the byte, and everything a loader needs where there is no manifest.

Frozen values and the questions one asks them. Their text is :mod:`hardtack.spec.lock_text`; what is locked is decided
in :mod:`hardtack.spec.choice` and :mod:`hardtack.supply`; whether files are it, in :mod:`hardtack.spec.verify`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hardtack.errors import UnknownModel
from hardtack.spec.names import is_repo
from hardtack.spec.words import EngineName, Pooling, Precision, Similarity, Task, WeightsKind

LOCK_NAME = "hardtack.lock"
MANIFEST_NAME = "hardtack.toml"  # here, so that who only asks whether there is one need not read one
SIGNATURE_SUFFIX = ".sig"  # a signature lies beside what it is of


@dataclass(frozen=True, slots=True, order=True)
class LockedFile:
    """One file: its path in the repository, bytes, SHA-256, and git blob id (empty where it never had one)."""

    path: str
    size: int
    sha256: str
    git: str = ""


@dataclass(frozen=True, slots=True)
class LabelGroup:
    """One group of zero-shot labels; groups are answered in order, and a prompt may name an earlier group.

    Attributes:
        name: the group's name, as in ``{'category': …}``.
        values: the labels.
        prompt: text with ``{text}``, and ``{name}`` of earlier groups.
    """

    name: str
    values: tuple[str, ...]
    prompt: str


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the manifest sets against the model's own files; None leaves the model's word."""

    max_length: int | None = None
    prompts: Mapping[str, str] | None = None
    pooling: Pooling | None = None
    normalize: bool | None = None
    similarity: Similarity | None = None


@dataclass(frozen=True, slots=True)
class LockedCode:
    """Another repository whose code the model's ``auto_map`` reaches."""

    repo: str
    commit: str
    files: tuple[LockedFile, ...]

    def __post_init__(self) -> None:
        _sort(self, "files")

    @property
    def folder(self) -> str:
        """Where a pantry has it, relative to the model's folder."""
        return f"hardtack/code/{self.repo.replace('/', '--')}/{self.commit}"


@dataclass(frozen=True, slots=True)
class LockedBuild:
    """An accepted variant made from the snapshot; ``files`` are relative to the model's directory."""

    recipe: str
    precision: Precision
    digest: str
    files: tuple[LockedFile, ...]

    def __post_init__(self) -> None:
        _sort(self, "files")

    @property
    def name(self) -> str:
        """Its folder's, in the store as in a pantry: ``int8-…``, of its files' paths, ``hardtack/<name>/model.xml``."""
        return self.files[0].path.split("/")[1]


@dataclass(frozen=True, slots=True)
class LockedModel:
    """One model of a lock; files, code and builds are sorted as it is made, so that equal models are equal values.

    Attributes:
        key: its name in this project, and its folder in a pantry unless ``path`` says otherwise.
        task: what it is for.
        repo: Hub repository, or a directory relative to the lock (``./x``) where ``source`` is ``local``.
        source: ``hub``, ``local``, or empty for an external service, of which a lock's text holds the note alone.
        requested: the manifest's revision; may be empty for a local directory.
        commit: the 40 digits it meant; empty for a local directory.
        license: as the repository says it; empty where it says nothing.
        gated: whether the Hub gives its files only to those who accepted its terms; a mirror then wants a token, too.
        digest: :func:`~hardtack.spec.digest.tree_digest` of ``files``.
        files: the chosen files of the snapshot.
        added: what ``bake`` laid beside them in a pantry (golden answers); empty in a project's own lock.
        engine, precision, weights: as wanted; ``weights`` is what was locked.
        path: where a pantry puts it.
        overrides, labels, gate: carried for the loader and the gate.
        trust_remote_code: whether its code is carried; running it needs the caller's leave too.
        code, builds: see their classes.
        note: for an external service.
    """

    key: str
    task: Task
    repo: str = ""
    source: str = "hub"
    requested: str = ""
    commit: str = ""
    license: str = ""
    gated: bool = False
    digest: str = ""
    files: tuple[LockedFile, ...] = ()
    added: tuple[LockedFile, ...] = ()
    engine: EngineName = EngineName.AUTO
    precision: Precision = Precision.AUTO
    weights: WeightsKind = WeightsKind.SAFETENSORS
    path: str = ""
    overrides: Overrides = field(default_factory=Overrides)
    labels: tuple[LabelGroup, ...] = ()
    gate: Mapping[str, float] = field(default_factory=dict)
    trust_remote_code: bool = False
    code: tuple[LockedCode, ...] = ()
    builds: tuple[LockedBuild, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if self.task is Task.EXTERNAL:
            object.__setattr__(self, "source", "")
        _sort(self, "files")
        _sort(self, "added")
        _sort(self, "code", key=lambda code: (code.repo, code.commit))
        _sort(self, "builds", key=lambda build: (build.recipe, build.digest))

    @property
    def folder(self) -> str:
        """Its folder in a pantry, relative to the pantry's root."""
        return self.path.lstrip("/") if self.path else self.key

    @property
    def size(self) -> int:
        """Bytes of the snapshot's files."""
        return sum(file.size for file in self.files)

    @property
    def shown(self) -> str:
        """``repo@commit`` as people write it, the commit cut to twelve digits."""
        return f"{self.repo}@{self.commit[:12]}" if self.commit else self.repo

    def everything(self) -> tuple[LockedFile, ...]:
        """All files that lie in its pantry folder: snapshot, what bake added, builds, code of other repositories."""
        code = (replace(file, path=f"{code.folder}/{file.path}") for code in self.code for file in code.files)
        return (*self.files, *self.added, *(file for build in self.builds for file in build.files), *code)


@dataclass(frozen=True, slots=True)
class Lock:
    """A whole lock: the models, sorted by key, and the hash of the manifest's keys that decide bytes."""

    manifest: str
    models: tuple[LockedModel, ...]
    name: str = field(default=LOCK_NAME, compare=False)

    def __post_init__(self) -> None:
        _sort(self, "models", key=lambda model: model.key)

    def get(self, key: str) -> LockedModel | None:
        """The model of this key."""
        return next((model for model in self.models if model.key == key), None)

    def with_model(self, model: LockedModel) -> Lock:
        """This lock with the model put in, in place of one of the same key."""
        return replace(self, models=(*(m for m in self.models if m.key != model.key), model))

    def find(self, which: str) -> LockedModel:
        """The model that a name means: a key, else a repository, else a repository's last part if just one has it.

        Raises:
            UnknownModel: none has, or several have.
        """
        if (model := self.get(which)) is not None:
            return model
        for matches in (
            [m for m in self.models if m.repo and m.repo == which],
            [m for m in self.models if m.repo and m.repo.rsplit("/", 1)[-1] == which],
        ):
            if len(matches) == 1:
                return matches[0]
            if matches:
                keys = ", ".join(m.key for m in matches)
                raise UnknownModel(
                    f"{which!r} is more than one model of the lock",
                    where=self.name, expected=f"one of the keys {keys}", found=which, mend="hardtack list",
                )  # fmt: skip
        keys = ", ".join(m.key for m in self.models) or "no model at all"
        raise UnknownModel(
            f"no model of the lock is called {which!r}",
            where=self.name, expected=f"a key, a repository or its last part; the lock has {keys}", found=which,
            mend=f"hardtack add {which if is_repo(which) else 'REPO'}",
        )  # fmt: skip

    def only(self, task: Task) -> LockedModel:
        """The model of a task where the caller named none.

        Raises:
            UnknownModel: there is no such model, or more than one.
        """
        matches = [model for model in self.models if model.task is task]
        if len(matches) == 1:
            return matches[0]
        what = f"more than one model of task {task.value}" if matches else f"no model of task {task.value}"
        raise UnknownModel(
            f"the lock has {what}",
            where=self.name, expected="exactly one, or a name for it",
            found=", ".join(m.key for m in matches or self.models) or "no model at all",
            mend="hardtack list" if matches else f"hardtack add REPO --task {task.value}",
        )  # fmt: skip


def _sort(owner: object, name: str, key: Callable[[Any], Any] | None = None) -> None:
    """Put a tuple of a frozen value that is being made in order; called from ``__post_init__`` alone."""
    object.__setattr__(owner, name, tuple(sorted(getattr(owner, name), key=key)))
