"""From the store to a pantry: a self-contained, read-only directory of models with its lock.

Every file is hashed while it is copied, so what cannot be verified is never baked. The pantry appears whole or not at
all. Nothing is fetched, and no precision is decided, here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from hardtack.errors import DiskError, HardtackError, Mismatch, Misused
from hardtack.places import is_pantry
from hardtack.runtime import golden
from hardtack.runtime.load import Options, load_model
from hardtack.spec.digest import hash_bytes
from hardtack.spec.lock import LOCK_NAME, Lock, LockedFile, LockedModel
from hardtack.spec.lock_text import render_lock
from hardtack.spec.manifest import MANIFEST_NAME
from hardtack.spec.pantry_digest import pantry_digest
from hardtack.spec.verify import Finding, Kind, check_file
from hardtack.spec.words import Precision

_CHUNK = 1 << 20
Progress = Callable[[str, int], None]
"""Called with a model's key and the bytes that were just laid down."""


@dataclass(frozen=True)
class Baked:
    """A pantry that was baked.

    Attributes:
        directory: where it lies.
        digest: of the whole, see :func:`~hardtack.spec.pantry_digest.pantry_digest`.
        lock: its lock, which names golden answers too.
        files, bytes: what is in it.
    """

    directory: Path
    digest: str
    lock: Lock
    files: int
    bytes: int


def free_bytes(path: Path) -> int:
    """Bytes that may still be written where a path is."""
    return shutil.disk_usage(path).free


def bake(
    lock: Lock,
    sources: Mapping[str, Path],
    destination: Path,
    *,
    progress: Progress | None = None,
    free: Callable[[Path], int] = free_bytes,
    code_sources: Mapping[str, Path] | None = None,
    allow_code: Collection[str] = (),
) -> Baked:
    """Bake every model of a lock into a pantry.

    Args:
        lock: what to bake.
        sources: key → the directory where the model's files lie.
        destination: the pantry; an older pantry there is replaced, anything else is left alone.
        progress: see :data:`Progress`.
        free: bytes free where a path is.
        code_sources: repository → the directory where code of other repositories lies.
        allow_code: keys whose own code may run, for their golden answers.

    Raises:
        UnsupportedModel: a model needs code that may not run, or no engine here runs it.
        Misused: ``destination`` is something other than a pantry, or an empty or absent directory.
        Mismatch: a file is not what the lock says; nothing is left behind.
        DiskError: a file could not be read or written; nothing is left behind.
    """
    destination = destination.absolute()
    _check_destination(destination)
    rising = destination.with_name(f".{destination.name}.baking-{os.getpid()}")
    try:
        _need_space(destination.parent, sum(model.size for model in lock.models), free)
        rising.mkdir(parents=True)
        models = tuple(
            _bake_model(model, sources[model.key], rising, progress, code_sources or {}, model.key in allow_code)
            if model.task.pulls
            else model
            for model in lock.models
        )
        baked = replace(lock, models=models)
        text = render_lock(baked).encode()
        _write(rising / LOCK_NAME, [text])
        _settle(rising)
        _put_in_place(rising, destination)
    except OSError as problem:
        raise DiskError(
            "the pantry could not be baked", where=str(problem.filename or destination),
            expected="a writable folder with free space", found=str(problem.strerror or problem),
            mend=f"df -h {destination.parent}",
        ) from problem  # fmt: skip
    finally:
        shutil.rmtree(rising, ignore_errors=True)
    files = [file for model in models for file in model.everything()]
    return Baked(destination, pantry_digest(baked, text), baked, len(files) + 1, sum(f.size for f in files) + len(text))


def _check_destination(destination: Path) -> None:
    if not destination.exists():
        return
    if destination.is_dir() and not destination.is_symlink():
        project = (destination / MANIFEST_NAME).exists()
        if (is_pantry(destination) and not project) or not any(destination.iterdir()):
            return
    raise Misused(
        "something that is not a pantry lies where the pantry should", where=str(destination),
        expected="a pantry, an empty directory, or nothing", found="a directory with other files"
        if destination.is_dir() else "a file", mend=f"hardtack bake {destination}-pantry",
    )  # fmt: skip


def _need_space(folder: Path, size: int, free: Callable[[Path], int]) -> None:
    while not folder.exists():
        folder = folder.parent
    if (there := free(folder)) < size:
        raise DiskError(
            "there is not enough space for the pantry", where=str(folder), expected=f"{size} bytes free",
            found=f"{there} bytes free", mend=f"df -h {folder}",
        )  # fmt: skip


def _bake_model(
    model: LockedModel, source: Path, rising: Path, progress: Progress | None, code_sources: Mapping[str, Path],
    allow_code: bool,
) -> LockedModel:  # fmt: skip
    folder = rising / model.folder
    for file in model.files:
        _copy(source, folder, file, model)
        if progress is not None:
            progress(model.key, file.size)
    for code in model.code:
        for file in code.files:
            _copy(code_sources[code.repo], folder / code.folder, file, model)
    if not model.task.loads:
        return model
    # in fp32 whatever the model will be executed in: the reference is what precision is held against
    plain = Options(precision=Precision.FP32, allow_code=allow_code)
    with closing(load_model(folder, model.task, locked=model, source="pantry", options=plain)) as loaded:
        answers = golden.render(model.task, golden.ask(loaded))
    _write(folder / golden.GOLDEN_NAME, [answers])
    hashes = hash_bytes(answers)
    return replace(model, added=(LockedFile(golden.GOLDEN_NAME, hashes.size, hashes.sha256),))


def _copy(source: Path, folder: Path, file: LockedFile, model: LockedModel) -> None:
    """Copy one file, hashing what is written: what lies in the pantry is what was checked."""
    finding = check_file(source, file, hashes=False)
    if finding is None:
        seen = hashlib.sha256()

        def chunks() -> Iterable[bytes]:
            with (source / file.path).open("rb") as opened:
                while data := opened.read(_CHUNK):
                    seen.update(data)
                    yield data

        _write(folder / file.path, chunks())
        if seen.hexdigest() == file.sha256:
            return
        finding = Finding(Kind.CHANGED, file.path, f"sha256 {file.sha256}", f"sha256 {seen.hexdigest()}")
    raise _refused(finding, source, model)


def _refused(finding: Finding, source: Path, model: LockedModel) -> HardtackError:
    return Mismatch(
        f"a file of {model.key!r} is not what the lock says: nothing was baked", where=str(source / finding.path),
        expected=finding.expected, found=finding.found,
        mend="hardtack lock" if model.source == "local" else "hardtack pull",
    )  # fmt: skip


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _settle(rising: Path) -> None:
    """Readable by any user, writable by none, whatever the umask was; only root's hand can change a folder."""
    for folder, _, names in os.walk(rising):
        Path(folder).chmod(0o755)
        for name in names:
            (Path(folder) / name).chmod(0o444)


def _put_in_place(rising: Path, destination: Path) -> None:
    old = destination.with_name(f".{destination.name}.old-{os.getpid()}")
    if destination.exists():
        destination.rename(old)
    try:
        rising.rename(destination)
    except OSError:
        if old.exists():
            old.rename(destination)
        raise
    shutil.rmtree(old, ignore_errors=True)
    folder = os.open(destination.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
