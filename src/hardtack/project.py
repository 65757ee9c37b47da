"""The core, on one screen: a manifest, its lock, a store; lock → pull → build → bake → prove.

Everything is done by the rooms below; this only says in what order, and refuses a stale lock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from hardtack.bake.answers import ANSWERS_NAME, Answers
from hardtack.bake.oci import Image, write_image
from hardtack.bake.oci_base import Base
from hardtack.bake.pantry import Baked, bake
from hardtack.bake.stock import Origins, Shape, Stock, take_stock
from hardtack.build.choose import choose
from hardtack.build.keeping import keep_builds, texts_of
from hardtack.build.workshop import Chosen, Tried, Workshop
from hardtack.errors import ManifestError, StaleLock
from hardtack.offline.apart import run_apart
from hardtack.offline.prove import Proof, prove
from hardtack.places import Store, find_upward, store_of
from hardtack.settings import read_settings
from hardtack.spec.licenses import refuse_licenses
from hardtack.spec.lock import LOCK_NAME, MANIFEST_NAME, Lock, LockedModel
from hardtack.spec.lock_text import read_lock, write_lock
from hardtack.spec.manifest import Manifest, carried_over, is_stale, read_manifest
from hardtack.spec.verify import Checked
from hardtack.supply.adopt import adopt
from hardtack.supply.checking import check_store
from hardtack.supply.hub import Hub
from hardtack.supply.locking import Locker
from hardtack.supply.progress import SILENT, Progress
from hardtack.supply.pull import only, pull
from hardtack.supply.registry import building, remember
from hardtack.supply.report import Pulled
from hardtack.supply.store import project_id


@dataclass(frozen=True)
class Project:
    """A folder with a manifest and its lock, and the store and Hub that go with them.

    Attributes:
        manifest_path, lock_path: the two files; local models are relative to their folder.
        store: where snapshots lie.
        hub: whom to ask; never asked but by :meth:`lock` and :meth:`pull`.
        progress: told what is being done.
        allow_code: keys of models whose own code may run, as it must for a bake's golden answers.
    """

    manifest_path: Path
    lock_path: Path
    store: Store
    hub: Hub
    progress: Progress = SILENT
    allow_code: Collection[str] = ()

    @classmethod
    def here(
        cls,
        start: Path | None = None,
        *,
        new: bool = False,
        progress: Progress = SILENT,
        token_for_other_hubs: bool = False,
    ) -> Project:
        """The project of the environment (``HARDTACK_MANIFEST``, ``HARDTACK_LOCK``), or upward from ``start``.

        Args:
            start: a folder; default: the working directory.
            new: whether ``start`` itself will do where there is no project yet.
            progress: told what is being done.
            token_for_other_hubs: whether a Hub other than the default one may have the token.

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
        hub = Hub.of(settings, token_for_other_hubs=token_for_other_hubs)
        return cls(manifest, lock, store_of(settings), hub, progress, settings.allow_code)

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
        lock = self.preview(upgrade)
        if not self.lock_path.exists() or lock != read_lock(self.lock_path):
            write_lock(lock, self.lock_path)
        return lock

    def preview(self, upgrade: Collection[str] | None = ()) -> Lock:
        """What :meth:`lock` would write; the store gets the small files that this takes."""
        old, manifest = read_lock(self.lock_path) if self.lock_path.exists() else Lock("", ()), self.manifest()
        lock = Locker(self.hub, self.store, self.folder, self.progress).lock(manifest, old, upgrade)
        return keep_builds(lock, old, manifest, self.folder)

    def current(self) -> Lock:
        """The lock, if it is not stale, with what the manifest says that decides no bytes.

        Raises:
            StaleLock: the manifest changed in a way that decides bytes.
            Refused: the manifest does not allow a licence.
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
        lock = carried_over(lock, manifest)
        refuse_licenses(lock, manifest)
        return lock

    def pull(self, select: Iterable[str] = (), *, frozen: bool = False, source: Path | None = None) -> Pulled:
        """Fetch what the lock names and the store has not, and verify all of it.

        Args:
            select: keys, repositories or their last parts; empty for all.
            frozen: go by the lock alone, stale or not.
            source: a directory to take the files from; no Hub is asked then, and files may be missing in the report.
        """
        lock = read_lock(self.lock_path) if frozen else self.current()
        remember(self.store, lock, self.lock_path)
        project = project_id(self.lock_path)
        if source is not None:
            return adopt(lock, self.store, source, select=select, project=project, progress=self.progress)
        return pull(lock, self.store, self.hub, select=select, project=project, progress=self.progress)

    def origins(self, lock: Lock) -> Origins:
        """Where the bytes of a lock lie: each model's files, and the code that they reach."""
        code = {each.repo: self.store.snapshot(each.repo, each.commit) for model in lock.models for each in model.code}
        files = {model.key: self.source(model) for model in lock.models if model.task.pulls}
        return Origins(files, code, self.allow_code, self.store.builds)

    def source(self, model: LockedModel) -> Path:
        """Where a model's files lie: beside the lock, or in the store."""
        return self.folder / model.repo if model.source == "local" else self.store.snapshot(model.repo, model.commit)

    def verify(self) -> dict[str, Checked]:
        """Compare what the store holds with the lock, by key; asks no network."""
        return check_store(read_lock(self.lock_path), self.store, self.folder)

    def build(
        self, select: Collection[str] = (), *, again: bool = False, note: Callable[[Tried], None] = lambda _: None
    ) -> list[Chosen]:
        """Find out what each model runs in, make the build that takes, hold it to its gate, and lock it.

        Args:
            select: keys, repositories or their last parts; none means all that load.
            again: leave the locked builds aside and choose anew.
            note: told of every variant as soon as it is judged.

        Raises:
            GateMissed: a precision that was asked for loses too much; builds accepted before it are locked.
        """
        lock, manifest, chosen = self.current(), self.manifest(), []
        shop = Workshop(
            self.store.builds, partial(run_apart, tell=self.progress.say), tell=self.progress.say, note=note
        )
        models = [lock.find(each) for each in select] or [model for model in lock.models if model.task.loads]
        with building(self.store):
            remember(self.store, lock, self.lock_path)
            for model in models:
                calibration, gate = texts_of(manifest.get(model.key), self.folder)
                chosen.append(choose(model, self.source(model), calibration, gate, shop, again=again))
                lock = lock.with_model(chosen[-1].model)
                write_lock(lock, self.lock_path)
        return chosen

    def bake(
        self, destination: Path, shape: Shape | None = None, *, link: bool = False, select: Collection[str] = ()
    ) -> Baked:
        """Lay the locked models, or those that ``select`` names, out as a pantry.

        Golden answers are the project's own where it keeps some.
        """
        lock, answers = only(self.current(), select), Answers(self.lock_path.with_name(ANSWERS_NAME))
        baked = bake(lock, self.origins(lock), destination, shape=shape, link=link, answers=answers)
        answers.keep(others=bool(select))
        return baked

    def image(
        self, out: Path, shape: Shape | None = None, *, base: Base | None = None, platform: str = "linux/amd64",
        tag: str = "", select: Collection[str] = (),
    ) -> tuple[Stock, Image]:  # fmt: skip
        """Write the locked models, or those that ``select`` names, as an image, without a daemon."""
        lock, answers = only(self.current(), select), Answers(self.lock_path.with_name(ANSWERS_NAME))
        stock = take_stock(lock, self.origins(lock), replace(shape or Shape(), whole_image=True), answers)
        image = write_image(stock, out, base=base or Base(), platform=platform, tag=tag)
        answers.keep(others=bool(select))
        return stock, image

    def prove(self, pantry: Path) -> Proof:
        """Load and run a pantry where the kernel allows no network."""
        return prove(pantry, tell=self.progress.say)
