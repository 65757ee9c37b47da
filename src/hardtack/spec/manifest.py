"""The manifest: what is wanted, written by a person in ``hardtack.toml``.

Parsed once into frozen values; a key that is not known is an error, since a typo must not pass for a setting. Adding
and removing entries without touching the rest of the file is :mod:`hardtack.spec.manifest_edit`.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hardtack.errors import ManifestError
from hardtack.spec.digest import hash_bytes
from hardtack.spec.gates import GATES
from hardtack.spec.lock import MANIFEST_NAME, LabelGroup, Lock, Overrides
from hardtack.spec.names import UnsafeName, distinct_paths, is_key, is_local, is_repo, is_revision
from hardtack.spec.shared_keys import check_pantry_path, read_label_group, read_overrides
from hardtack.spec.text_file import read_text
from hardtack.spec.toml_reader import Document, Table
from hardtack.spec.words import EngineName, Precision, Task, WeightsKind


@dataclass(frozen=True)
class WantedModel:
    """One ``[models.KEY]``; the keys are those of DESIGN §4's table, with the same defaults."""

    key: str
    task: Task
    repo: str = ""
    revision: str = "main"
    engine: EngineName = EngineName.AUTO
    precision: Precision = Precision.AUTO
    gate: Mapping[str, float] = field(default_factory=dict)
    calibration: str = ""
    gate_texts: str = ""
    weights: WeightsKind = WeightsKind.SAFETENSORS
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    overrides: Overrides = field(default_factory=Overrides)
    labels: tuple[LabelGroup, ...] = ()
    trust_remote_code: bool = False
    path: str = ""
    license: str = ""
    note: str = ""

    @property
    def local(self) -> bool:
        """Whether ``repo`` is a directory beside the manifest."""
        return is_local(self.repo)

    @property
    def folder(self) -> str:
        """Its folder in a pantry, relative to the pantry's root."""
        return self.path.removeprefix("/") or self.key


