"""Packed weights kept between processes: packed once, mapped by whoever comes later, their pages shared.

For models whose lock has no build in tile order, which is the same and vouched for. A pack is a function of a model's
locked files, so it is kept under their digest and the shape that was read of them; a model that no lock names is packed
anew each time. It is written only after those files were found to be what the lock
says, and it is taken only if it is whole, holds what its header says, and nobody else could have written it. Where the
folder cannot be written to, the pack stays in memory.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

from hardtack.errors import DiskError, Mismatch
from hardtack.places import pack_prefix
from hardtack.runtime.layout import Layout
from hardtack.runtime.native.packed import VERSION, Packed, pack, read_mapped, read_packed, write_packed
from hardtack.runtime.native.reading import read_arrays, read_shape
from hardtack.runtime.native.shape import Shape, to_plain
from hardtack.runtime.native.shelf import Shelf
from hardtack.runtime.native.tiling import NUMPY, Tiler
from hardtack.runtime.weights import Weights

log = logging.getLogger("hardtack")


def packed_weights(
    layout: Layout, weights: Weights, shelf: Shelf | None, by: Tiler = NUMPY
) -> tuple[Packed, Callable[[], None]]:
    """The pack of a model, and what keeps it for the next process.

    Args:
        layout: what the model is.
        weights: its numbers; a build's are packed already.
        shelf: where to look for it and keep it; None: nowhere.
        by: who puts numbers into tile order.

    Returns:
        The pack, and a function to call once every file of the model has been verified.

    Raises:
        UnsupportedModel: as :mod:`hardtack.runtime.native.reading`.
        Mismatch: a build is not of this model's shape, or of another version of the format.
    """
    shape = read_shape(layout)
    if (tiles := weights.tiles) is not None:
        return read_mapped(tiles.file, tiles.data, shape, mend=tiles.mend), _nothing
    if shelf is None:
        return pack(shape, read_arrays(layout, weights, shape, by)), _nothing
    file = file_of(shelf, shape)
    try:
        return read_packed(file, shape, shelf.digest, hashed=shelf.hashed), _nothing
    except DiskError:  # almost always: it is not there yet
        pass
    except Mismatch as problem:
        log.warning("%s: packing it anew: expected %s, found %s", file, problem.expected, problem.found)
    packed = pack(shape, read_arrays(layout, weights, shape, by))

    def keep() -> None:
        try:
            write_packed(file, packed, shelf.digest)
        except DiskError as problem:
            log.info("%s: packed weights stay in memory: %s", file, problem.found)

    return packed, keep


def file_of(shelf: Shelf, shape: Shape) -> Path:
    """Where a model's pack lies: a change of the format, of the files or of what was read of them is another file.

    Its name begins with the files' digest, so that whoever tidies up need not open it.
    """
    key = json.dumps([VERSION, shelf.digest, to_plain(shape)], sort_keys=True)
    return shelf.folder / f"{pack_prefix(shelf.digest)}{hashlib.sha256(key.encode()).hexdigest()[:32]}.tiles"


def _nothing() -> None:
    """There is nothing to keep."""
