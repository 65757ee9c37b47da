"""The lock as text: ``hardtack.lock``.

``parse_lock(render_lock(lock)) == lock``, and ``render_lock(parse_lock(text)) == text`` for every text that
:func:`render_lock` wrote: sorted, one line a file, LF, no time, no path of a machine, no endpoint. What is not
understood is refused with its line: a lock is trusted, so it is never read generously.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from hardtack.errors import DiskError, HardtackError, LockError
from hardtack.spec.digest import tree_digest
from hardtack.spec.lock import LOCK_NAME, LabelGroup, Lock, LockedBuild, LockedCode, LockedFile, LockedModel, Overrides
from hardtack.spec.names import UnsafeName, distinct_paths, is_commit, is_key, is_local, is_repo, safe_path
from hardtack.spec.toml_reader import Document, Table
from hardtack.spec.words import EngineName, Pooling, Precision, Similarity, Task, WeightsKind

LOCK_VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(value: str) -> str:
    # JSON's string is TOML's basic string, but for DEL, which TOML wants escaped
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _name(value: str) -> str:
    return value if _BARE.match(value) else _text(value)


def _texts(values: Iterable[str]) -> str:
    return "[" + ", ".join(_text(value) for value in values) + "]"


def _inline(values: Mapping[str, str | float]) -> str:
    items = (f"{_name(k)} = {_text(v) if isinstance(v, str) else repr(float(v))}" for k, v in sorted(values.items()))
    return "{ " + ", ".join(items) + " }" if values else "{}"


def _files(name: str, files: Iterable[LockedFile]) -> list[str]:
    rows = []
    for file in sorted(files):
        git = f', git = "{file.git}"' if file.git else ""
        rows.append(f'  {{ path = {_text(file.path)}, size = {file.size}, sha256 = "{file.sha256}"{git} }},')
    return [f"{name} = [", *rows, "]"] if rows else []


def _model_lines(model: LockedModel) -> list[str]:
    lines = ["[[model]]", f"key = {_text(model.key)}", f'task = "{model.task.value}"']

    def put(name: str, value: str, default: str = "") -> None:
        if value != default:
            lines.append(f"{name} = {_text(value)}")

    put("repo", model.repo)
    put("source", model.source, "hub")
    put("requested", model.requested)
    put("commit", model.commit)
    put("license", model.license)
    put("engine", model.engine.value, EngineName.AUTO.value)
    put("precision", model.precision.value, Precision.AUTO.value)
    put("weights", model.weights.value, WeightsKind.SAFETENSORS.value)
    put("path", model.path)
    put("note", model.note)
    if model.trust_remote_code:
        lines.append("trust-remote-code = true")
    if model.gate:
        lines.append(f"gate = {_inline(dict(model.gate))}")
    put("digest", model.digest)
    lines += _files("files", model.files) + _files("added", model.added)

    over = model.overrides
    if over != Overrides():
        lines += ["", "[model.override]"]
        if over.max_length is not None:
            lines.append(f"max-length = {over.max_length}")
        if over.normalize is not None:
            lines.append(f"normalize = {str(over.normalize).lower()}")
        if over.pooling is not None:
            lines.append(f'pooling = "{over.pooling.value}"')
        if over.prompts is not None:
            lines.append(f"prompts = {_inline(dict(over.prompts))}")
        if over.similarity is not None:
            lines.append(f'similarity = "{over.similarity.value}"')
    for group in model.labels:
        lines += ["", "[[model.labels]]", f"name = {_text(group.name)}"]
        lines += [f"values = {_texts(group.values)}", f"prompt = {_text(group.prompt)}"]
    for code in sorted(model.code, key=lambda c: c.repo):
        lines += ["", "[[model.code]]", f"repo = {_text(code.repo)}", f'commit = "{code.commit}"']
        lines += _files("files", code.files)
    for build in sorted(model.builds, key=lambda b: b.recipe):
        lines += ["", "[[model.build]]", f"recipe = {_text(build.recipe)}"]
        lines += [f'precision = "{build.precision.value}"', f"digest = {_text(build.digest)}"]
        lines += _files("files", build.files)
    return lines


def render_lock(lock: Lock) -> str:
    """The lock as text, the same for the same lock on any machine."""
    lines = [
        "# Written by `hardtack lock`; not to be edited. It belongs in version control.",
        f"version = {LOCK_VERSION}",
        f'manifest = "{lock.manifest}"',
    ]
    for model in lock.models:
        lines += ["", *_model_lines(model)]
    return "\n".join(lines) + "\n"


def write_lock(lock: Lock, path: Path) -> None:
    """Write the lock atomically: whoever reads ``path`` sees the old one or the new one, whole.

    Raises:
        DiskError: it could not be written; what was there is untouched.
    """
    write_atomically(path, render_lock(lock).encode())


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a small file by way of a synced neighbour.

    Raises:
        DiskError: it could not be written; what was there is untouched.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        try:
            with beside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as problem:
        raise DiskError(
            "a file could not be written", where=str(path), expected="a writable folder with free space",
            found=f"{problem.strerror} ({problem.filename})", mend=f"ls -ld {path.parent}",
        ) from problem  # fmt: skip


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _checked(table: Table, key: str, value: str, good: Callable[[str], bool], expected: str) -> str:
    if not good(value):
        raise table.fail(key, f"`{key}` is not what it must be", expected=expected, found=value)
    return value


def _read_files(table: Table, key: str) -> tuple[LockedFile, ...]:
    files = []
    for row in table.tables(key):
        path = row.text("path")
        try:
            safe_path(path)
        except UnsafeName as why:
            raise row.fail("path", "a file's name would leave its folder", expected="a plain relative path",
                           found=f"{path!r}: {why}") from None  # fmt: skip
        size = row.integer("size")
        if size is None or size < 0:
            raise row.fail("size", "`size` is not a number of bytes", expected="size = 0 or more", found=size)
        sha256 = _checked(row, "sha256", row.text("sha256"), lambda v: bool(_SHA256.match(v)), "64 hexadecimal digits")
        git = _checked(row, "git", row.text("git", ""), lambda v: not v or is_commit(v), "40 hexadecimal digits")
        row.finish()
        files.append(LockedFile(path, size, sha256, git))
    try:
        distinct_paths(file.path for file in files)
    except UnsafeName as why:
        raise table.fail(key, "two files cannot lie side by side", expected="distinct names", found=str(why)) from None
    return tuple(sorted(files))


def _read_model(table: Table) -> LockedModel:
    key = _checked(table, "key", table.text("key"), is_key, "letters, digits, '_', '-' and '.'")
    task = table.choice("task", Task)
    external = task is Task.EXTERNAL
    source = table.text("source", "" if external else "hub")
    local = source == "local"
    if not external:
        _checked(table, "source", source, lambda v: v in ("hub", "local"), "hub or local")
    repo = table.text("repo", "" if external else None)
    if not external:
        _checked(table, "repo", repo, is_local if local else is_repo, "./directory" if local else "namespace/name")
    commit = table.text("commit", "" if external or local else None)
    if not (external or local):
        _checked(table, "commit", commit, is_commit, "40 hexadecimal digits")
    path = table.text("path", "")
    if path:
        check_pantry_path(table, path)
    over = table.table("override")
    overrides = read_overrides(over) if over else Overrides()
    if over:
        over.finish()
    labels = []
    for group in table.tables("labels"):
        labels.append(LabelGroup(group.text("name"), group.texts("values") or (), group.text("prompt")))
        group.finish()
    code = []
    for row in table.tables("code"):
        commit_of_code = _checked(row, "commit", row.text("commit"), is_commit, "40 hexadecimal digits")
        code.append(LockedCode(_checked(row, "repo", row.text("repo"), is_repo, "namespace/name"), commit_of_code,
                               _read_files(row, "files")))  # fmt: skip
        row.finish()
    builds = []
    for row in table.tables("build"):
        builds.append(LockedBuild(row.text("recipe"), row.choice("precision", Precision), row.text("digest"),
                                  _read_files(row, "files")))  # fmt: skip
        row.finish()
    model = LockedModel(
        key=key, task=task, repo=repo, source=source, requested=table.text("requested", ""), commit=commit,
        license=table.text("license", ""), digest=table.text("digest", "" if external else None),
        files=_read_files(table, "files"), added=_read_files(table, "added"),
        engine=table.choice("engine", EngineName, EngineName.AUTO),
        precision=table.choice("precision", Precision, Precision.AUTO),
        weights=table.choice("weights", WeightsKind, WeightsKind.SAFETENSORS),
        path=path, overrides=overrides, labels=tuple(labels), gate=table.number_table("gate") or {},
        trust_remote_code=table.flag("trust-remote-code") or False,
        code=tuple(code), builds=tuple(builds), note=table.text("note", ""),
    )  # fmt: skip
    table.finish()
    reckoned = tree_digest((file.path, file.sha256) for file in model.files)
    if not external and model.digest != reckoned:
        raise table.fail("digest", f"the files of {key!r} do not add up to its digest", expected=model.digest,
                         found=reckoned)  # fmt: skip
    return model


def read_overrides(table: Table) -> Overrides:
    """Read the keys of a manifest or lock that set something against the model's own files."""
    length = table.integer("max-length")
    if length is not None and length < 1:
        raise table.fail("max-length", "`max-length` is no length", expected="1 or more", found=length)
    return Overrides(
        max_length=length,
        prompts=table.text_table("prompts"),
        pooling=table.choice("pooling", Pooling) if table.has("pooling") else None,
        normalize=table.flag("normalize"),
        similarity=table.choice("similarity", Similarity) if table.has("similarity") else None,
    )


