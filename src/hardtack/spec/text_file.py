"""Small text files, manifest and lock: read whole, or replaced whole.

It knows nothing of what they hold.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from hardtack.errors import DiskError, HardtackError


def read_text(path: Path, error: type[HardtackError], what: str, mend: str) -> str:
    """The text of a file, its line ends as they are.

    Args:
        path: the file.
        error: what to raise where it is missing or no text.
        what: what it is, for messages: ``lock``.
        mend: the command that makes a missing one.

    Raises:
        HardtackError: as ``error``, where it is not there or not UTF-8.
        DiskError: it is there and cannot be read.
    """
    try:
        # not `read_text`, which would turn a lone carriage return, an error in TOML, into a line end
        return path.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError):
        raise error(
            f"there is no {what}", where=str(path), expected=path.name, found="no such file", mend=mend
        ) from None
    except UnicodeDecodeError as problem:
        raise error(
            f"the {what} is not UTF-8 text", where=str(path), expected="UTF-8",
            found=f"0x{problem.object[problem.start]:02x} at byte {problem.start}",
            mend=f"file {shlex.quote(str(path))}",
        ) from None  # fmt: skip
    except OSError as problem:
        raise unreadable(path, problem) from problem


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a small file by way of a synced neighbour.

    Raises:
        DiskError: it could not be written; what was there is untouched.
    """
    try:
        replace_whole(path, data)
    except OSError as problem:
        raise DiskError(
            "a file could not be written", where=str(path), expected="a writable folder with free space",
            found=problem.strerror or str(problem), mend=f"ls -ld {shlex.quote(str(path.parent))}",
        ) from problem  # fmt: skip


def replace_whole(path: Path, *pieces: bytes | memoryview, mode: int | None = None) -> None:
    """Replace a file by way of a synced neighbour, for whoever has words of its own for what can go wrong.

    Args:
        path: the file.
        pieces: what is to be in it, one after the other.
        mode: of the file; None: as the umask has it.

    Raises:
        OSError: it could not be written; what was there is untouched.
    """
    # not named by the process id: containers that share a volume share those, too
    beside = path.with_name(f".{path.name}.{os.urandom(8).hex()}.new")
    try:
        with beside.open("xb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def unreadable(path: Path, problem: OSError) -> HardtackError:
    """The error for a file or folder that is there and cannot be read."""
    return DiskError(
        "a file could not be read", where=str(path), expected="a readable file",
        found=problem.strerror or str(problem), mend=f"ls -ld {shlex.quote(str(path))}",
    )  # fmt: skip
