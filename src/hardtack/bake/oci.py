"""An image from a stock of models, without a daemon: one layer for each model, one for the lock, on a base or none.

The same stock on the same base is the same digest on any machine and in any year. A model's layer depends on nothing
but the model, so that two images share it. An app is put above by its own Dockerfile (``FROM`` this image): models
change less often than code.

Source: https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md and ``config.md`` beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hardtack.bake.laying import free_bytes, need_space
from hardtack.bake.oci_base import Base
from hardtack.bake.oci_layer import Entry, layer
from hardtack.bake.oci_store import BlobStore, read_blob, store_for
from hardtack.bake.reference import Reference
from hardtack.bake.registry import Registry
from hardtack.bake.stock import Aboard, Stock
from hardtack.errors import DiskError
from hardtack.spec.lock import LOCK_NAME, LockedModel

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
_THEN = "1970-01-01T00:00:00Z"  # no time enters an image
_HERE = "org.opencontainers.image"


@dataclass(frozen=True)
class Layer:
    """A layer of an image; ``what`` says whose: a model's key, ``lock``, or ``base``."""

    what: str
    digest: str
    size: int


@dataclass(frozen=True)
class Image:
    """An image that was written.

    Attributes:
        out: the layout or tar.
        digest: of its manifest: its name everywhere.
        manifest: the manifest itself.
        config: digest and size of the configuration.
        layers: from the lowest to the highest.
        base: what it lies on.
    """

    out: Path
    digest: str
    manifest: bytes
    config: Layer
    layers: tuple[Layer, ...]
    base: Base

    @property
    def size(self) -> int:
        """Bytes of all its layers."""
        return sum(each.size for each in self.layers)


def write_image(
    stock: Stock,
    out: Path,
    *,
    base: Base,
    platform: str = "linux/amd64",
    tag: str = "",
    progress: Callable[[str, int], None] | None = None,
    free: Callable[[Path], int] = free_bytes,
) -> Image:
    """Write an image.

    Args:
        stock: what lies in it.
        out: a folder for an OCI layout, or a ``.tar`` that `docker load` takes as well.
        base: what it lies on.
        platform: ``os/architecture`` where the base does not say; models run anywhere, but an image must say something.
        tag: a name for it, ``NAME:TAG``; it is in the index, not in the image, and does not change its digest.
        progress: told a model's key, and bytes.
        free: bytes free where a path is.

    Raises:
        Mismatch: a file is not what the lock says, or the base not what its digest says; nothing is left behind.
        Misused: something other than an image lies at ``out``.
        DiskError: it could not be written; nothing is left behind.
    """
    need_space(out.absolute().parent, stock.bytes + sum(int(row["size"]) for row in base.layers), free)
    try:
        with store_for(out) as blobs:
            lower = [_copy_base(blobs, base, row) for row in base.layers]
            upper = [_write_model(blobs, stock, each, progress) for each in stock.aboard]
            upper.append(_write_lock(blobs, stock))
            config = _json(_config(stock, base, platform, upper))
            config_layer = Layer("config", *blobs.add([config]))
            manifest = _json(_manifest(stock, base, config_layer, upper))
            digest, size = blobs.add([manifest])
            named: dict[str, Any] = {"mediaType": MANIFEST, "digest": digest, "size": size}
            if tag:
                named["annotations"] = {f"{_HERE}.ref.name": tag.rpartition(":")[2], "io.containerd.image.name": tag}
            paths = [f"blobs/sha256/{each.digest.removeprefix('sha256:')}" for each in (config_layer, *lower, *upper)]
            docker = [{"Config": paths[0], "RepoTags": [tag] if tag else None, "Layers": paths[1:]}]
            index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [named]}
            blobs.finish(_json(index), _json(docker))
    except OSError as problem:
        raise DiskError(
            "the image could not be written", where=str(problem.filename or out),
            expected="a writable folder with free space", found=problem.strerror or str(problem),
            mend=f"df -h {out.absolute().parent}",
        ) from problem  # fmt: skip
    return Image(out.absolute(), digest, manifest, config_layer, (*lower, *upper), base)


