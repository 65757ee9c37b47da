"""The proof: every model of a pantry, loaded and run where the kernel allows no network, against its golden answers.

Each model has a child process of its own, so that seconds and memory are its own too. What the child tried and was
denied is counted by the guard, not by the child. Where the kernel gives no guard there is no proof, and it says so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from hardtack.errors import LockError
from hardtack.offline.guard import Attempt, can_guard, run_guarded
from hardtack.spec.digest import hash_bytes
from hardtack.spec.hub_cache import cache_files
from hardtack.spec.lock import LOCK_NAME, SIGNATURE_SUFFIX, Lock, LockedFile, LockedModel
from hardtack.spec.lock_text import read_lock
from hardtack.spec.pantry_digest import pantry_digest
from hardtack.spec.verify import Checked, Finding, Kind, check_files, walk

_KEPT = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "PYTHONWARNINGS")
_UNNAMED = (LOCK_NAME, LOCK_NAME + SIGNATURE_SUFFIX)  # a lock cannot name itself, nor what is made of it
_OURS = ("HARDTACK_ENGINE", "HARDTACK_DEVICE", "HARDTACK_THREADS", "HARDTACK_ALLOW_CODE")


@dataclass(frozen=True)
class ModelProof:
    """What one model did behind the guard.

    Attributes:
        key, task, shown: which model.
        good: whether it was verified, loaded, and agreed with its golden answers.
        why: one sentence where it is not good.
        seconds: from the start of the process to the first answer.
        load_seconds: of these, loading and verifying.
        memory_mb: the most resident memory of its process, in MiB.
        engine, precision: what ran it.
        drift: the golden comparison: measure, value, limit, good; None where the task has none.
        attempts: what it tried and was denied.
    """

    key: str
    task: str
    shown: str
    good: bool
    why: str = ""
    seconds: float = 0.0
    load_seconds: float = 0.0
    memory_mb: float = 0.0
    engine: str = ""
    precision: str = ""
    drift: Mapping[str, Any] | None = None
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True)
class Proof:
    """What a pantry showed.

    Attributes:
        directory, digest: which pantry.
        guard: what kept the network away; empty where nothing could.
        why: why there is no proof, empty where there is one.
        files: the comparison of every file with the lock.
        models: one for each model that loads.
    """

    directory: Path
    digest: str
    guard: str
    why: str
    files: Checked
    models: tuple[ModelProof, ...]

    @property
    def proven(self) -> bool:
        """Whether everything held: files, guard, answers, and not one attempt at a network."""
        return not self.why

    @property
    def attempts(self) -> int:
        """Attempts at a network, of all models."""
        return sum(attempt.count for model in self.models for attempt in model.attempts)

    def as_json(self) -> dict[str, Any]:
        """The proof as plain values."""
        return {"proven": self.proven, **asdict(self), "directory": str(self.directory)}


def read_pantry(directory: Path) -> tuple[Lock, str]:
    """A pantry's lock and digest.

    Raises:
        LockError: the directory is no pantry.
    """
    path = directory / LOCK_NAME
    if not path.is_file():
        raise LockError(
            "this is no pantry", where=str(directory), expected=f"a directory that holds {LOCK_NAME}",
            found="no such directory" if not directory.is_dir() else "a directory without one",
            mend=f"hardtack bake {directory}",
        )  # fmt: skip
    lock = read_lock(path)
    return lock, pantry_digest(lock, path.read_bytes())


def pantry_files(lock: Lock) -> tuple[LockedFile, ...]:
    """Every file of a pantry but the lock itself, with paths relative to the pantry."""
    models = tuple(
        LockedFile(f"{model.folder}/{file.path}", file.size, file.sha256, file.git)
        for model in lock.models
        for file in model.everything()
    )
    beside = ((path, hash_bytes(data)) for path, data in cache_files(lock).items())
    return (*models, *(LockedFile(path, hashes.size, hashes.sha256) for path, hashes in beside))


def check_pantry(directory: Path) -> Checked:
    """Compare every file of a pantry with its lock; what the lock does not name is a finding, too.

    A pantry whose models lie at absolute paths stands for the root of an image, where programs lie as well: then only
    what lies in the models' own folders must be in the lock.

    Raises:
        LockError: the directory is no pantry.
    """
    lock, _ = read_pantry(directory)
    files = pantry_files(lock)
    shared = any(model.path.startswith("/") for model in lock.models)
    checked = check_files(directory, files, extra=not shared)
    findings = [finding for finding in checked.findings if finding.path not in _UNNAMED]
    if shared:
        known = {file.path for file in files}
        for folder in sorted({model.folder for model in lock.models if model.task.pulls}):
            findings += [
                Finding(Kind.EXTRA, f"{folder}/{path}", "no such file", "a file that the lock does not name")
                for path in walk(directory / folder)
                if f"{folder}/{path}" not in known
            ]
    return Checked(tuple(findings), checked.files, checked.bytes)


def prove(directory: Path, *, tell: Callable[[str], None] = lambda _: None) -> Proof:
    """Prove a pantry.

    Args:
        directory: the pantry.
        tell: told what is being done, a line each.

    Raises:
        LockError: the directory is no pantry.
    """
    directory = directory.absolute()
    lock, digest = read_pantry(directory)
    tell("comparing every file with the lock")
    checked = check_pantry(directory)
    guarding = can_guard()
    if not guarding.able:
        return Proof(directory, digest, "", f"this kernel gives no guard: {guarding.why_not}", checked, ())
    models = []
    for model in lock.models:
        if model.task.loads:
            tell(f"{model.key}: loading and answering behind the guard")
            models.append(_prove_model(directory, model))
    why = ""
    if not checked.good:
        first = checked.findings[0]
        why = f"{first.path}: {first.kind.value}, expected {first.expected}, found {first.found}"
    for proof in models:
        why = why or (f"{proof.key}: {proof.why}" if not proof.good else "")
    for proof in models:
        for attempt in proof.attempts:
            why = why or (f"{proof.key}: tried {attempt.what}" if attempt.leaves else "")
    return Proof(directory, digest, guarding.how, why, checked, tuple(models))


def _whole(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _prove_model(directory: Path, model: LockedModel) -> ModelProof:
    # an environment of its own: nothing it may lean on but the pantry, and a home that is empty
    with tempfile.TemporaryDirectory(prefix="hardtack-prove-") as home:
        env = {name: os.environ[name] for name in (*_KEPT, *_OURS) if name in os.environ}
        env |= {"HOME": home, "HF_HOME": home, "HF_HUB_OFFLINE": "1", "HARDTACK_POLICY": "strict", "TMPDIR": home}
        command = [sys.executable, "-m", "hardtack.offline.prove_child", str(directory), model.key]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as talk:
            watched = run_guarded(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=talk)
            answer, complaint = _whole(out), _whole(talk)
        left = sorted(path.name for path in Path(home).iterdir())
    about: dict[str, Any] = {"key": model.key, "task": model.task.value, "shown": model.shown}
    about |= {"attempts": watched.attempts, "memory_mb": round(watched.peak_bytes / 2**20, 1)}
    try:
        said = json.loads(answer.splitlines()[-1])
    except (ValueError, IndexError):
        tail = complaint.strip().splitlines()[-1:] or ["it said nothing"]
        return ModelProof(**about, good=False, why=f"its process ended with {watched.returncode}: {tail[0]}")
    if "error" in said:
        error = said["error"]
        return ModelProof(**about, good=False, why=f"{error['what']} ({error['where']}: {error['found']})")
    drift = said["drift"]
    why = ""
    if drift is not None and not drift["good"]:
        why = f"golden answers drifted: {drift['measure']} {drift['value']:.6f}, limit {drift['limit']}"
    elif left:
        why = f"it wrote {left[0]} under its home"
    said.pop("drift")
    return ModelProof(**about, good=not why, why=why, drift=drift, **said)
