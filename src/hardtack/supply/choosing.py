"""The choice of files applied to a wanted model, and the locked model that comes of it; from Hub or directory alike."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from hardtack.errors import Refused, UnsupportedModel
from hardtack.spec.choice import Choice, NoWeights, choose
from hardtack.spec.digest import tree_digest
from hardtack.spec.lock import LockedCode, LockedFile, LockedModel
from hardtack.spec.manifest import WantedModel
from hardtack.spec.names import UnsafeName, distinct_paths
from hardtack.spec.words import Task

MODULES = "modules.json"
_EDIT = "${EDITOR:-vi} hardtack.toml"


def chosen_files(paths: Collection[str], wanted: WantedModel, read_json: Callable[[str], Any]) -> Choice:
    """Choose the files of a model.

    Args:
        paths: every file there is.
        wanted: whose choice.
        read_json: the content of one of them.

    Raises:
        UnsupportedModel: no weights that may be taken, or a ``modules.json`` that is none.
        Refused: two chosen names could fall on one file.
    """
    where = f"[models.{wanted.key}] {wanted.repo}"
    modules: list[str] = []
    if MODULES in paths and wanted.task is not Task.FILES:
        modules = _module_paths(read_json, where)
    choice = choose(
        paths, wanted.task, weights=wanted.weights, modules=modules, include=wanted.include, exclude=wanted.exclude,
        code=wanted.trust_remote_code,
    )  # fmt: skip
    if isinstance(choice, NoWeights):
        there = ", ".join(kind.value for kind in choice.there)
        raise UnsupportedModel(
            "the repository has no weights that may be taken", where=where, expected=f"{wanted.weights.value} weights",
            found=f"{there} only, which is taken only when the manifest names it" if there else "no weights at all",
            mend=f"{_EDIT}  # weights = \"{choice.there[0].value}\"" if there else "hardtack add REPO",
        )  # fmt: skip
    if not choice.files:
        raise UnsupportedModel(
            "nothing is left of the repository", where=where, expected="a file at least",
            found=f"include {list(wanted.include)}, exclude {list(wanted.exclude)}", mend=_EDIT,
        )  # fmt: skip
    try:
        distinct_paths(choice.files)
    except UnsafeName as why:
        raise Refused(
            "two files of the repository cannot lie side by side", where=where, expected="distinct names",
            found=str(why), mend=f"{_EDIT}  # exclude one of them",
        ) from None  # fmt: skip
    return choice


def _module_paths(read_json: Callable[[str], Any], where: str) -> list[str]:
    try:
        rows = read_json(MODULES)
        paths = [row["path"] for row in rows]
        if not all(isinstance(path, str) for path in paths):
            raise TypeError
    except (ValueError, TypeError, KeyError):
        raise UnsupportedModel(
            "modules.json is not what sentence-transformers writes", where=where,
            expected="a list of modules with paths", found=MODULES, mend="hardtack add REPO",
        ) from None  # fmt: skip
    return paths


def locked(
    wanted: WantedModel,
    choice: Choice,
    files: tuple[LockedFile, ...],
    *,
    source: str,
    repo: str,
    requested: str = "",
    commit: str = "",
    license_name: str = "",
    code: tuple[LockedCode, ...] = (),
) -> LockedModel:
    """A locked model: what was wanted, and what that is.

    Raises:
        Refused: the licence is not the one the manifest expects.
    """
    if wanted.license and wanted.license.casefold() != license_name.casefold():
        raise Refused(
            "the licence is not the one that is expected", where=f"[models.{wanted.key}] {repo}",
            expected=wanted.license, found=license_name or "no licence", mend=_EDIT,
        )  # fmt: skip
    return LockedModel(
        key=wanted.key, task=wanted.task, repo=repo, source=source, requested=requested, commit=commit,
        license=license_name, digest=tree_digest((file.path, file.sha256) for file in files),
        files=tuple(sorted(files)), engine=wanted.engine, precision=wanted.precision, weights=choice.weights,
        path=wanted.path, overrides=wanted.overrides, labels=wanted.labels, gate=wanted.gate,
        trust_remote_code=wanted.trust_remote_code, code=code, note=wanted.note,
    )  # fmt: skip
