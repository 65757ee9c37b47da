"""What a Hub says about a repository: its commit, its files with their hashes, its licence.

Asks; downloads nothing. Every name that comes back is checked before anybody can join it to a path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from huggingface_hub.errors import HfHubHTTPError

from hardtack.errors import HubUnreachable, Misused, Refused
from hardtack.settings import DEFAULT_ENDPOINT, Settings
from hardtack.spec.names import UnsafeName, is_commit, is_repo, safe_path
from hardtack.supply.patience import Patience
from hardtack.supply.problems import Asked, explain
from hardtack.supply.session import Session

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file as the Hub lists it.

    Attributes:
        path, size: its name, and its bytes.
        git: git's blob id of its content, where it is kept in git; empty where it is kept in LFS.
        sha256: of its content where it is kept in LFS; empty where it is kept in git, which knows no SHA-256.
    """

    path: str
    size: int
    git: str
    sha256: str


@dataclass(frozen=True)
class Listing:
    """A repository at one commit.

    Attributes:
        repo: its id, the new one where it was renamed.
        commit: the 40 digits that the revision meant.
        files: sorted by path.
        license: as its card says it; empty where it says nothing.
        gated: whether its terms must be accepted.
        tags: the Hub's own words for it.
    """

    repo: str
    commit: str
    files: tuple[RemoteFile, ...]
    license: str
    gated: bool
    tags: tuple[str, ...]

    def get(self, path: str) -> RemoteFile | None:
        """The file of this name."""
        return next((file for file in self.files if file.path == path), None)


class Hub:
    """One Hub, the default one or a mirror; see :class:`~hardtack.supply.session.Session` for the arguments."""

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        token: str | None = None,
        *,
        timeout: float = 10.0,
        token_for_other_hubs: bool = False,
        patience: Patience | None = None,
    ) -> None:
        self.session = Session(
            endpoint, token, timeout, token_for_other_hubs=token_for_other_hubs, patience=patience or Patience()
        )

    @classmethod
    def of(cls, settings: Settings, *, token_for_other_hubs: bool = False, patience: Patience | None = None) -> Hub:
        """The Hub that the environment means."""
        return cls(
            settings.endpoint, settings.token, timeout=settings.timeout, token_for_other_hubs=token_for_other_hubs,
            patience=patience,
        )  # fmt: skip

    @property
    def endpoint(self) -> str:
        """Its address."""
        return self.session.endpoint

    def url(self, repo: str, commit: str, path: str) -> str:
        """Where a file is to be had."""
        return f"{self.endpoint}/{repo}/resolve/{quote(commit, safe='')}/{quote(path)}"

    def list(self, repo: str, revision: str) -> Listing:
        """Resolve a revision and list its files, in one answer, so that both are of one commit.

        Args:
            repo: ``namespace/name``, or a bare name that the Hub itself resolves.
            revision: branch, tag, ``refs/pr/N`` or commit.

        Raises:
            Misused: ``repo`` cannot be a repository's id.
            UnknownRepo: no such repository or revision.
            AccessDenied: gated, private, or closed.
            HubUnreachable: no answer, or one that breaks the protocol.
            Refused: a file's name would leave its folder.
        """
        if not is_repo(repo):
            raise Misused(
                "this cannot be the name of a repository", where=self.endpoint, expected="namespace/name", found=repo,
                mend="hardtack add REPO",
            )  # fmt: skip
        data = self._ask(repo, revision)
        listing = _parse(data, Asked(repo, revision))
        if listing is None and data.get("id") != repo and is_repo(str(data.get("id"))):
            # renamed, and the redirect dropped the question for sizes
            listing = _parse(self._ask(str(data["id"]), revision), Asked(repo, revision))
        if listing is None:
            raise _broken(Asked(repo, revision), "a size and a blob id for every file", "files without them")
        return listing

    def _ask(self, repo: str, revision: str) -> dict[str, Any]:
        try:
            data = self.session.get_json(
                f"{self.endpoint}/api/models/{repo}/revision/{quote(revision, safe='')}?blobs=true"
            )
        except HfHubHTTPError as problem:
            raise explain(problem, Asked(repo, revision), self.session) from problem
        if not isinstance(data, dict):
            raise _broken(Asked(repo, revision), "a JSON object", type(data).__name__)
        return data


def _parse(data: Mapping[str, Any], asked: Asked) -> Listing | None:
    """The listing in an answer; None where the answer has the names of files but not their sizes."""
    repo, commit, siblings = data.get("id"), data.get("sha"), data.get("siblings")
    if not isinstance(repo, str) or not is_repo(repo):
        raise _broken(asked, "an id", repr(repo))
    if not isinstance(commit, str) or not is_commit(commit):
        raise _broken(asked, "a commit of 40 hexadecimal digits", repr(commit))
    if is_commit(asked.revision) and commit != asked.revision:
        raise _broken(asked, f"commit {asked.revision}", f"commit {commit}")
    if not isinstance(siblings, list):
        raise _broken(asked, "a list of files", repr(siblings))
    files = []
    for row in siblings:
        file = _file(row, asked)
        if file is None:
            return None
        files.append(file)
    if len({file.path for file in files}) != len(files):
        raise _broken(asked, "each file once", "a file that is listed twice")
    tags = data.get("tags")
    words = tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()
    return Listing(
        repo, commit, tuple(sorted(files, key=lambda file: file.path)), _license(data.get("cardData"), words),
        bool(data.get("gated")), words,
    )  # fmt: skip


def _file(row: Any, asked: Asked) -> RemoteFile | None:
    path = row.get("rfilename") if isinstance(row, dict) else None
    if not isinstance(path, str):
        raise _broken(asked, "a name for every file", repr(row))
    try:
        safe_path(path)
    except UnsafeName as why:
        raise Refused(
            "the repository has a file whose name must not reach a disk", where=str(asked),
            expected="plain relative names", found=f"{path!r}: {why}", mend="hardtack remove KEY",
        ) from None  # fmt: skip
    size, git, lfs = row.get("size"), row.get("blobId"), row.get("lfs")
    if size is None or git is None:
        return None
    if not isinstance(size, int) or size < 0:
        raise _broken(asked, f"a size of {path}", repr(size))
    if lfs:
        sha256 = lfs.get("sha256") if isinstance(lfs, dict) else None
        if not isinstance(sha256, str) or not _SHA256.match(sha256):
            raise _broken(asked, f"a SHA-256 of {path}", repr(sha256))
        return RemoteFile(path, size, "", sha256)
    if not isinstance(git, str) or not is_commit(git):
        raise _broken(asked, f"a git blob id of {path}", repr(git))
    return RemoteFile(path, size, git, "")


def _license(card: Any, tags: tuple[str, ...]) -> str:
    said = card.get("license") if isinstance(card, dict) else None
    if isinstance(said, str):
        return said
    if isinstance(said, list):
        return ", ".join(word for word in said if isinstance(word, str))
    return ", ".join(tag.removeprefix("license:") for tag in tags if tag.startswith("license:"))


def _broken(asked: Asked, expected: str, found: str) -> HubUnreachable:
    return HubUnreachable(
        "the Hub's answer is not what its protocol promises", where=str(asked), expected=expected, found=found,
        mend="hardtack doctor",
    )  # fmt: skip
