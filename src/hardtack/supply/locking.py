"""A manifest and the lock before it make the next lock: what stays at its commit, and what is looked up anew.

Writes no lock; asks a Hub only for what has to be locked.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hardtack.errors import UnknownRepo
from hardtack.places import Store
from hardtack.spec.licenses import refuse_licenses
from hardtack.spec.lock import Lock, LockedModel
from hardtack.spec.manifest import Manifest, WantedModel, carried_over, is_stale
from hardtack.supply.bare_names import full_name
from hardtack.supply.code import code_repos, lock_code
from hardtack.supply.desk import Supplies
from hardtack.supply.hub import Hub
from hardtack.supply.local import resolve_local
from hardtack.supply.progress import SILENT, Progress
from hardtack.supply.resolve import resolve


@dataclass(frozen=True)
class Locker:
    """What locking needs besides the manifest.

    Attributes:
        hub, store: as for :func:`~hardtack.supply.resolve.resolve`.
        folder: what local models are relative to.
        progress: who is told.
    """

    hub: Hub
    store: Store
    folder: Path
    progress: Progress = SILENT

    def lock(self, manifest: Manifest, old: Lock, upgrade: Collection[str] | None = ()) -> Lock:
        """The lock that the manifest wants.

        What is locked stays at its commit, and its code at that code's, while repository and revision stay. A lock
        that is not stale asks no Hub.

        Args:
            manifest: what is wanted.
            old: the lock so far; one with no models where there is none.
            upgrade: keys to lock anew where their revision has moved; None means all.

        Raises:
            Refused: a licence that the manifest does not allow.
            HardtackError: as :func:`~hardtack.supply.resolve.resolve`.
        """
        if is_stale(old, manifest) or upgrade is None or upgrade:
            if not self.hub.session.is_default and any(_asks(model) for model in manifest.models):
                # a lock says nothing of where it was made, so this is the moment to say it (DESIGN §5.7)
                self.progress.say(f"the Hub that is asked is {self.hub.endpoint}, not the default one")
            models = [self._locked(want, old.get(want.key), upgrade) for want in manifest.models]
            lock = Lock(manifest.digest, tuple(models))
        else:
            lock = carried_over(old, manifest)
        refuse_licenses(lock, manifest)
        return lock

    def _locked(self, want: WantedModel, old: LockedModel | None, upgrade: Collection[str] | None) -> LockedModel:
        if not want.task.pulls:
            return LockedModel(want.key, want.task, source="", note=want.note)
        stays = old is not None and upgrade is not None and want.key not in upgrade
        code = {code.repo: code.commit for code in old.code} if old is not None and stays else {}
        if want.local:
            return self._with_code(resolve_local(want, self.folder), code)
        if old is None or not stays or old.requested != want.revision or not self._is_of(old, want):
            return resolve(want, self.hub, self.store, progress=self.progress)
        pinned = replace(want, revision=old.commit)
        model = resolve(pinned, self.hub, self.store, code_at=code, progress=self.progress)
        return replace(model, requested=want.revision)

    def _with_code(self, model: LockedModel, at: Mapping[str, str]) -> LockedModel:
        """A local model with the code in repositories of the Hub that its files name."""
        if not model.trust_remote_code:
            return model
        directory = self.folder / model.repo
        repos = code_repos((f.path for f in model.files), lambda path: json.loads((directory / path).read_bytes()))
        return replace(model, code=lock_code(repos, Supplies(self.hub, self.store, self.progress), at))

    def _is_of(self, old: LockedModel, want: WantedModel) -> bool:
        """Whether a locked model is of the wanted repository, under that name or one that the Hub gave it since.

        The lock holds the new name of a renamed repository; only the Hub can say that the old one still means it.
        """
        if old.source != "hub":
            return False
        name = full_name(want.repo, want.task)
        if old.repo in (want.repo, name):
            return True
        try:
            return self.hub.list(name, old.commit).repo == old.repo
        except UnknownRepo:
            return False


def _asks(want: WantedModel) -> bool:
    """Whether locking a model may need a Hub."""
    return want.task.pulls and (not want.local or want.trust_remote_code)
