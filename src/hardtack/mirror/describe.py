"""The Hub's JSON shapes, made from what is served.

Field names are those that huggingface_hub reads in ``hf_api.py`` (``ModelInfo``, ``RepoFile``, ``GitRefs``,
``GitCommitInfo``). No Xet field is ever among them, so that clients stay on plain HTTP. Numbers a mirror does not know
(downloads, likes) are left out rather than made up.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hardtack.mirror.content import Folder, Repo, Revision
from hardtack.mirror.scan import File

_LAST_COMMIT = ("id", "title", "date")


def summary(repo: Repo, revision: Revision) -> dict[str, Any]:
    """One model in a listing."""
    return {
        "_id": revision.commit[:24],
        "id": repo.id,
        "modelId": repo.id,
        "author": repo.author,
        "sha": revision.commit,
        "lastModified": _date(revision),
        "private": repo.private,
        "gated": "manual" if repo.gated else False,
        "disabled": False,
        "tags": list(revision.card.tags),
        "pipeline_tag": revision.card.pipeline_tag,
        "library_name": revision.card.library_name,
    }


def model(repo: Repo, revision: Revision, *, blobs: bool = False, security: bool = False) -> dict[str, Any]:
    """One model, with its files; with ``blobs``, their sizes and ids too."""
    info = summary(repo, revision) | {
        "cardData": dict(revision.card.data),
        "config": dict(revision.card.config),
        "siblings": [_sibling(file, blobs) for file in revision.files.values()],
        "usedStorage": sum(file.size for file in revision.files.values()),
    }
    # Nothing was scanned for malice here, and saying so keeps a reader from taking silence for a pass.
    return info | {"securityRepoStatus": {"scansDone": False, "filesWithIssues": []}} if security else info


def expanded(info: dict[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """Of a model just the fields that ``expand`` asks for, and what the Hub always adds; all where it asks for none."""
    return {name: value for name, value in info.items() if not fields or name in fields or name in ("_id", "id")}


def entry(each: File | Folder, last: tuple[Repo, Revision] | None = None) -> dict[str, Any]:
    """One file or folder of a tree. The sha256 is called ``oid`` here and ``sha256`` in :func:`model`.

    Args:
        each: the file or folder.
        last: where its last commit is to be told: of what. It is the one commit that is known.
    """
    item: dict[str, Any] = {"type": "file", "oid": each.oid, "size": 0, "path": each.path}
    if isinstance(each, Folder):
        item["type"] = "directory"
    else:
        item["size"] = each.size
        if each.lfs:
            item["lfs"] = {"oid": each.sha256, "size": each.size, "pointerSize": each.pointer_size}
    if last is not None:
        item["lastCommit"] = {name: value for name, value in commits(*last)[0].items() if name in _LAST_COMMIT}
    return item


def refs(repo: Repo, *, pull_requests: bool) -> dict[str, list[dict[str, str]]]:
    """All refs, in the Hub's four kinds."""
    kinds = {"branches": "refs/heads/", "tags": "refs/tags/", "converts": "refs/convert/"}
    if pull_requests:
        kinds["pullRequests"] = "refs/pr/"
    return {
        kind: [
            {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": commit}
            for ref, commit in repo.refs.items()
            if ref.startswith(prefix)
        ]
        for kind, prefix in kinds.items()
    }


def commits(repo: Repo, revision: Revision) -> list[dict[str, Any]]:
    """The history: the one commit that is known."""
    title = f"{repo.id} at {revision.commit[:12]}, served from a copy"
    return [{"id": revision.commit, "title": title, "message": "", "date": _date(revision), "authors": []}]


def _sibling(file: File, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": file.path}
    item: dict[str, Any] = {"rfilename": file.path, "size": file.size, "blobId": file.oid}
    if file.lfs:
        item["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    return item


def _date(revision: Revision) -> str:
    return f"{revision.modified:%Y-%m-%dT%H:%M:%S}.000Z"
