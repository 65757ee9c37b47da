"""Putting a pantry into the root of an image, beside whatever else lies there.

Only folders that an earlier bake put there are replaced; its lock says which. The new lock comes last, so that there is
no moment at which a lock names what is not there yet.
"""

from __future__ import annotations

from pathlib import Path

from hardtack.bake.stock import Stock
from hardtack.errors import Misused
from hardtack.places import is_pantry
from hardtack.spec.hub_cache import cache_files
from hardtack.spec.lock import LOCK_NAME, Lock
from hardtack.spec.lock_text import read_lock


def check_root(stock: Stock, root: Path) -> None:
    """See that nothing of anybody else's lies where models would.

    Raises:
        Misused: something does.
    """
    old = _tops(read_lock(root / LOCK_NAME)) if is_pantry(root) else []
    for path in _tops(stock.lock):
        if (root / path).exists() and path not in old:
            raise Misused(
                "something that no earlier bake put there lies where a model should", where=str(root / path),
                expected="nothing, or a model of the lock there", found="other files", mend=f"ls {root / path}",
            )  # fmt: skip


def put_in_root(stock: Stock, rising: Path, root: Path) -> None:
    """Move what was laid down into its place; if a move fails, those before it are undone."""
    old = rising / "old"
    old.mkdir()
    moves: list[tuple[Path, Path]] = []
    if is_pantry(root):
        moves = [(root / path, old / str(n)) for n, path in enumerate(_tops(read_lock(root / LOCK_NAME)))]
        moves = [(root / LOCK_NAME, old / LOCK_NAME), *(move for move in moves if move[0].exists())]
    moves += [(rising / path, root / path) for path in _tops(stock.lock)] + [(rising / LOCK_NAME, root / LOCK_NAME)]
    done: list[tuple[Path, Path]] = []
    try:
        for source, target in moves:
            for folder in reversed([f for f in target.parents if not f.exists()]):
                folder.mkdir()
                folder.chmod(0o755)
            source.rename(target)
            done.append((source, target))
    except OSError:
        for source, target in reversed(done):
            target.rename(source)
        raise


def _tops(lock: Lock) -> list[str]:
    """What of a pantry is moved as one: a model's folder, and whatever makes it a cache."""
    return [*(model.folder for model in lock.models if model.task.pulls), *cache_files(lock)]
