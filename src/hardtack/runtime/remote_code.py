"""Code that a model brings, laid out so that transformers runs just what the lock names, and fetches nothing.

transformers takes code that ``auto_map`` names in another repository (``org/code--module.Class``) from that
repository's ``main``, even where the model is pinned to a commit or is a local directory
(``get_class_from_dynamic_module`` in its ``dynamic_module_utils.py``). Here it is given a private directory instead:
the model's files by links, its Python files copied from the very bytes that were hashed, and every such reference
turned into a local folder. What is not in the lock, or not what the lock says, is not there to be run.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hardtack.errors import DiskError, Mismatch
from hardtack.spec.lock import LockedCode, LockedFile

_SEPARATOR = "--"


@dataclass(frozen=True)
class Carried:
    """Code that the lock carries and the caller allows.

    Attributes:
        files: the model's own, Python among them.
        others: other repositories', each with the folder where it lies.
    """

    files: tuple[LockedFile, ...]
    others: tuple[tuple[LockedCode, Path], ...] = ()


def lay_out(directory: Path, code: Carried) -> Path:
    """A private directory from which transformers loads the model; it is gone when the process ends.

    Args:
        directory: the model's.
        code: what may run.

    Raises:
        Mismatch: a Python file is not what the lock says, or code is named that the lock does not carry.
        DiskError: a file cannot be read, or there is no temporary folder to write to.
    """
    try:
        root = Path(tempfile.mkdtemp(dir=_scratch()))
        folders = {}
        for number, (other, where) in enumerate(code.others):
            folders[other.repo] = root / f"code_{number}"
            for file in other.files:
                _write(folders[other.repo] / file.path, _checked(where, file))
        # the folder's name becomes part of a module's name
        place = root / "model"
        for file in code.files:
            if file.path.endswith(".py"):
                _write(place / file.path, _checked(directory, file))
            elif file.path.endswith(".json"):
                _write(place / file.path, _pointed(directory / file.path, folders))
            else:
                (place / file.path).parent.mkdir(parents=True, exist_ok=True)
                (place / file.path).symlink_to(directory / file.path)
    except OSError as problem:
        raise DiskError(
            "the model's code cannot be laid out", where=str(problem.filename or tempfile.gettempdir()),
            expected="readable files and a writable temporary folder", found=problem.strerror or str(problem),
            mend="TMPDIR=/a/writable/folder …",
        ) from problem  # fmt: skip
    return place


def _checked(directory: Path, file: LockedFile) -> bytes:
    """The bytes of a file, which are the lock's: these very bytes are written and run."""
    data = (directory / file.path).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != file.sha256:
        raise Mismatch(
            "code that the model brings is not what the lock says: it was not run", where=str(directory / file.path),
            expected=f"sha256 {file.sha256}", found=f"sha256 {found}", mend="hardtack pull",
        )  # fmt: skip
    return data


def _pointed(file: Path, folders: dict[str, Path]) -> bytes:
    """A JSON file with its references to other repositories' code turned to folders here."""
    data = file.read_bytes()
    if _SEPARATOR.encode() not in data:
        return data
    value = json.loads(data)
    for holder, key in _references(value):
        repo, separator, name = str(holder[key]).partition(_SEPARATOR)
        if not separator:
            continue
        if repo not in folders:
            raise Mismatch(
                "the model names code that the lock does not carry", where=str(file),
                expected=", ".join(sorted(folders)) or "code beside the model's own files", found=str(holder[key]),
                mend="hardtack lock",
            )  # fmt: skip
        holder[key] = f"{folders[repo]}{_SEPARATOR}{name}"
    return json.dumps(value, indent=2).encode()


def _references(value: Any) -> Iterable[tuple[Any, Any]]:
    """Where a config's ``auto_map``, or a list of modules, names classes: each as a container and a key of it."""
    if isinstance(value, list):
        yield from ((row, "type") for row in value if isinstance(row, dict) and isinstance(row.get("type"), str))
        return
    auto_map = value.get("auto_map") if isinstance(value, dict) else None
    if isinstance(auto_map, list):
        auto_map = dict.fromkeys(["AutoTokenizer"], auto_map)
    for key, named in (auto_map or {}).items():
        if isinstance(named, list):  # a tokenizer's slow and fast class, either of them null
            yield from ((named, number) for number, name in enumerate(named) if isinstance(name, str))
        elif isinstance(named, str):
            yield auto_map, key


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@cache
def _scratch() -> Path:
    """This process's own folder for code, and for the copies of it that transformers makes and imports."""
    scratch = Path(tempfile.mkdtemp(prefix="hardtack_code_"))
    if _SEPARATOR in str(scratch):  # would end the name of a repository
        raise OSError(None, f"a temporary folder without {_SEPARATOR!r} in its name is needed", str(scratch))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    import transformers.dynamic_module_utils as dynamic

    modules = scratch / "modules"
    modules.mkdir()
    dynamic.HF_MODULES_CACHE = str(modules)
    if (package := sys.modules.get(dynamic.TRANSFORMERS_DYNAMIC_MODULE_NAME)) is not None:
        package.__path__.append(str(modules / dynamic.TRANSFORMERS_DYNAMIC_MODULE_NAME))
    return scratch
