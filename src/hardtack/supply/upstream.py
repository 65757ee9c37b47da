"""Whether a Hub still has what a lock names: ids and sizes compared, nothing downloaded.

Any endpoint will do, since a lock names none: the default Hub, or the mirror that a site is about to rely on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hardtack.errors import UnknownRepo
from hardtack.spec.lock import Lock, LockedFile
from hardtack.supply.hub import Hub, Listing


@dataclass(frozen=True)
class Drift:
    """One thing that the lock says and the Hub does not.

    Attributes:
        key: the model.
        where: ``repo@commit``, and the file where it is about one.
        expected, found: what the lock says, and what the Hub does.
    """

    key: str
    where: str
    expected: str
    found: str


def compare_upstream(lock: Lock, hub: Hub) -> tuple[Drift, ...]:
    """Hold every model of the Hub, and the code it needs, against a Hub's listing; empty where all is as locked.

    Raises:
        AccessDenied, HubUnreachable, Refused: as the Hub answered; a repository, commit or file that is gone is a
            drift and no error.
    """
    drifts: list[Drift] = []
    for model in lock.models:
        own = [(model.repo, model.commit, model.files)] if model.source == "hub" else []
        for repo, commit, files in (*own, *((code.repo, code.commit, code.files) for code in model.code)):
            try:
                listing = hub.list(repo, commit)
            except UnknownRepo as problem:
                drifts.append(Drift(model.key, f"{repo}@{commit}", "a commit that is there", problem.what))
            else:
                drifts += _differences(model.key, files, listing)
    return tuple(drifts)


def _differences(key: str, files: Iterable[LockedFile], listing: Listing) -> list[Drift]:
    found = []
    for file in files:
        remote = listing.get(file.path)
        where = f"{listing.repo}@{listing.commit}: {file.path}"
        if remote is None:
            found.append(Drift(key, where, f"{file.size} bytes", "no such file"))
        elif remote.size != file.size:
            found.append(Drift(key, where, f"{file.size} bytes", f"{remote.size} bytes"))
        elif remote.sha256:
            if remote.sha256 != file.sha256:
                found.append(Drift(key, where, f"sha256 {file.sha256}", f"sha256 {remote.sha256}"))
        elif remote.git != file.git:
            # in LFS when it was locked, in git now: the two ids cannot be compared, so nobody can say that it is right
            expected = f"git blob {file.git}" if file.git else f"sha256 {file.sha256}"
            found.append(Drift(key, where, expected, f"git blob {remote.git}"))
    return found
