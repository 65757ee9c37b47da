"""What a mirror serves: repositories, their revisions, their files; frozen once gathered.

Every lookup is in these tables. No name that came from outside is ever joined to a path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from hardtack.errors import DiskError, Misused
from hardtack.mirror import git
from hardtack.mirror.card import Card, read_card
from hardtack.mirror.scan import File, scan
from hardtack.mirror.served import Served
from hardtack.spec.digest import tree_digest


@dataclass(frozen=True)
class Folder:
    """A folder in a repository; ``oid`` is its git tree id."""

    path: str
    oid: str


@dataclass(frozen=True)
class Revision:
    """One commit: ``files`` and ``folders`` by path, sorted; ``folders`` has the root as ``""``."""

    commit: str
    files: Mapping[str, File]
    folders: Mapping[str, Folder]
    card: Card
    modified: datetime

    def entry(self, path: str) -> File | Folder | None:
        """The file or folder at this path."""
        return self.files.get(path) or (self.folders.get(path) if path else None)

    def below(self, folder: str, *, recursive: bool) -> list[File | Folder]:
        """What is in a folder (``""`` is the root), sorted by path; with ``recursive``, in its folders too."""
        start = f"{folder}/" if folder else ""
        entries: list[File | Folder] = [*self.files.values(), *(each for path, each in self.folders.items() if path)]
        inside = (each for each in entries if each.path.startswith(start))
        return sorted(
            (each for each in inside if recursive or "/" not in each.path[len(start) :]), key=lambda each: each.path
        )


@dataclass(frozen=True)
class Repo:
    """One repository: ``revisions`` by commit, ``refs`` (full names, ``refs/heads/main``) to commits."""

    id: str
    revisions: Mapping[str, Revision]
    refs: Mapping[str, str]
    gated: bool
    private: bool

    @property
    def author(self) -> str | None:
        """The namespace of the id."""
        return self.id.partition("/")[0] if "/" in self.id else None

    def find(self, name: str) -> Revision | None:
        """The revision that a commit, branch, tag or full ref names."""
        for ref in (name, f"refs/heads/{name}", f"refs/tags/{name}"):
            commit = self.refs.get(ref)
            if commit is not None:
                return self.revisions[commit]
        return self.revisions.get(name)


@dataclass(frozen=True)
class Content:
    """All repositories by id, sorted."""

    repos: Mapping[str, Repo]

    def find(self, name: str) -> Repo | None:
        """The repository of this id; the Hub, too, minds no case, but says the id as it is."""
        exact = self.repos.get(name)
        same = (repo for each, repo in self.repos.items() if each.lower() == name.lower())
        return exact or next(same, None)

    @classmethod
    def gather(cls, served: Iterable[Served]) -> Content:
        """Scan and hash the folders; several of one repository become its revisions.

        Raises:
            Misused: a folder cannot be served, or two folders claim one commit or ref with different content.
            DiskError: something cannot be read.
        """
        folders: dict[str, list[Served]] = {}
        for each in served:
            folders.setdefault(each.repo, []).append(each)
        return cls(MappingProxyType({repo: _gather_repo(repo, folders[repo]) for repo in sorted(folders)}))


def commit_of(files: Iterable[File]) -> str:
    """The commit given to content that came with none: the same on every machine.

    It is the first 40 digits of :func:`~hardtack.spec.digest.tree_digest`, which ``sha256sum`` reproduces.
    """
    return tree_digest((file.path, file.sha256) for file in files).removeprefix("sha256:")[:40]


def _gather_repo(repo: str, folders: list[Served]) -> Repo:
    named = any("main" in (each.refs or ()) for each in folders)
    revisions: dict[str, Revision] = {}
    refs: dict[str, str] = {}
    for position, each in enumerate(folders):
        revision = _gather_revision(each)
        known = revisions.setdefault(revision.commit, revision)
        if commit_of(known.files.values()) != commit_of(revision.files.values()):
            raise _conflict(repo, f"commit {revision.commit}", each)
        default = ("main",) if position == 0 and not named else ()
        for name in each.refs if each.refs is not None else default:
            ref = name if name.startswith("refs/") else f"refs/heads/{name}"
            if refs.setdefault(ref, revision.commit) != revision.commit:
                raise _conflict(repo, ref, each)
    return Repo(
        id=repo,
        revisions=MappingProxyType(revisions),
        refs=MappingProxyType(dict(sorted(refs.items()))),
        gated=any(each.gated for each in folders),
        private=any(each.private for each in folders),
    )


def _gather_revision(served: Served) -> Revision:
    files = scan(served.directory, served.within, served.only)
    table = {file.path: file for file in files}
    newest = max((file.modified_ns for file in files), default=0)
    return Revision(
        commit=served.commit or commit_of(files),
        files=MappingProxyType(table),
        folders=MappingProxyType(
            {path: Folder(path, oid) for path, oid in git.tree_ids({file.path: file.oid for file in files}).items()}
        ),
        card=read_card(_content(table.get("README.md")), _content(table.get("config.json")), frozenset(table)),
        modified=datetime.fromtimestamp(newest // 1_000_000_000, tz=UTC),
    )


def _content(file: File | None) -> bytes | None:
    if file is None:
        return None
    try:
        return file.source.read_bytes()
    except OSError as error:
        raise DiskError(
            "This cannot be read.", where=str(file.source), found=str(error), mend=f"ls -l {file.source}"
        ) from error


def _conflict(repo: str, name: str, served: Served) -> Misused:
    return Misused(
        f"Two folders claim {name} of {repo} with different content.",
        where=str(served.directory),
        mend=f"hardtack mirror --model {repo}={served.directory}",
    )
