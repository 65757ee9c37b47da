"""One digest of a whole pantry: the image's label, and what ``HARDTACK_EXPECT`` holds a process to.

Reckoned from the lock alone; that the files are what the lock says is checked where they are read.
"""

from __future__ import annotations

from hardtack.spec.digest import hash_bytes, tree_digest
from hardtack.spec.lock import LOCK_NAME, Lock


def pantry_digest(lock: Lock, lock_bytes: bytes) -> str:
    """The digest of every file a pantry's lock lists, by its path from the pantry's root, and of the lock itself.

    ``sha256sum`` reproduces it in a pantry, as :func:`~hardtack.spec.digest.tree_digest` says.

    Args:
        lock: the pantry's lock.
        lock_bytes: the very bytes it was parsed from.
    """
    files = [(f"{model.folder}/{file.path}", file.sha256) for model in lock.models for file in model.everything()]
    return tree_digest([*files, (LOCK_NAME, hash_bytes(lock_bytes).sha256)])
