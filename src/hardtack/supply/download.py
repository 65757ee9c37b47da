"""One file from a Hub into one file here: resumed across processes, hashed while it comes, checked before it counts.

huggingface_hub downloads to a name that is new in every process and compares no hash (huggingface_hub#4306, #2364), so
a pull that is interrupted begins again, and wrong bytes of the right size pass. Here the partial file has a lasting
name; whoever calls holds a lock on it. No ``If-Range`` is sent: the etag of the Hub's content network is not the
Hub's. The address is of one commit, and the hash of the whole decides.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from huggingface_hub.errors import HfHubHTTPError

from hardtack.errors import HardtackError, HubUnreachable, Mismatch
from hardtack.spec.digest import Hasher, Hashes, is_lfs_pointer
from hardtack.supply.disk import on_disk
from hardtack.supply.locks import Stopped
from hardtack.supply.patience import Transient
from hardtack.supply.problems import Asked, explain
from hardtack.supply.progress import Progress
from hardtack.supply.session import HTTP_ERROR, Answer, Session

_CHUNK = 1 << 20
_PROGRESS = 1 << 20  # bytes that an attempt must bring for the count of failures to begin anew
_POINTER_MOST = 1024
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19}|\*)\Z")


@dataclass(frozen=True)
class Expected:
    """What a file must be: its bytes, and the SHA-256 or the git blob id of its content, or both.

    Attributes:
        asked: repository, commit and path, for the address and for messages.
    """

    asked: Asked
    size: int
    sha256: str = ""
    git: str = ""

    def wrong(self, found: Hashes) -> tuple[str, str] | None:
        """What was expected and what was found; None where they agree."""
        if self.sha256 and found.sha256 != self.sha256:
            return f"sha256 {self.sha256}", f"sha256 {found.sha256}"
        if self.git and found.git != self.git:
            return f"git blob {self.git}", f"git blob {found.git}"
        return None


@dataclass(frozen=True)
class Fetched:
    """A file that came, and was right; ``transferred`` is how many of its bytes came now."""

    hashes: Hashes
    transferred: int


def fetch(
    session: Session, url: str, expected: Expected, partial: Path, *, progress: Progress, stop: threading.Event
) -> Fetched:
    """Fetch a file to ``partial``, going on from what lies there.

    Args:
        session: the Hub.
        url: where, of one commit.
        expected: what must come.
        partial: where to; the caller holds its lock. It stays when the fetch is interrupted, and goes when its bytes
            turn out wrong.
        progress: told of every chunk, under the name ``str(expected.asked)``.
        stop: end at the next chunk when it is set.

    Raises:
        Mismatch: other bytes came than were expected.
        UnknownRepo, AccessDenied: the Hub said no.
        HubUnreachable: nothing came, or not to the end; what came is kept.
        DiskError: it could not be written; what came is kept.
        Stopped: ``stop`` was set.
    """
    with on_disk(partial):
        file = FileIO(partial, "a+")
    try:
        transfer = _Transfer(session, url, expected, file, progress, stop)
        transfer.take_up()
        resumed = transfer.have > 0
        hashes = transfer.run()
        if expected.wrong(hashes) and resumed:
            progress.say(f"{expected.asked}: the part that was there was wrong; it is fetched anew")
            transfer.restart()
            hashes = transfer.run()
        if wrong := expected.wrong(hashes):
            transfer.restart()
            raise _mismatch(expected, "the Hub sent other bytes than it should", *wrong)
        return Fetched(hashes, transfer.transferred)
    finally:
        file.close()
        with on_disk(partial):
            if partial.stat().st_size == 0 and expected.size > 0:
                partial.unlink()


class _Transfer:
    """The state of one file under way: ``have`` bytes are in ``file``, and the hasher has seen just these."""

    def __init__(
        self, session: Session, url: str, expected: Expected, file: FileIO, progress: Progress, stop: threading.Event
    ) -> None:
        self.session, self.url, self.expected = session, url, expected
        self.file, self.progress, self.stop = file, progress, stop
        self.name = str(expected.asked)
        self.path = Path(str(file.name))
        self.have = 0
        self.transferred = 0
        self.hasher = Hasher(expected.size)

    def take_up(self) -> None:
        """Hash what an earlier attempt left."""
        with on_disk(self.path):
            self.file.seek(0)
            while data := self.file.read(_CHUNK):
                self.hasher.update(data)
                self._count(len(data))
        if self.have > self.expected.size:
            self.restart()

    def restart(self) -> None:
        """Forget what is there."""
        with on_disk(self.path):
            self.file.truncate(0)
        self._count(-self.have)
        self.hasher = Hasher(self.expected.size)

    def run(self) -> Hashes:
        """Bring the rest, as often as patience has it."""
        try:
            self.session.patience.persist(self._attempt)
        except Transient as problem:
            raise HubUnreachable(
                "a download was cut off; what has come so far is kept", where=self.name,
                expected=f"{self.expected.size} bytes", found=f"{self.have} bytes, then {problem}",
                mend="hardtack pull",
            ) from problem.cause  # fmt: skip
        except HfHubHTTPError as problem:
            raise explain(problem, self.expected.asked, self.session) from problem
        return self.hasher.finish()

    def _attempt(self) -> None:
        if self.have == self.expected.size:
            return
        headers = {"range": f"bytes={self.have}-"} if self.have else {}
        with self.session.stream(self.url, headers, fine=416) as answer:
            self._align(answer)
            self._receive(answer)

    def _align(self, answer: Answer) -> None:
        """See that the body begins where the file ends, and ends where it should."""
        if answer.status_code == 416:
            self.restart()
            raise Transient("the Hub has less of this file than is here", after=0.0)
        begins, size = 0, self.expected.size
        if answer.status_code == 206:
            match = _CONTENT_RANGE.match(answer.headers.get("content-range", ""))
            begins = int(match[1]) if match else -1
            size = int(match[2]) if match and match[2] != "*" else size
        elif "content-encoding" not in answer.headers and "content-length" in answer.headers:
            size = int(answer.headers["content-length"])
        if size != self.expected.size:
            raise self._wrong_size(answer, size)
        if begins == self.have:
            return
        self.restart()
        if begins != 0:
            raise Transient("the Hub sent another part than it was asked for", after=0.0)

    def _receive(self, answer: Answer) -> None:
        came = 0
        try:
            for chunk in answer.iter_bytes():
                if self.stop.is_set():
                    raise Stopped
                if self.have + len(chunk) > self.expected.size:
                    self.restart()
                    raise _mismatch(
                        self.expected, "the Hub sent more than the whole file", f"{self.expected.size} bytes", "more"
                    )
                self._write(chunk)
                came += len(chunk)
                self.transferred += len(chunk)
        except HTTP_ERROR as problem:
            raise Transient(
                f"{type(problem).__name__}: {problem}", progressed=came >= _PROGRESS, cause=problem
            ) from problem
        if self.have < self.expected.size:
            raise Transient("the end of the connection", progressed=came >= _PROGRESS)

    def _write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            with on_disk(self.path):
                count = self.file.write(rest)
            # a disk that fills takes a part of a chunk: what it took counts
            self.hasher.update(rest[:count])
            self._count(count)
            rest = rest[count:]

    def _wrong_size(self, answer: Answer, size: int) -> HardtackError:
        pointer = size <= _POINTER_MOST and is_lfs_pointer(answer.read())
        what = (
            "the Hub sent a git-LFS pointer in place of the file" if pointer else "the Hub has a file of another size"
        )
        return _mismatch(self.expected, what, f"{self.expected.size} bytes", f"{size} bytes")

    def _count(self, count: int) -> None:
        self.have += count
        self.progress.advance(self.name, count)


def _mismatch(expected: Expected, what: str, wanted: str, found: str) -> Mismatch:
    return Mismatch(what, where=str(expected.asked), expected=wanted, found=found, mend="hardtack pull")
