"""Golden answers that a project keeps, so that they are the same wherever it is baked.

fp32 on two CPUs differs in the last digits, and then so would the digest of all that is baked. Rounding does not help:
whatever the step, some number lies at its edge. So the first bake writes its answers beside the lock, to be committed
with it, and every later one, on whatever machine, carries those very bytes: after its own answers were held against
them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from hardtack.errors import DiskError, NotProven
from hardtack.runtime import golden
from hardtack.spec.lock import LockedModel
from hardtack.spec.text_file import write_atomically

ANSWERS_NAME = "hardtack.golden"


class Answers:
    """The kept answers of one project, by the hash of all that decides them.

    Args:
        path: the file, or None to keep nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._kept: dict[str, str] = {}
        self.unkept = ""
        """Why new answers could not be kept; empty where they could."""
        if path is not None and path.is_file():
            self._kept = _read(path)
        self._used: dict[str, str] = {}

    def settle(self, model: LockedModel, loaded: golden.Loaded) -> bytes:
        """The bytes of a model's golden answers: the kept ones if there are any, else those it gives now.

        Raises:
            NotProven: it answers otherwise than it did when they were kept.
        """
        now = golden.ask(loaded)
        mine = golden.render(model.task, now)
        name = _name(model, mine)
        kept = self._kept.get(name, mine.decode()).encode()
        if kept != mine:
            where = f"{self._path}: {model.key}"
            drift = golden.compare(model.task, now, golden.parse(kept, where), "fp32")
            if not drift.good:
                raise NotProven(
                    f"{model.key!r} answers otherwise than when its golden answers were kept", where=where,
                    expected=f"{drift.measure} {drift.limit}", found=f"{drift.value:.6f}", mend=f"rm {self._path}",
                )  # fmt: skip
        self._used[name] = kept.decode()
        return kept

    def keep(self, *, others: bool = False) -> None:
        """Write the answers that were used; nothing is written where nothing changed.

        A folder that cannot be written (a read-only checkout) is no failure: :attr:`unkept` says so.

        Args:
            others: whether those that were not used stay, since only some of the models were baked.
        """
        now = self._kept | self._used if others else self._used
        if self._path is None or now == self._kept:
            return
        text = json.dumps(dict(sorted(now.items())), ensure_ascii=False, indent=0) + "\n"
        try:
            write_atomically(self._path, text.encode())
        except DiskError as problem:
            self.unkept = problem.found
            return
        self._kept = dict(now)


def _name(model: LockedModel, rendered: bytes) -> str:
    """All that decides the answers but the arithmetic: the files, what is set against them, what is asked."""
    asked = json.loads(rendered)
    asked.pop("answers")
    over = model.overrides
    decided = {
        "files": model.digest or "", "asked": asked, "max-length": over.max_length, "prompts": dict(over.prompts or {}),
        "pooling": over.pooling, "normalize": over.normalize,
        "labels": [[group.name, *group.values, group.prompt] for group in model.labels],
    }  # fmt: skip
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> dict[str, str]:
    """What was kept; what cannot be understood was not, and is written anew."""
    try:
        kept = json.loads(path.read_bytes())
    except ValueError:
        return {}
    if not isinstance(kept, dict):
        return {}
    return {name: text for name, text in kept.items() if isinstance(text, str)}
