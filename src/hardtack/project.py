"""The core, on one screen: a manifest, its lock, a store; lock → pull → bake → prove.

Everything is done by the rooms below; this only says in what order, and refuses a stale lock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from hardtack.bake.pantry import Baked, bake
from hardtack.errors import ManifestError, StaleLock
from hardtack.offline.prove import Proof, prove
from hardtack.places import Store, find_upward, store_of
from hardtack.settings import read_settings
from hardtack.spec.lock import LOCK_NAME, Lock, LockedModel
from hardtack.spec.lock_text import read_lock, write_lock
from hardtack.spec.manifest import (
    MANIFEST_NAME,
    Manifest,
    WantedModel,
    carried_over,
    is_stale,
    read_manifest,
    refuse_licenses,
)
from hardtack.spec.verify import Checked, check_files
from hardtack.supply.bare_names import full_name
from hardtack.supply.hub import Hub
from hardtack.supply.local import resolve_local
from hardtack.supply.progress import SILENT, Progress
from hardtack.supply.pull import pull
from hardtack.supply.report import Pulled
from hardtack.supply.resolve import resolve
from hardtack.supply.store import project_id


@dataclass(frozen=True)
class Project:
    """A folder with a manifest and its lock, and the store and Hub that go with them.

    Attributes:
        manifest_path, lock_path: the two files; local models are relative to their folder.
        store: where snapshots lie.
        hub: whom to ask; never asked but by :meth:`lock` and :meth:`pull`.
        progress: told what is being done.
    """

    manifest_path: Path
    lock_path: Path
    store: Store
    hub: Hub
    progress: Progress = SILENT

    @classmethod
    def here(cls, start: Path | None = None, *, new: bool = False, progress: Progress = SILENT) -> Project:
        """The project of the environment (``HARDTACK_MANIFEST``, ``HARDTACK_LOCK``), or upward from ``start``.

        Args:
            start: a folder; default: the working directory.
            new: whether ``start`` itself will do where there is no project yet.
            progress: told what is being done.

        Raises:
            ManifestError: there is neither manifest nor lock.
        """
        settings = read_settings()
        start = start or Path.cwd()
        manifest = settings.manifest or find_upward(start, MANIFEST_NAME) or (start / MANIFEST_NAME if new else None)
        lock = settings.lock or (manifest.with_name(LOCK_NAME) if manifest else find_upward(start, LOCK_NAME))
        if lock is None:
            raise ManifestError(
                "there is no project here", where=str(start), expected=f"{MANIFEST_NAME} or {LOCK_NAME}, here or above",
                found="neither", mend="hardtack init",
            )  # fmt: skip
        manifest = manifest or lock.with_name(MANIFEST_NAME)
        return cls(manifest, lock, store_of(settings), Hub.of(settings), progress)

    @property
    def folder(self) -> Path:
        """What local models are relative to."""
        return self.lock_path.parent

    def manifest(self) -> Manifest:
        """The manifest, read now."""
        return read_manifest(self.manifest_path)

    def lock(self, upgrade: Collection[str] | None = ()) -> Lock:
        """Find out what the manifest is, to the byte, and write it down.

        What is locked stays at its commit while its repository and revision stay; a lock that is not stale asks no Hub.

        Args:
            upgrade: keys to lock anew where their revision has moved; None means all.
        """
        manifest = self.manifest()
        old = read_lock(self.lock_path) if self.lock_path.exists() else Lock("", ())
        if is_stale(old, manifest) or upgrade is None or upgrade:
            models = [self._locked(want, old.get(want.key), upgrade) for want in manifest.models]
            lock = Lock(manifest.digest, tuple(models))
            refuse_licenses(lock, manifest)
        else:
            lock = carried_over(old, manifest)
        if lock != old or not self.lock_path.exists():
            write_lock(lock, self.lock_path)
        return lock

    def _locked(self, want: WantedModel, old: LockedModel | None, upgrade: Collection[str] | None) -> LockedModel:
        if not want.task.pulls:
            return LockedModel(want.key, want.task, source="", note=want.note)
        if want.local:
            return resolve_local(want, self.folder)
        names = (want.repo, full_name(want.repo, want.task))
        stays = upgrade is not None and want.key not in upgrade
        pin = old.commit if old and stays and old.repo in names and old.requested == want.revision else want.revision
        model = resolve(replace(want, revision=pin), self.hub, self.store, progress=self.progress)
        return replace(model, requested=want.revision)

    def current(self) -> Lock:
        """The lock, if it is not stale, with what the manifest says that decides no bytes.

        Raises:
            StaleLock: the manifest changed in a way that decides bytes.
            LockError: there is no lock.
        """
        lock = read_lock(self.lock_path)
        if not self.manifest_path.exists():
            return lock
        manifest = self.manifest()
        if is_stale(lock, manifest):
            raise StaleLock(
                "the lock is stale: the manifest changed after it was made", where=str(self.lock_path),
                expected=f"manifest {manifest.digest}", found=f"manifest {lock.manifest}", mend="hardtack lock",
            )  # fmt: skip
        return carried_over(lock, manifest)

    def pull(self, select: Iterable[str] = (), *, frozen: bool = False) -> Pulled:
        """Fetch what the lock names and the store has not, and verify all of it."""
        lock = read_lock(self.lock_path) if frozen else self.current()
        return pull(
            lock, self.store, self.hub, select=select, project=project_id(self.lock_path), progress=self.progress
        )

    def sources(self, lock: Lock) -> dict[str, Path]:
        """Where each model's files lie."""
        return {model.key: self.source(model) for model in lock.models if model.task.pulls}

    def source(self, model: LockedModel) -> Path:
        """Where a model's files lie: beside the lock, or in the store."""
        return self.folder / model.repo if model.source == "local" else self.store.snapshot(model.repo, model.commit)

    def verify(self) -> dict[str, Checked]:
        """Compare what the store holds with the lock, by key; asks no network."""
        models = (model for model in read_lock(self.lock_path).models if model.task.pulls)
        return {model.key: check_files(self.source(model), model.files) for model in models}

    def bake(self, destination: Path) -> Baked:
        """Lay the locked models out as a pantry."""
        lock = self.current()
        return bake(lock, self.sources(lock), destination)

    def prove(self, pantry: Path) -> Proof:
        """Load and run a pantry where the kernel allows no network."""
        return prove(pantry, tell=self.progress.say)
