"""The image that models are laid on: none (``scratch``), one of an OCI layout in a folder, or a registry's by digest.

A base is always a digest or a folder at hand, never a tag alone: a tag would make two bakes of one lock differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hardtack.bake.oci_store import read_blob
from hardtack.bake.reference import Reference
from hardtack.bake.registry import Registry
from hardtack.errors import Mismatch, Misused
from hardtack.spec.digest import hash_bytes

INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}


@dataclass(frozen=True)
class Base:
    """An image to lay models on.

    Attributes:
        name: as the caller wrote it, empty for ``scratch``.
        digest: of its manifest, empty for ``scratch``.
        config: its image configuration.
        layers: its layers' descriptors.
        read: gives the bytes of a layer, checked.
        repository: where a registry has these layers, so that they need not be sent to it again; or None.
    """

    name: str = ""
    digest: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[Mapping[str, Any], ...] = ()
    read: Callable[[str], Iterable[bytes]] = lambda _: ()
    repository: Reference | None = None


def find_base(text: str, platform: str, open_registry: Callable[[Reference], Registry] = Registry) -> Base:
    """The base that a caller's word means.

    Args:
        text: ``scratch``; a path (it starts with ``/``, ``.`` or ``~``) of an OCI layout, with ``@sha256:…`` where it
            has several images; or ``HOST/NAME@sha256:…``.
        platform: ``os/architecture``, for an index of several.
        open_registry: how to speak with a registry.

    Raises:
        Misused: there is no such base, or it is named by tag alone.
        Mismatch: bytes are not what their digest says.
        Unable: the registry did not answer, or refused.
    """
    if text in ("", "scratch"):
        return Base()
    if text.startswith(("/", ".", "~")):
        return _from_layout(text, platform)
    reference = Reference.parse(text)
    if not reference.digest:
        raise Misused(
            "a base is named by its digest, since a tag may mean another image tomorrow", where=text,
            expected="NAME@sha256:…", found="no digest", mend=f"skopeo inspect docker://{text}",
        )  # fmt: skip
    registry = open_registry(reference)
    manifest, digest = _manifest(registry.manifest, reference.digest, platform, text)

    def read(digest: str) -> Iterator[bytes]:
        return _checked(registry.blob(digest), digest, text)

    return _base(text, digest, manifest, read, reference)


def _from_layout(text: str, platform: str) -> Base:
    path, _, wanted = text.partition("@")
    folder = Path(path).expanduser()
    try:
        index = json.loads((folder / "index.json").read_bytes())
        digests = [str(each["digest"]) for each in index["manifests"]]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise Misused(
            "this base is no OCI layout", where=str(folder), expected="a folder with oci-layout and index.json",
            found=str(problem), mend=f"ls {folder}",
        ) from problem  # fmt: skip
    chosen = [digest for digest in digests if digest == wanted] if wanted else digests
    if len(set(chosen)) != 1:
        raise Misused(
            "this layout does not have just one image of that digest", where=text, expected="PATH@sha256:…",
            found=", ".join(digests) or "no image", mend=f"skopeo inspect oci:{folder}",
        )  # fmt: skip

    def read(digest: str) -> Iterator[bytes]:
        try:
            yield from _checked(read_blob(folder, digest), digest, text)
        except FileNotFoundError as problem:
            raise Misused(
                "the base's layout lacks a blob", where=text, expected=digest, found="no such file",
                mend=f"skopeo inspect oci:{folder}",
            ) from problem  # fmt: skip

    manifest, digest = _manifest(lambda asked: b"".join(read(asked)), chosen[0], platform, text)
    return _base(text, digest, manifest, read, None)


def _manifest(
    get: Callable[[str], bytes], digest: str, platform: str, where: str
) -> tuple[Mapping[str, Any], str]:  # fmt: skip
    data = b"".join(_checked([get(digest)], digest, where))
    manifest = _json(data, where)
    if manifest.get("mediaType") not in INDEXES and "manifests" not in manifest:
        return manifest, digest
    known = {_platform(each.get("platform", {})): str(each["digest"]) for each in manifest["manifests"]}
    if platform not in known:
        raise Misused(
            "the base is not made for this platform", where=where, expected=platform, found=", ".join(sorted(known)),
            mend="hardtack bake --platform OS/ARCHITECTURE",
        )  # fmt: skip
    return _manifest(get, known[platform], platform, where)


def _platform(row: Mapping[str, Any]) -> str:
    return "/".join(str(row[name]) for name in ("os", "architecture", "variant") if row.get(name))


def _base(
    name: str, digest: str, manifest: Mapping[str, Any], read: Callable[[str], Iterable[bytes]],
    repository: Reference | None,
) -> Base:  # fmt: skip
    config = _json(b"".join(read(manifest["config"]["digest"])), name)
    layers = tuple(
        {"mediaType": _TYPES.get(row["mediaType"], row["mediaType"]), "digest": row["digest"], "size": row["size"]}
        for row in manifest["layers"]
    )
    return Base(name, digest, config, layers, read, repository)


def _checked(chunks: Iterable[bytes], digest: str, where: str) -> Iterator[bytes]:
    seen = hashlib.sha256()
    for chunk in chunks:
        seen.update(chunk)
        yield chunk
    if f"sha256:{seen.hexdigest()}" != digest:
        raise Mismatch(
            "a blob of the base is not what its digest says", where=where, expected=digest,
            found=f"sha256:{seen.hexdigest()}", mend="hardtack bake --oci OUT --base scratch",
        )  # fmt: skip


def _json(data: bytes, where: str) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as problem:
        raise Misused(
            "the base's manifest is not JSON", where=where, expected="an OCI or Docker image", found=str(problem),
            mend="hardtack bake --oci OUT --base scratch",
        ) from problem  # fmt: skip
    assert isinstance(value, dict)
    return value


def digest_of(data: bytes) -> str:
    """``sha256:…`` of bytes at hand."""
    return f"sha256:{hash_bytes(data).sha256}"
