"""The lock as text: ``hardtack.lock``.

``parse_lock(render_lock(lock)) == lock``, and ``render_lock(parse_lock(text)) == text`` for every text that
:func:`render_lock` wrote: sorted, one line a file, LF, no time, no path of a machine, no endpoint. What is not
understood is refused with its line: a lock is trusted, so it is never read generously.

Writing is :mod:`hardtack.spec.lock_render`; its names, and those of the rooms that both sides use, are here too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from hardtack.errors import LockError
from hardtack.spec.digest import tree_digest
from hardtack.spec.lock import LOCK_NAME, LabelGroup, Lock, LockedBuild, LockedCode, LockedFile, LockedModel, Overrides
from hardtack.spec.lock_render import LOCK_VERSION, render_lock, write_lock
from hardtack.spec.names import UnsafeName, distinct_paths, is_commit, is_key, is_local, is_repo, is_revision, safe_path
from hardtack.spec.shared_keys import check_pantry_path, read_label_group, read_overrides
from hardtack.spec.text_file import read_text, unreadable, write_atomically
from hardtack.spec.toml_reader import Document, Table, shown
from hardtack.spec.words import EngineName, Precision, Task, WeightsKind

__all__ = [
    "LOCK_VERSION",
    "check_pantry_path",
    "parse_lock",
    "read_lock",
    "read_overrides",
    "render_lock",
    "unreadable",
    "write_atomically",
    "write_lock",
]

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_BUILD_FOLDER = re.compile(r"hardtack/[^/]+")


def read_lock(path: Path) -> Lock:
    """Read a lock file.

    Raises:
        LockError: it is not there, or cannot be understood.
        DiskError: it is there and cannot be read.
    """
    return parse_lock(read_text(path, LockError, "lock", "hardtack lock"), str(path))


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
    models: list[LockedModel] = []
    for table in root.tables("model"):
        model = _read_model(table)
        _check_apart(table, model, models)
        models.append(model)
    root.finish()
    return Lock(manifest, tuple(models), name)


def _check_apart(table: Table, model: LockedModel, others: list[LockedModel]) -> None:
    for other in others:
        if other.key == model.key:
            raise table.fail("key", "two models of one key", expected="distinct keys", found=model.key)
        try:
            if model.task.pulls and other.task.pulls:
                distinct_paths((other.folder, model.folder))
        except UnsafeName as why:
            raise table.fail("key", "two models cannot lie side by side in a pantry", expected="distinct folders",
                             found=why) from None  # fmt: skip


def _read_model(table: Table) -> LockedModel:
    key = _checked(table, "key", is_key, "letters, digits, '_', '-' and '.'")
    task = table.choice("task", Task)
    if task is Task.EXTERNAL:
        model = LockedModel(key, task, source="", note=table.text("note", ""))
        table.finish()
        return model
    source = _checked(table, "source", lambda v: v in ("hub", "local"), "hub or local", "hub")
    if source == "local":
        repo = _checked(table, "repo", is_local, "./directory")
        commit = ""  # a `commit` beside a local directory is a key that nobody asks for, and so refused
    else:
        repo = _checked(table, "repo", is_repo, "namespace/name")
        commit = _checked(table, "commit", is_commit, "40 hexadecimal digits")
    path = table.text("path", "")
    if path:
        check_pantry_path(table, path)
    over = table.table("override")
    model = LockedModel(
        key=key, task=task, repo=repo, source=source, commit=commit, path=path,
        requested=_checked(table, "requested", lambda v: not v or is_revision(v), "a branch, tag or commit", ""),
        license=table.text("license", ""), gated=table.flag("gated") or False, digest=table.text("digest"),
        files=_read_files(table, "files"), added=_read_files(table, "added"),
        engine=table.choice("engine", EngineName, EngineName.AUTO),
        precision=table.choice("precision", Precision, Precision.AUTO),
        weights=table.choice("weights", WeightsKind, WeightsKind.SAFETENSORS),
        overrides=read_overrides(over) if over else Overrides(), labels=_read_labels(table),
        gate=table.number_table("gate") or {}, trust_remote_code=table.flag("trust-remote-code") or False,
        code=tuple(_read_code(row) for row in table.tables("code")),
        builds=tuple(_read_build(row) for row in table.tables("build")), note=table.text("note", ""),
    )  # fmt: skip
    if over:
        over.finish()
    table.finish()
    reckoned = tree_digest((file.path, file.sha256) for file in model.files)
    if model.digest != reckoned:
        raise table.fail("digest", f"the files of {key!r} do not add up to its digest",
                         expected=shown(repr(model.digest)), found=reckoned)  # fmt: skip
    _check_distinct(table, "files", model.everything())
    return model


def _read_labels(table: Table) -> tuple[LabelGroup, ...]:
    groups: list[LabelGroup] = []
    for row in table.tables("labels"):
        groups.append(read_label_group(row, row.text("name"), groups))
    return tuple(groups)


def _read_code(table: Table) -> LockedCode:
    repo = _checked(table, "repo", is_repo, "namespace/name")
    code = LockedCode(repo, _checked(table, "commit", is_commit, "40 hexadecimal digits"), _read_files(table, "files"))
    table.finish()
    return code


def _read_build(table: Table) -> LockedBuild:
    build = LockedBuild(
        table.text("recipe"), table.choice("precision", Precision), table.text("digest"), _read_files(table, "files")
    )
    folders = sorted({file.path.rpartition("/")[0] or "." for file in build.files})
    if len(folders) != 1 or not _BUILD_FOLDER.fullmatch(folders[0]):
        raise table.fail("files", "a build's files do not lie in one folder of its own",
                         expected="hardtack/NAME/…", found=", ".join(folders) or "no file")  # fmt: skip
    table.finish()
    return build


def _read_files(table: Table, key: str) -> tuple[LockedFile, ...]:
    files = []
    for row in table.tables(key):
        path = row.text("path")
        try:
            safe_path(path)
        except UnsafeName as why:
            raise row.fail("path", f"this file's name is not safe: {why}", expected="a plain relative path",
                           found=path) from None  # fmt: skip
        size = row.integer("size")
        if size is None:
            raise row.fail(None, "`size` is missing", expected="size = …")
        if size < 0:
            raise row.fail("size", "`size` is not a number of bytes", expected="0 or more", found=size)
        sha256 = _checked(row, "sha256", lambda v: bool(_SHA256.match(v)), "64 hexadecimal digits")
        git = _checked(row, "git", lambda v: not v or is_commit(v), "40 hexadecimal digits", "")
        row.finish()
        files.append(LockedFile(path, size, sha256, git))
    _check_distinct(table, key, files)
    return tuple(files)


def _check_distinct(table: Table, key: str, files: tuple[LockedFile, ...] | list[LockedFile]) -> None:
    try:
        distinct_paths(file.path for file in files)
    except UnsafeName as why:
        raise table.fail(key, "two files cannot lie side by side", expected="distinct names", found=why) from None


def _checked(table: Table, key: str, good: Callable[[str], bool], expected: str, default: str | None = None) -> str:
    value = table.text(key, default)
    if not good(value):
        raise table.fail(key, f"`{key}` is not what it must be", expected=expected, found=value)
    return value
