"""What the Hub's refusals mean: huggingface_hub's exceptions as hardtack's errors."""

from __future__ import annotations

from dataclasses import dataclass

from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hardtack.errors import AccessDenied, HardtackError, HubUnreachable, UnknownRepo
from hardtack.supply.session import Session


@dataclass(frozen=True)
class Asked:
    """What a request was about."""

    repo: str
    revision: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}" + (f": {self.path}" if self.path else "")


def explain(problem: HfHubHTTPError, asked: Asked, session: Session) -> HardtackError:
    """The error for an answer of status 400 or more; to be raised by the caller."""
    status = problem.response.status_code
    # Without a code, huggingface_hub takes every 401 of an https address for a missing repository.
    code = problem.response.headers.get("x-error-code", "")
    found = f"status {status}" + (f", {code}" if code else "")
    if session.withheld:
        found += f"; {session.withheld}"
    mend = f"hf auth login  # then accept the terms at {session.endpoint}/{asked.repo}"
    if isinstance(problem, GatedRepoError):
        return AccessDenied(
            "the repository is gated: its terms must be accepted", where=str(asked),
            expected="a token of somebody who accepted them", found=found, mend=mend,
        )  # fmt: skip
    if isinstance(problem, DisabledRepoError):
        return AccessDenied(
            "the Hub has closed this repository", where=str(asked), expected="an open repository", found=found,
            mend="hardtack add REPO",
        )  # fmt: skip
    if isinstance(problem, RevisionNotFoundError):
        return UnknownRepo(
            f"the repository has no revision {asked.revision!r}", where=asked.repo,
            expected="a branch, a tag, refs/pr/N or a commit of 40 digits", found=found,
            mend=f"git ls-remote {session.endpoint}/{asked.repo}",
        )  # fmt: skip
    missing = isinstance(problem, RepositoryNotFoundError)
    # a mirror that gives no code means the file when it was asked for one
    if isinstance(problem, RemoteEntryNotFoundError) or (status == 404 and asked.path and not missing):
        return UnknownRepo(
            "the Hub has no such file at this commit", where=str(asked), expected="the file that is locked",
            found=found, mend="hardtack lock --upgrade",
        )  # fmt: skip
    if status == 404 or (missing and (status != 401 or code == "RepoNotFound")):
        return UnknownRepo(
            f"the Hub has no repository {asked.repo!r}, or none that it shows to you", where=session.endpoint,
            expected="namespace/name, and a token where it is private", found=found,
            mend="hf auth login" if status == 401 and not session.has_token else "hardtack add REPO",
        )  # fmt: skip
    if status in (401, 403):
        return AccessDenied(
            "the Hub denies access", where=str(asked),
            expected="a token that may read this" if session.has_token else "a token", found=found,
            mend="hf auth login",
        )  # fmt: skip
    return HubUnreachable(
        "the Hub did not answer as its protocol promises", where=str(asked), expected="status 200", found=found,
        mend="hardtack doctor",
    )  # fmt: skip