def push_image(image: Image, reference: Reference, registry: Registry) -> tuple[int, int]:
    """Bring a written image to a registry; blobs that are there are not sent.

    Args:
        image: as :func:`write_image` gave it back.
        reference: its name there; without a tag it is ``latest``.
        registry: that repository.

    Returns:
        Bytes that were sent, and bytes that were there.

    Raises:
        AccessDenied, HubUnreachable: the registry refused, or did not answer.
    """
    base = image.base.repository
    near = [base.name] if base is not None and base.host == reference.host and base.name != reference.name else []
    sent = there = 0
    for each in (*image.layers, image.config):
        sources = near if each.what == "base" else []
        if registry.push(each.digest, each.size, partial(read_blob, image.out, each.digest), sources):
            sent += each.size
        else:
            there += each.size
    registry.put_manifest(reference.tag or "latest", image.manifest, MANIFEST)
    return sent, there


def _copy_base(blobs: BlobStore, base: Base, row: Mapping[str, Any]) -> Layer:
    return Layer("base", *blobs.add(base.read(row["digest"])))


def _write_model(
    blobs: BlobStore, stock: Stock, each: Aboard, progress: Callable[[str, int], None] | None
) -> Layer:  # fmt: skip
    home = _below(stock.home, each.model.folder)
    entries = [Entry(f"{home}/{item.path}", item.file.size, partial(item.chunks, each.model)) for item in each.items]
    for item in each.items:
        item.look(each.model)
    digest, size = blobs.add(layer(entries))
    if progress is not None:
        progress(each.model.key, sum(item.file.size for item in each.items))
    return Layer(each.model.key, digest, size)


def _write_lock(blobs: BlobStore, stock: Stock) -> Layer:
    files = {LOCK_NAME: stock.text, **stock.beside}

    def entry(path: str, data: bytes) -> Entry:
        return Entry(_below(stock.home, path), len(data), lambda: [data])

    return Layer("lock", *blobs.add(layer([entry(path, data) for path, data in files.items()])))


def _below(home: str, path: str) -> str:
    return f"{home}/{path}".strip("/")


def _config(stock: Stock, base: Base, platform: str, upper: Iterable[Layer]) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(json.dumps(dict(base.config)))
    os_name, _, architecture = platform.partition("/")
    inner: dict[str, Any] = config.get("config") or {}
    ours = {"HARDTACK_PANTRY": stock.home}
    if stock.beside:
        ours |= {"HF_HUB_CACHE": stock.home, "HF_HUB_OFFLINE": "1"}
    kept = [pair for pair in inner.get("Env") or [] if pair.partition("=")[0] not in ours]
    inner["Env"] = [*kept, *(f"{name}={value}" for name, value in ours.items())]
    inner["Labels"] = {**(inner.get("Labels") or {}), **labels(stock)}
    rootfs = config.get("rootfs") or {"type": "layers", "diff_ids": []}
    history = [{"created": _THEN, "created_by": f"hardtack bake: {each.what}"} for each in upper]
    return {
        "architecture": architecture.partition("/")[0],
        "os": os_name,
        **config,
        "created": _THEN,
        "config": inner,
        "rootfs": {"type": "layers", "diff_ids": [*rootfs["diff_ids"], *(each.digest for each in upper)]},
        "history": [*(config.get("history") or []), *history],
    }


def labels(stock: Stock) -> dict[str, str]:
    """What an image says of itself: the digest of the whole, and of each model repository, commit, licence, digest."""
    said = {"hardtack.digest": stock.digest}
    for each in stock.aboard:
        model = each.model
        values = {"model": model.repo, "commit": model.commit, "license": model.license, "digest": model.digest}
        said |= {f"{model.key}.{name}": value for name, value in values.items() if value}
    return said


def _manifest(stock: Stock, base: Base, config: Layer, upper: list[Layer]) -> dict[str, Any]:
    models = {each.model.key: each.model for each in stock.aboard}
    annotations = {
        f"{_HERE}.title": "models",
        f"{_HERE}.description": ", ".join(each.model.shown for each in stock.aboard),
        f"{_HERE}.licenses": " AND ".join(sorted({model.license for model in models.values() if model.license})),
        f"{_HERE}.base.name": base.name if base.repository else "",
        f"{_HERE}.base.digest": base.digest,
        "hardtack.digest": stock.digest,
    }
    rows = [
        {"mediaType": LAYER, "digest": each.digest, "size": each.size, "annotations": _of(models.get(each.what))}
        for each in upper
    ]
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config.digest, "size": config.size},
        "layers": [*map(dict, base.layers), *rows],
        "annotations": {name: value for name, value in annotations.items() if value},
    }


def _of(model: LockedModel | None) -> dict[str, str]:
    return {f"{_HERE}.title": model.shown if model else LOCK_NAME}


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
