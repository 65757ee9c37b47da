"""A directory beside the manifest as a locked model: the same choice of files, hashed here, with no commit.

Reads only. Names that begin with a dot belong to other tools and are not part of a model.
"""

from __future__ import annotations

import json
from pathlib import Path

from hardtack.errors import DiskError, ManifestError, Refused
from hardtack.spec.digest import hash_file
from hardtack.spec.lock import LockedFile, LockedModel
from hardtack.spec.manifest import WantedModel
from hardtack.spec.names import UnsafeName, safe_path
from hardtack.spec.verify import walk
from hardtack.supply.choosing import chosen_files, locked


def resolve_local(wanted: WantedModel, base: Path) -> LockedModel:
    """Lock a directory.

    Args:
        wanted: its ``repo`` is the directory.
        base: the folder of the manifest, which ``repo`` is relative to.

    Raises:
        ManifestError: there is no such directory.
        UnsupportedModel: it has no weights that may be taken.
        Refused: a name in it must not be carried, or a link leads out of it.
        DiskError: it cannot be read.
    """
    directory = base / wanted.repo
    if not directory.is_dir():
        raise ManifestError(
            "a model's directory is not there", where=f"[models.{wanted.key}]", expected="a directory",
            found=str(directory), mend=f"ls -d {directory}",
        )  # fmt: skip
    paths = [path for path in walk(directory) if not any(part.startswith(".") for part in path.split("/"))]
    root = directory.resolve()
    for path in paths:
        try:
            safe_path(path)
            if not (directory / path).resolve().is_relative_to(root):
                raise UnsafeName("a link that leads out of the directory")
        except UnsafeName as why:
            raise Refused(
                "a file of the directory cannot be carried", where=str(directory), expected="plain files and names",
                found=f"{path!r}: {why}", mend=f"ls -l {directory}",
            ) from None  # fmt: skip
    try:
        choice = chosen_files(paths, wanted, lambda path: json.loads((directory / path).read_bytes()))
        files = []
        for path in choice.files:
            hashes = hash_file(directory / path)
            files.append(LockedFile(path, hashes.size, hashes.sha256))
    except OSError as problem:
        raise DiskError(
            "a file of the model could not be read", where=str(directory), expected="readable files",
            found=f"{problem.strerror} ({problem.filename})", mend=f"ls -lL {directory}",
        ) from problem  # fmt: skip
    return locked(wanted, choice, tuple(files), source="local", repo=wanted.repo)
