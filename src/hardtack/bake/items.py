"""One file on its way into a pantry or a layer: read once, and hashed as it is read.

Who writes it down does not matter here; whoever reads to the end knows that the bytes were the lock's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hardtack.errors import HardtackError, Mismatch
from hardtack.spec.digest import hash_bytes
from hardtack.spec.lock import LockedFile, LockedModel
from hardtack.spec.verify import Finding, Kind, check_file

_CHUNK = 1 << 20
_WORTH_A_THREAD = 16 << 20


@dataclass(frozen=True)
class Item:
    """A file of a model.

    Attributes:
        file: its line in the lock.
        root: what ``file.path`` is relative to where its bytes lie; None where they are at hand.
        data: the bytes, where there is no ``root``.
        beneath: the folder of the pantry's model folder that ``file.path`` is relative to there; empty for itself.
        mend: the command that brings the file back; empty for what brings a snapshot back.
    """

    file: LockedFile
    root: Path | None = None
    data: bytes = b""
    beneath: str = ""
    mend: str = ""

    @property
    def path(self) -> str:
        """Where it will lie, relative to the model's folder."""
        return f"{self.beneath}/{self.file.path}" if self.beneath else self.file.path

    @classmethod
    def made(cls, path: str, data: bytes) -> Item:
        """A file that was made here."""
        hashes = hash_bytes(data)
        return cls(LockedFile(path, hashes.size, hashes.sha256), data=data)

    def look(self, model: LockedModel, *, hashes: bool = False) -> None:
        """Compare kind and size, or all of it, before anything is done with it.

        Raises:
            Mismatch: it is missing, cut short, or a git-LFS pointer.
        """
        if self.root is not None and (finding := check_file(self.root, self.file, hashes=hashes)) is not None:
            raise self._refused(finding, self.root, model)

    def chunks(self, model: LockedModel) -> Iterator[bytes]:
        """The bytes; a large file is hashed in a thread beside whoever takes them.

        Raises:
            Mismatch: at the end: these were not the bytes that the lock names.
        """
        if self.root is None:
            yield self.data
            return
        seen = hashlib.sha256()
        with (self.root / self.file.path).open("rb", buffering=0) as opened, ThreadPoolExecutor(1) as beside:
            hashed: Future[None] | None = None
            while data := opened.read(_CHUNK):
                if self.file.size < _WORTH_A_THREAD:
                    seen.update(data)
                else:
                    if hashed is not None:
                        hashed.result()
                    hashed = beside.submit(seen.update, data)
                yield data
        self.compare(seen.hexdigest(), model)

    def compare(self, sha256: str, model: LockedModel) -> None:
        """Hold a hash against the lock.

        Raises:
            Mismatch: it is another.
        """
        if sha256 != self.file.sha256:
            finding = Finding(Kind.CHANGED, self.file.path, f"sha256 {self.file.sha256}", f"sha256 {sha256}")
            raise self._refused(finding, self.root or Path(), model)

    def _refused(self, finding: Finding, root: Path, model: LockedModel) -> HardtackError:
        # a local model is locked anew only where somebody says so: its lock does not go stale with its bytes
        mend = f"hardtack lock --upgrade {model.key}" if model.source == "local" else "hardtack pull"
        return Mismatch(
            f"a file of {model.key!r} is not what the lock says: nothing was baked", where=str(root / finding.path),
            expected=finding.expected, found=finding.found, mend=self.mend or mend,
        )  # fmt: skip
