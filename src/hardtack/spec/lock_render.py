"""Writing a lock as text; its form is described in :mod:`hardtack.spec.lock_text`, which reads it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hardtack.spec.lock import Lock, LockedFile, LockedModel, Overrides
from hardtack.spec.text_file import write_atomically
from hardtack.spec.toml_write import toml_value
from hardtack.spec.words import EngineName, Precision, Task, WeightsKind

LOCK_VERSION = 1


def render_lock(lock: Lock) -> str:
    """The lock as text, the same for the same lock on any machine."""
    lines = [
        "# Written by `hardtack lock`; not to be edited. It belongs in version control.",
        f"version = {LOCK_VERSION}",
        f"manifest = {toml_value(lock.manifest)}",
    ]
    for model in lock.models:
        lines += ["", "[[model]]", *_model_rows(model), *_override_rows(model.overrides)]
        for group in model.labels:
            lines += ["", "[[model.labels]]", f"name = {toml_value(group.name)}"]
            lines += [f"values = {toml_value(group.values)}", f"prompt = {toml_value(group.prompt)}"]
        for code in model.code:
            lines += ["", "[[model.code]]", f"repo = {toml_value(code.repo)}", f'commit = "{code.commit}"']
            lines += _file_rows("files", code.files)
        for build in model.builds:
            lines += ["", "[[model.build]]", f"recipe = {toml_value(build.recipe)}"]
            lines += [f'precision = "{build.precision.value}"', f"digest = {toml_value(build.digest)}"]
            lines += _file_rows("files", build.files)
    return "\n".join(lines) + "\n"


def write_lock(lock: Lock, path: Path) -> None:
    """Write the lock atomically: whoever reads ``path`` sees the old one or the new one, whole.

    Raises:
        DiskError: it could not be written; what was there is untouched.
    """
    write_atomically(path, render_lock(lock).encode())


def _model_rows(model: LockedModel) -> list[str]:
    rows = [f"key = {toml_value(model.key)}", f'task = "{model.task.value}"']

    def put(name: str, value: str, default: str = "") -> None:
        if value != default:
            rows.append(f"{name} = {toml_value(value)}")

    if model.task is Task.EXTERNAL:
        put("note", model.note)
        return rows
    put("repo", model.repo)
    put("source", model.source, "hub")
    put("requested", model.requested)
    put("commit", model.commit)
    put("license", model.license)
    if model.gated:
        rows.append("gated = true")
    put("engine", model.engine.value, EngineName.AUTO.value)
    put("precision", model.precision.value, Precision.AUTO.value)
    put("weights", model.weights.value, WeightsKind.SAFETENSORS.value)
    put("path", model.path)
    put("note", model.note)
    if model.trust_remote_code:
        rows.append("trust-remote-code = true")
    if model.gate:
        rows.append(f"gate = {toml_value({name: float(least) for name, least in sorted(model.gate.items())})}")
    put("digest", model.digest)
    return rows + _file_rows("files", model.files) + _file_rows("added", model.added)


def _override_rows(over: Overrides) -> list[str]:
    rows = []
    if over.max_length is not None:
        rows.append(f"max-length = {over.max_length}")
    if over.normalize is not None:
        rows.append(f"normalize = {toml_value(over.normalize)}")
    if over.pooling is not None:
        rows.append(f'pooling = "{over.pooling.value}"')
    if over.prompts is not None:
        rows.append(f"prompts = {toml_value(dict(sorted(over.prompts.items())))}")
    if over.similarity is not None:
        rows.append(f'similarity = "{over.similarity.value}"')
    return ["", "[model.override]", *rows] if rows else []


def _file_rows(name: str, files: Iterable[LockedFile]) -> list[str]:
    rows = []
    for file in files:
        git = f', git = "{file.git}"' if file.git else ""
        rows.append(f'  {{ path = {toml_value(file.path)}, size = {file.size}, sha256 = "{file.sha256}"{git} }},')
    return [f"{name} = [", *rows, "]"] if rows else []
