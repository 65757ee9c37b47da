"""``hardtack unpack``: an archive into the store, verified while it streams."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import click

from hardtack.cli.output import Talk, print_json, reporting, size
from hardtack.cli.progress import Bar
from hardtack.errors import DiskError
from hardtack.places import find_upward, store_of
from hardtack.settings import read_settings
from hardtack.spec.lock import LOCK_NAME
from hardtack.spec.lock_text import read_lock
from hardtack.supply.archive import Trust
from hardtack.supply.archive_unpack import Unpacked, unpack
from hardtack.supply.report import State


@click.command("unpack")
@click.argument("archive", metavar="FILE")
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="The project's folder: its lock is asked, or written where there is none; local models go beside "
              "it. Default: the folder of the lock that is found, else the working directory.")  # fmt: skip
@click.option("--expect", default="", metavar="DIGEST", help="What `hardtack pack` printed; nothing else is taken.")
@click.option("--trust", "anyway", is_flag=True, help="Take the archive's own word for what it is.")
@reporting
def command(archive: str, into: Path | None, expect: str, anyway: bool, as_json: bool, quiet: bool) -> None:
    """Unpack FILE (- is stdin) into the store, as `pull` would have left it, with no network.

    An archive cannot vouch for itself: it must have just what the project's lock names, or be the one that --expect
    says, or you --trust it. Everything is hashed as it streams, and nothing is put in place before the end.
    """
    settings = read_settings()
    talk = Talk(quiet=quiet or as_json)
    lock_path = into / LOCK_NAME if into else settings.lock or find_upward(Path.cwd(), LOCK_NAME) or Path(LOCK_NAME)
    trust = Trust(read_lock(lock_path) if lock_path.exists() else None, expect, anyway)
    with ExitStack() as stack:
        stream = sys.stdin.buffer if archive == "-" else stack.enter_context(_opened(Path(archive)))
        unpacked = unpack(stream, store_of(settings), lock_path, trust, progress=Bar(talk))
    talk.done()
    if as_json:
        print_json(_plain(unpacked))
        return
    count = list(unpacked.states.values()).count
    talk.say(f"{', '.join(unpacked.models)}: {count(State.ADOPTED)} files unpacked, {size(unpacked.bytes)}; "
             f"{count(State.THERE)} were there, and right")  # fmt: skip
    for note in (*unpacked.notes, *([f"{unpacked.lock_written}: written"] if unpacked.lock_written else [])):
        talk.say(note)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as problem:
        raise DiskError(
            "the archive cannot be read", where=str(path), expected="a readable file",
            found=problem.strerror or str(problem), mend=f"ls -l {path}",
        ) from problem  # fmt: skip


def _plain(unpacked: Unpacked) -> dict[str, object]:
    return {
        "digest": unpacked.digest, "vouched": unpacked.vouched, "models": unpacked.models, "bytes": unpacked.bytes,
        "files": unpacked.states, "lock_written": unpacked.lock_written, "notes": unpacked.notes,
    }  # fmt: skip
