"""A wanted model and a Hub make a locked model: the commit, the files, and a SHA-256 for every one of them.

The Hub knows the SHA-256 of files in LFS. The others, all small, are fetched once, checked against their git blob id,
and kept in the store, so that locking a model never fetches its weights and the pull that follows fetches only them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from hardtack.places import Store
from hardtack.spec.lock import LockedCode, LockedModel
from hardtack.spec.manifest import WantedModel
from hardtack.supply import disk
from hardtack.supply.bare_names import full_name
from hardtack.supply.choosing import chosen_files, locked
from hardtack.supply.code import code_repos, lock_code
from hardtack.supply.desk import Desk, Supplies
from hardtack.supply.hub import Hub
from hardtack.supply.progress import SILENT, Progress


def resolve(
    wanted: WantedModel,
    hub: Hub,
    store: Store,
    *,
    code_at: Mapping[str, str] | None = None,
    progress: Progress = SILENT,
    free: Callable[[Path], int] = disk.free_bytes,
) -> LockedModel:
    """Lock a model of the Hub.

    Args:
        wanted: the manifest's entry; not a local directory, not an external service.
        hub: whom to ask.
        store: where the small files go.
        code_at: the commits of other repositories' code that stay as they are locked; any other is taken at ``main``.
        progress: told of what a person should hear: a rename, a fallback, gating.
        free: bytes free where a path is.

    Raises:
        UnknownRepo, AccessDenied, HubUnreachable: as the Hub answered.
        UnsupportedModel: no weights that may be taken.
        Refused: a name that must not reach a disk, or a licence that is not expected.
        Mismatch: a small file is not what the Hub's own listing says.
    """
    asked_for = full_name(wanted.repo, wanted.task)
    listing = hub.list(asked_for, wanted.revision)
    if listing.repo != wanted.repo:
        progress.say(f"{wanted.repo} is {listing.repo} on the Hub")
    if listing.gated:
        progress.say(f"{listing.repo} is gated: whoever pulls it needs a token of somebody who accepted its terms")
    supplies = Supplies(hub, store, progress, free)
    desk = Desk(supplies, listing)
    choice = chosen_files([file.path for file in listing.files], wanted, desk.read_json)
    for note in choice.notes:
        progress.say(f"{listing.repo}: {note}")
    files = desk.lock(choice.files)
    code: tuple[LockedCode, ...] = ()
    if wanted.trust_remote_code:
        others = [repo for repo in code_repos(choice.files, desk.read_json) if repo != listing.repo]
        code = lock_code(others, supplies, code_at or {})
    model = locked(
        wanted, choice, files, source="hub", repo=listing.repo, requested=wanted.revision, commit=listing.commit,
        license_name=listing.license, code=code,
    )  # fmt: skip
    return replace(model, gated=listing.gated)
