"""What someone asks to have served: one folder as one revision of one repository.

Values and their parsing only; the folder is first looked at by :mod:`hardtack.mirror.scan`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hardtack.errors import Misused
from hardtack.spec.lock import LockedFile
from hardtack.spec.names import is_commit, is_repo

_REF = re.compile(r"(?!.*(?:\.\.|//))[A-Za-z0-9][\w./+-]*(?<![/.])", re.ASCII)
_PINNED = re.compile(r"(.+)@([0-9a-f]{40})", re.DOTALL)


@dataclass(frozen=True)
class Served:
    """One folder, served as one revision of one repository.

    Args:
        repo: the id, ``namespace/name`` or a bare ``name``.
        directory: the folder whose files are served.
        commit: 40 hexadecimal digits; None makes a commit from the content, the same on every machine
            (see :func:`hardtack.mirror.content.commit_of`).
        refs: the names that point at this revision: a branch (``main``), ``refs/tags/v1``, ``refs/pr/1``,
            ``refs/convert/x``. None means ``main`` for the first folder of the repository, and no name for others.
        within: links in the folder may lead to files anywhere under this one, by default the folder itself.
            A snapshot in a Hugging Face cache needs the cache's root here, since its files are links to blobs.
        gated: files are given to no one who did not show the mirror's token; the repository itself is shown.
        only: the files that are served, as a lock has them; each must be there and right. None serves all there are.
        private: as if it were not there, to those who did not show the mirror's token.

    Raises:
        Misused: the id, commit or a ref is not one that the Hub could have.
    """

    repo: str
    directory: Path
    commit: str | None = None
    refs: tuple[str, ...] | None = None
    within: Path | None = None
    gated: bool = False
    private: bool = False
    only: tuple[LockedFile, ...] | None = None

    def __post_init__(self) -> None:
        if not is_repo(self.repo):
            raise Misused(
                "This is not a repository id.",
                where=self.repo,
                expected="name or namespace/name, of letters, digits, '-', '_' and '.'",
                mend="hardtack mirror --model namespace/name=DIR",
            )
        if self.commit is not None and not is_commit(self.commit):
            raise Misused(
                "This is not a commit.",
                where=self.repo,
                expected="40 hexadecimal digits in lower case",
                found=self.commit,
                mend=f"hardtack mirror --model {self.repo}={self.directory}",
            )
        for ref in self.refs or ():
            if not is_ref(ref):
                raise Misused(
                    "This is not the name of a branch, tag or pull request.",
                    where=self.repo,
                    expected="main, refs/tags/NAME or refs/pr/NUMBER",
                    found=ref,
                    mend=f"hardtack mirror --model {self.repo}={self.directory}",
                )


def is_ref(name: str) -> bool:
    """Whether this can be the name of a branch, tag or pull request here."""
    return bool(_REF.fullmatch(name)) and not is_commit(name)


def parse_model_argument(argument: str) -> Served:
    """``ID=DIR[@COMMIT]`` as one folder to serve.

    The id ends at the first ``=`` (no id has one), so DIR may hold more of them. A commit is only what stands after
    the last ``@`` and is exactly 40 lower-case hexadecimal digits; any other ``@`` belongs to DIR. A directory whose
    own name ends like that is written with a slash after it. ``~`` is the home directory. DIR need not exist yet.

    Raises:
        Misused: no ``=``, an empty DIR, or an id that is none.
    """
    repo, equals, rest = argument.partition("=")
    if not equals or not rest:
        raise Misused(
            "A model to serve is written ID=DIR or ID=DIR@COMMIT.",
            where=argument,
            mend="hardtack mirror --model namespace/name=DIR",
        )
    pinned = _PINNED.fullmatch(rest)
    directory, commit = (pinned[1], pinned[2]) if pinned else (rest, None)
    return Served(repo=repo, directory=Path(directory).expanduser(), commit=commit)
