"""A bill of materials of a lock, in CycloneDX 1.6: every model, commit, licence and file with its hash.

All of it is in the lock, so the bill of one lock is the same to the byte on every machine, whether the lock is a
project's, a pantry's or an archive's. What a pantry's lock has besides, builds and golden answers, is listed too. The
packages that run the models are not: they are the image's, and other tools list them.

Nothing is read but the lock. Whether files are what it says is for ``hardtack verify``.

https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from hardtack import __version__
from hardtack.spec.digest import hash_bytes
from hardtack.spec.lock import LOCK_NAME, LockedBuild, LockedCode, LockedFile, LockedModel
from hardtack.spec.lock_text import parse_lock
from hardtack.spec.words import Task

Part = dict[str, Any]
"""A component, as JSON has it."""

_TASKS: Mapping[Task, str] = {
    Task.EMBED: "feature-extraction",
    Task.RERANK: "text-ranking",
    Task.CLASSIFY: "text-classification",
}
"""The Hub's names of what models do: https://huggingface.co/tasks"""


def bill_of(lock_text: str, *, timestamp: str | None = None) -> Part:
    """The bill of a lock, as a JSON document.

    Args:
        lock_text: the lock.
        timestamp: when the bill was made, in ISO 8601; None leaves it out, so that the same lock has the same bill.

    Raises:
        LockError: the text cannot be understood.
    """
    lock, digest = parse_lock(lock_text, LOCK_NAME), f"sha256:{hash_bytes(lock_text.encode()).sha256}"
    models = [_model(model) for model in lock.models if model.task.pulls]
    services = [
        {"bom-ref": model.key, "name": model.key, "description": model.note}
        for model in lock.models if not model.task.pulls
    ]  # fmt: skip
    metadata: Part = {
        "tools": {"components": [{"type": "application", "name": "hardtack", "version": __version__}]},
        "component": {
            "type": "file", "bom-ref": digest, "name": LOCK_NAME, "version": digest, "hashes": _sha256(digest),
        },
    }  # fmt: skip
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'hardtack:{__version__}:{digest}')}",
        "version": 1,
        "metadata": ({"timestamp": timestamp} if timestamp else {}) | metadata,
        "components": models,
        **({"services": services} if services else {}),
        "dependencies": [{"ref": digest, "dependsOn": [part["bom-ref"] for part in (*models, *services)]}],
    }


def _model(model: LockedModel) -> Part:
    local = {"name": model.repo, "version": model.digest}
    task = _TASKS.get(model.task)
    said = {"key": model.key, "task": model.task.value, "digest": model.digest, "requested": model.requested}
    return {
        "type": "machine-learning-model",
        "bom-ref": model.key,
        **(local if model.source == "local" else _from_hub(model.repo, model.commit)),
        **({"licenses": licenses_of(model.license)} if model.license else {}),
        **({"modelCard": {"modelParameters": {"task": task}}} if task else {}),
        "properties": _properties(said),
        "components": list(_parts(model)),
    }


def _parts(model: LockedModel) -> Iterator[Part]:
    for file in (*model.files, *model.added):
        yield _file(model.key, file)
    for build in model.builds:
        yield _build(model.key, build)
    for code in model.code:
        yield _code(model.key, code)


def _build(key: str, build: LockedBuild) -> Part:
    return {
        "type": "machine-learning-model", "bom-ref": f"{key}/hardtack/{build.name}", "name": build.name,
        "version": build.recipe,
        "properties": _properties({"digest": build.digest, "precision": build.precision.value}),
        "components": [_file(key, file) for file in build.files],
    }  # fmt: skip


def _code(key: str, code: LockedCode) -> Part:
    return {
        "type": "library", "bom-ref": f"{key}/{code.folder}", **_from_hub(code.repo, code.commit),
        "components": [_file(f"{key}/{code.folder}", file) for file in code.files],
    }  # fmt: skip


def _file(inside: str, file: LockedFile) -> Part:
    return {
        "type": "file", "bom-ref": f"{inside}/{file.path}", "name": file.path, "hashes": _sha256(file.sha256),
        "properties": _properties({"size": str(file.size)}),
    }  # fmt: skip


def _from_hub(repo: str, commit: str) -> Part:
    group, _, name = repo.rpartition("/")
    return {
        **({"group": group} if group else {}),
        "name": name,
        "version": commit,
        "purl": f"pkg:huggingface/{repo}@{commit}",
        "externalReferences": [{"type": "distribution", "url": f"https://huggingface.co/{repo}/tree/{commit}"}],
    }


def licenses_of(said: str) -> list[Part]:
    """What a repository says of its licence: SPDX's name or expression where it is one, else its words.

    The Hub's ``a, b`` means that both hold.
    """
    try:
        expression = canonicalize_license_expression(" AND ".join(part.strip() for part in said.split(",")))
    except InvalidLicenseExpression:
        return [{"license": {"name": said}}]
    return [{"expression": expression}] if " " in expression else [{"license": {"id": expression}}]


def _sha256(digest: str) -> list[Part]:
    return [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]


def _properties(named: Mapping[str, str]) -> list[Part]:
    return [{"name": f"hardtack:{name}", "value": value} for name, value in named.items() if value]
