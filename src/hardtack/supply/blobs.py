"""One blob of a repository into the store, under its lock: what is there is used, what is not is fetched."""

from __future__ import annotations

import threading
from pathlib import Path

from hardtack.errors import Mismatch
from hardtack.spec.digest import hash_file
from hardtack.supply import disk
from hardtack.supply.download import Expected, Fetched, fetch
from hardtack.supply.hub import Hub
from hardtack.supply.progress import Progress
from hardtack.supply.store import Shelf


def bring(hub: Hub, shelf: Shelf, expected: Expected, *, progress: Progress, stop: threading.Event) -> Fetched:
    """See that a blob is in the store and right; ``transferred`` is 0 where nothing had to come.

    Raises:
        HardtackError: as :func:`~hardtack.supply.download.fetch`.
        Stopped: ``stop`` was set.
    """
    blob = shelf.blob(expected.git, expected.sha256)
    name = str(expected.asked)
    if (there := _there(blob, expected)) is not None:
        return there
    waiting = f"{name}: somebody else is fetching it; waiting"
    with shelf.lock(blob, stop, lambda: progress.say(waiting)):
        if (there := _there(blob, expected)) is not None:  # they have finished
            return there
        partial = shelf.partial(blob)
        progress.start(name, expected.size)
        try:
            url = hub.url(expected.asked.repo, expected.asked.revision, expected.asked.path)
            try:
                fetched = fetch(hub.session, url, expected, partial, progress=progress, stop=stop)
            except Mismatch:
                partial.unlink(missing_ok=True)
                raise
            with disk.on_disk(blob):
                disk.put(partial, blob)
            return fetched
        finally:
            progress.finish(name)


def _there(blob: Path, expected: Expected) -> Fetched | None:
    with disk.on_disk(blob):
        # a link leads to a store outside the folder: not here
        if blob.is_symlink() or not blob.is_file() or blob.stat().st_size != expected.size:
            return None
        hashes = hash_file(blob)
    return None if expected.wrong(hashes) else Fetched(hashes, 0)
