"""Whether store and network are as a pull needs them: what is looked at, found, and what mends it. Changes nothing."""

from __future__ import annotations

import os
import shlex
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from huggingface_hub.errors import HfHubHTTPError

from hardtack.errors import DiskError, HardtackError
from hardtack.places import Store
from hardtack.supply import disk
from hardtack.supply.hub import Hub
from hardtack.supply.problems import Asked, explain
from hardtack.supply.registry import Standing, known
from hardtack.supply.session import Session
from hardtack.supply.usage import Usage, usage

_LITTLE = 2_000_000_000  # bytes: two of the larger embedders
_SHOWN = 3
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


class Health(StrEnum):
    """How a thing is."""

    GOOD = "good"
    NOTE = "note"  # worth knowing; nothing fails by it
    BROKEN = "broken"  # something fails by it


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        topic: what: ``store``, ``disk``, ``hub``, …
        health: how it is.
        text: one sentence.
        mend: a command; empty where there is nothing to mend.
    """

    topic: str
    health: Health
    text: str
    mend: str = ""


def store_findings(store: Store, *, free: Callable[[Path], int] = disk.free_bytes) -> Iterator[Finding]:
    """What is to be said of a store: space, dangling names, cut-off downloads, other users' files, lost projects."""
    try:
        yield _space(store.hub, free(store.hub))
        projects = known(store)
        found = usage(store, projects)
    except DiskError as problem:
        yield Finding("store", Health.BROKEN, f"{problem.where}: {problem.found}", problem.mend)
        return
    count = len(found.snapshots)
    yield Finding("store", Health.GOOD, f"{store.hub}: {count} snapshot{'' if count == 1 else 's'}, {found.size} bytes")
    yield from _broken_things(found)
    if store.hub.is_dir() and not os.access(store.hub, os.W_OK):
        yield Finding("store", Health.NOTE, f"{store.hub} is read-only: what is there serves, nothing can be pulled",
                      f"ls -ld {shlex.quote(str(store.hub))}")  # fmt: skip
    for project in projects:
        if project.standing is Standing.GONE:
            yield Finding("store", Health.NOTE, f"the project of {project.lock} is gone, and what it pulled is kept",
                          "hardtack cache prune --gone")  # fmt: skip


def legacy_findings(home: Path, hub: Path, named: Iterable[Path]) -> Iterator[Finding]:
    """Caches of former days that still take space, and that nothing writes any more.

    Args:
        home: the user's.
        hub: the cache in use, which is none of them.
        named: folders that old variables point at.
    """
    former = (
        home / ".cache/torch/sentence_transformers", home / ".cache/huggingface/transformers",
        home / ".cache/torch/transformers",
    )  # fmt: skip
    for folder in dict.fromkeys((*former, *named)):
        if folder != hub and folder.is_dir() and any(folder.iterdir()):
            yield Finding("legacy", Health.NOTE, f"{folder} is a cache that current libraries do not write",
                          f"hardtack pull --from {shlex.quote(str(folder))}")  # fmt: skip


def network_findings(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Proxies and certificates as the environment has them; a password in a proxy's address is not shown."""
    for name in _PROXIES:
        if environ.get(name):
            yield Finding("proxy", Health.NOTE, f"{name}={_without_password(environ[name])}")
    if not any(environ.get(name) for name in _PROXIES) and (system := urllib.request.getproxies()):
        yield Finding("proxy", Health.NOTE, f"of this system: {', '.join(sorted(system))}")
    for name, right in (("SSL_CERT_FILE", Path.is_file), ("SSL_CERT_DIR", Path.is_dir)):
        if value := environ.get(name):
            there = right(Path(value))
            text = f"{name}={value}" if there else f"{name} points at what is not there: {value}"
            yield Finding(
                "certificates", Health.NOTE if there else Health.BROKEN, text, "" if there else f"unset {name}"
            )
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if environ.get(name) and not environ.get("SSL_CERT_FILE"):
            yield Finding("certificates", Health.NOTE, f"{name} is not read by huggingface_hub since 1.0",
                          f"export SSL_CERT_FILE={shlex.quote(environ[name])}")  # fmt: skip


def hub_finding(hub: Hub) -> Finding:
    """Whether a Hub answers at all: one request for a repository that need not exist."""
    session = hub.session
    repo = "hardtack/doctor"
    try:
        _ask(session, repo)
    except HardtackError as problem:
        return Finding("hub", Health.BROKEN, f"{hub.endpoint} does not answer: {problem.found}",
                       f"curl -sSI {shlex.quote(hub.endpoint)}")  # fmt: skip
    return Finding("hub", Health.GOOD, f"{hub.endpoint} answers")


def _ask(session: Session, repo: str) -> None:
    try:
        session.get_json(f"{session.endpoint}/api/models/{repo}")
    except HfHubHTTPError as problem:
        if problem.response.status_code >= 500:
            raise explain(problem, Asked(repo, "main"), session) from problem


def _space(path: Path, free: int) -> Finding:
    if free < _LITTLE:
        return Finding(
            "disk", Health.NOTE, f"only {free / 1e9:.1f} GB are free where {path} is", "hardtack cache prune"
        )
    return Finding("disk", Health.GOOD, f"{free / 1e9:.1f} GB are free where {path} is")


def _broken_things(found: Usage) -> Iterator[Finding]:
    dangling = [name for snapshot in found.snapshots for name in snapshot.dangling]
    if dangling:
        yield Finding("store", Health.BROKEN, f"names that lead to nothing: {_some(dangling)}", "hardtack pull")
    if found.partials:
        size = sum(part.size for part in found.partials)
        text = f"{len(found.partials)} downloads were cut off, {size} bytes; a pull resumes"
        yield Finding("store", Health.NOTE, text, "hardtack pull")
    if found.foreign:
        user = os.geteuid()
        first = shlex.quote(str(found.foreign[0]))
        yield Finding("store", Health.NOTE, f"not writable for user {user}, being another's: {_some(found.foreign)}",
                      f"ls -ld {first}")  # fmt: skip


def _some(paths: Iterable[Path]) -> str:
    every = [str(path) for path in paths]
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more


def _without_password(address: str) -> str:
    scheme, separator, rest = address.rpartition("://")
    return f"{scheme}{separator}…@{rest.rpartition('@')[2]}" if "@" in rest else address