@dataclass(frozen=True)
class Manifest:
    """A whole manifest.

    Attributes:
        models: in file order.
        allow_licenses: ``[policy] allow-licenses``; empty allows all.
        name: the file's name, for messages.
    """

    models: tuple[WantedModel, ...]
    allow_licenses: tuple[str, ...] = ()
    name: str = field(default=MANIFEST_NAME, compare=False)

    def get(self, key: str) -> WantedModel:
        """The model of this key.

        Raises:
            ManifestError: there is none.
        """
        for model in self.models:
            if model.key == key:
                return model
        raise ManifestError(
            f"the manifest has no model {key!r}", where=self.name,
            expected=", ".join(model.key for model in self.models) or "a model", found=key, mend="hardtack list",
        )  # fmt: skip

    @property
    def digest(self) -> str:
        """Hash of the keys that decide bytes: ``sha256:`` of their sorted JSON.

        Labels, gates, licences expected, notes and comments are left out: changing them makes no lock stale.
        """
        rows = []
        for model in sorted(self.models, key=lambda m: m.key):
            over = model.overrides
            row: dict[str, object] = {
                "key": model.key, "task": model.task, "repo": model.repo, "revision": model.revision,
                "engine": model.engine, "precision": model.precision, "calibration": model.calibration,
                "weights": model.weights, "include": sorted(model.include), "exclude": sorted(model.exclude),
                "max-length": over.max_length, "pooling": over.pooling, "normalize": over.normalize,
                "prompts": None if over.prompts is None else dict(over.prompts), "similarity": over.similarity,
                "trust-remote-code": model.trust_remote_code, "path": model.path,
            }  # fmt: skip
            rows.append(row)
        text = json.dumps(rows, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return "sha256:" + hash_bytes(text.encode()).sha256


def is_stale(lock: Lock, manifest: Manifest) -> bool:
    """Whether the manifest changed in a way that decides bytes since the lock was made; upstream does not matter."""
    return lock.manifest != manifest.digest


def carried_over(lock: Lock, manifest: Manifest) -> Lock:
    """The lock with the manifest's labels, gates and notes, which decide no bytes and so need no new locking.

    Of a local directory's licence the manifest's word is the only one, so that is carried over, too.
    """
    wanted = {model.key: model for model in manifest.models}
    models = []
    for model in lock.models:
        want = wanted.get(model.key)
        if want is not None:
            said = want.license if model.source == "local" else model.license
            model = replace(model, labels=want.labels, gate=want.gate, note=want.note, license=said)
        models.append(model)
    return replace(lock, models=tuple(models))


def parse_manifest(text: str, name: str = MANIFEST_NAME) -> Manifest:
    """Read a manifest.

    Raises:
        ManifestError: with the line, what was expected and what was found.
    """
    document = Document(text, name, ManifestError, f"${{EDITOR:-vi}} {shlex.quote(name)}")
    root = document.root
    models = tuple(_read_model(key, table) for key, table in root.named_tables("models"))
    policy = root.table("policy")
    licenses = (policy.texts("allow-licenses") if policy else None) or ()
    if policy:
        policy.finish()
    root.finish()
    _check_apart(document, models)
    return Manifest(models, licenses, name)


def _check_apart(document: Document, models: tuple[WantedModel, ...]) -> None:
    pulled = [model for model in models if model.task.pulls]
    for number, model in enumerate(pulled):
        for other in pulled[:number]:
            try:
                distinct_paths((other.folder, model.folder))
            except UnsafeName as why:
                raise document.error(
                    "two models cannot lie side by side in a pantry", line=document.line_of(("models", model.key)),
                    expected="distinct keys and paths, none within another", found=str(why),
                ) from None  # fmt: skip


def _read_model(key: str, table: Table) -> WantedModel:
    if not is_key(key):
        raise table.fail(None, "this key cannot name a model", expected="letters, digits, '_', '-' and '.'", found=key)
    task = table.choice("task", Task)
    if task is Task.EXTERNAL:
        model = WantedModel(key, task, note=table.text("note", ""))
        table.finish()
        return model
    repo = table.text("repo")
    if repo.startswith(("/", "~")):
        raise table.fail("repo", "a path of one machine does not belong in a manifest",
                         expected="a directory relative to the manifest, such as ./my-model", found=repo)  # fmt: skip
    if not is_local(repo) and not is_repo(repo):
        raise table.fail("repo", "`repo` is no repository id", expected="namespace/name, a bare name, or ./directory",
                         found=repo)  # fmt: skip
    if path := table.text("path", ""):
        check_pantry_path(table, path)
    revision = table.text("revision", "main")
    if not is_revision(revision):
        raise table.fail("revision", "`revision` is none", expected="a branch, tag, refs/pr/N or commit",
                         found=revision)  # fmt: skip
    model = WantedModel(
        key=key, task=task, repo=repo, revision=revision, path=path,
        engine=table.choice("engine", EngineName, EngineName.AUTO),
        precision=table.choice("precision", Precision, Precision.AUTO),
        gate=_read_gate(table, task),
        calibration=table.text("calibration", ""), gate_texts=table.text("gate-texts", ""),
        weights=table.choice("weights", WeightsKind, WeightsKind.SAFETENSORS),
        include=table.texts("include") or (), exclude=table.texts("exclude") or (),
        overrides=read_overrides(table), labels=_read_labels(table),
        trust_remote_code=table.flag("trust-remote-code") or False,
        license=table.text("license", ""), note=table.text("note", ""),
    )  # fmt: skip
    table.finish()
    return model


def _read_gate(table: Table, task: Task) -> dict[str, float]:
    gate = dict(table.number_table("gate") or {})
    known = GATES.get(task, {})
    for key, limit in gate.items():
        if key not in known:
            raise table.fail("gate", f"a gate for {task.value} has no key {key!r}",
                             expected=", ".join(known) or "no gate: nothing is built for this task",
                             found=key)  # fmt: skip
        if not -1 <= limit <= 1:
            raise table.fail("gate", f"the limit of {key!r} is none", expected="between -1 and 1", found=limit)
    return gate


def _read_labels(table: Table) -> tuple[LabelGroup, ...]:
    groups: list[LabelGroup] = []
    for name, group in table.named_tables("labels"):
        groups.append(read_label_group(group, name, groups))
    return tuple(groups)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest file.

    Raises:
        ManifestError: it is not there, or cannot be understood.
        DiskError: it is there and cannot be read.
    """
    return parse_manifest(read_text(path, ManifestError, "manifest", "hardtack init"), str(path))
