"""What a lock names, as something to serve, from the store or a pantry: only that, and only at the locked commits.

Local models have no id that a Hub could have, and builds are no files of a repository: neither is served.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from hardtack.errors import LockError
from hardtack.mirror.served import Served, is_ref
from hardtack.places import Store, is_pantry
from hardtack.spec.lock import LOCK_NAME, Lock, LockedModel
from hardtack.spec.lock_text import read_lock
from hardtack.supply.pull import Wanted, wanted_of


def from_locks(locks: Iterable[Lock], store: Store, gated: Collection[str] = ()) -> list[Served]:
    """The repositories that locks name, from the store; code that a model reaches for is among them.

    Args:
        locks: several may name one repository, at one commit or at several.
        store: where the files lie.
        gated: ids of repositories whose files need the mirror's token, besides those that a lock calls gated.

    Raises:
        LockError: two locks disagree about a file of one commit.
    """
    models = tuple(model for lock in locks for model in lock.models)
    wants = wanted_of(models, "mirror")
    names, closed = _names(models, wants), _gated(models, gated)
    return [
        Served(
            want.repo,
            store.snapshot(want.repo, want.commit),
            want.commit,
            refs=names[want.repo, want.commit],
            within=store.hub,
            gated=want.repo in closed,
            only=tuple(want.files.values()),
        )
        for want in wants
    ]


def from_pantry(directory: Path, gated: Collection[str] = ()) -> list[Served]:
    """The repositories of a pantry's models, from the pantry: their own files, not what `bake` added.

    Raises:
        LockError: this is no pantry.
    """
    if not is_pantry(directory):
        raise LockError(
            "this is no pantry", where=str(directory), expected=f"a directory that holds {LOCK_NAME}",
            found="none there", mend=f"hardtack bake {directory}",
        )  # fmt: skip
    models = [model for model in read_lock(directory / LOCK_NAME).models if model.source == "hub"]
    names, closed = _names(models, wanted_of(models, "mirror")), _gated(models, gated)
    served: dict[tuple[str, str], Served] = {}
    for model in models:
        where = directory / model.folder
        served.setdefault(
            (model.repo, model.commit),
            Served(model.repo, where, model.commit, names[model.repo, model.commit], gated=model.repo in closed,
                   only=model.files),
        )  # fmt: skip
    return list(served.values())


def _gated(models: Iterable[LockedModel], more: Collection[str]) -> frozenset[str]:
    return frozenset(more) | {model.repo for model in models if model.gated}


def _names(models: Iterable[LockedModel], wants: Iterable[Wanted]) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """The branches and tags of each commit: those that were asked for when it was locked.

    A client that names no revision means ``main``. Where nothing of a repository was locked under that name, it is the
    first of its commits: still nothing but what is locked.
    """
    names: dict[tuple[str, str], list[str]] = {(want.repo, want.commit): [] for want in wants}
    taken: dict[tuple[str, str], str] = {}
    for model in models:
        ref = model.requested
        # two locks may have met one branch at two times; then the first has the name, and both their commits
        if model.source == "hub" and is_ref(ref) and taken.setdefault((model.repo, ref), model.commit) == model.commit:
            mine = names[model.repo, model.commit]
            mine += [] if ref in mine else [ref]
    for repo, commit in list(names):
        if (repo, "main") not in taken:
            taken[repo, "main"] = commit
            names[repo, commit].append("main")
    return {place: tuple(refs) for place, refs in names.items()}