def check_pantry_path(table: Table, path: str) -> None:
    """Refuse a ``path`` that could leave the root a pantry is laid under."""
    try:
        safe_path(path.removeprefix("/"))
    except UnsafeName as why:
        raise table.fail("path", "`path` would leave the root it is laid under", expected="a plain path without `..`",
                         found=f"{path!r}: {why}") from None  # fmt: skip


def parse_lock(text: str, name: str = LOCK_NAME) -> Lock:
    """Read a lock.

    Raises:
        LockError: with the line, what was expected and what was found.
    """
    document = Document(text, name, LockError, "hardtack lock")
    root = document.root
    version = root.integer("version")
    if version != LOCK_VERSION:
        newer = version is not None and version > LOCK_VERSION
        raise LockError(
            "a newer hardtack wrote this lock" if newer else "`version` is not one that is known",
            where=name if version is None else f"{name}:{document.line_of(('version',))}",
            expected=f"version = {LOCK_VERSION}", found="nothing" if version is None else str(version),
            mend="pip install --upgrade hardtack" if newer else "hardtack lock",
        )  # fmt: skip
    manifest = root.text("manifest")
    models = [_read_model(table) for table in root.tables("model")]
    root.finish()
    keys: dict[str, str] = {}
    for model in models:
        if (other := keys.setdefault(model.key.casefold(), model.key)) != model.key or [m.key for m in models].count(
            model.key
        ) > 1:
            raise document.error("two models of one key", line=None, expected="distinct keys",
                                 found=f"{other!r} and {model.key!r}")  # fmt: skip
    return Lock(manifest, tuple(models), name)


def read_lock(path: Path) -> Lock:
    """Read a lock file.

    Raises:
        LockError: it is not there, or cannot be understood.
        DiskError: it is there and cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise LockError(
            "there is no lock", where=str(path), expected=LOCK_NAME, found="no such file", mend="hardtack lock"
        ) from None
    except UnicodeDecodeError as problem:
        raise LockError(
            "the lock is not UTF-8 text", where=str(path), expected="UTF-8", found=f"byte {problem.start}",
            mend="hardtack lock",
        ) from None  # fmt: skip
    except OSError as problem:
        raise unreadable(path, problem) from problem
    return parse_lock(text, str(path))


def unreadable(path: Path, problem: OSError) -> HardtackError:
    """The error for a file that is there and cannot be read."""
    return DiskError(
        "a file could not be read", where=str(path), expected="a readable file", found=str(problem.strerror),
        mend=f"ls -l {path}",
    )  # fmt: skip
