"""The Hub's JSON shapes, made from what is served.

Field names are those that huggingface_hub reads in ``hf_api.py`` (``ModelInfo``, ``RepoFile``, ``GitRefs``,
``GitCommitInfo``). No Xet field is ever among them, so that clients stay on plain HTTP. Numbers a mirror does not know
(downloads, likes) are left out rather than made up.
"""

from __future__ import annotations

from typing import Any

from hardtack.mirror.content import Folder, Repo, Revision
from hardtack.mirror.scan import File


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


def entry(each: File | Folder) -> dict[str, Any]:
    """One file or folder of a tree. The sha256 is called ``oid`` here and ``sha256`` in :func:`model`."""
    if isinstance(each, Folder):
        return {"type": "directory", "oid": each.oid, "size": 0, "path": each.path}
    item = {"type": "file", "oid": each.oid, "size": each.size, "path": each.path}
    if each.lfs:
        item["lfs"] = {"oid": each.sha256, "size": each.size, "pointerSize": each.pointer_size}
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
