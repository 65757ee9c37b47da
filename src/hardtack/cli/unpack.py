"""``hardtack unpack``: an archive into the store, verified while it streams."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import click

from hardtack.cli.output import Talk, print_json, reporting, size
from hardtack.cli.progress import Bar
from hardtack.cli.trusting import trusted, trusting
from hardtack.places import find_upward, store_of
from hardtack.settings import read_settings
from hardtack.spec.lock import LOCK_NAME
from hardtack.spec.lock_text import read_lock, write_atomically
from hardtack.supply.archive import Trust
from hardtack.supply.archive_source import opened
from hardtack.supply.archive_unpack import Unpacked, unpack
from hardtack.supply.report import State
from hardtack.trust.sign import beside


@click.command("unpack")
@click.argument("archive", metavar="FILE")
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="The project's folder: its lock is asked, or written where there is none; local models go beside "
              "it. Default: the folder of the lock that is found, else the working directory.")  # fmt: skip
@click.option("--expect", default="", metavar="DIGEST", help="What `hardtack pack` printed; nothing else is taken.")
@trusting
@click.option("--anyway", is_flag=True, help="Take the archive's own word, whatever the project's lock says.")
@reporting
def command(
    archive: str, into: Path | None, expect: str, keys: tuple[Path, ...], signature: Path | None, anyway: bool,
    as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Unpack FILE (- is stdin) into the store, as `pull` would have left it, with no network.

    An archive cannot vouch for itself: it must have just what the project's lock names, or be the one that --expect
    says, or be signed by a key that you --trust. All that are given must hold; the project's lock, where there is one,
    must too, unless --expect says which archive is meant, or --anyway. Everything is hashed as it streams, and nothing
    is put in place before the end.
    """
    if keys and archive == "-" and signature is None:
        raise click.UsageError("beside stdin there is no signature: name it with --signature")
    settings = read_settings()
    talk = Talk(quiet=quiet or as_json)
    lock_path = into / LOCK_NAME if into else settings.lock or find_upward(Path.cwd(), LOCK_NAME) or Path(LOCK_NAME)
    signed = trusted(keys, signature, beside(Path(archive)))
    lock = read_lock(lock_path) if lock_path.exists() else None
    trust = Trust(lock, expect, anyway, signed.vouch if signed else None)
    with ExitStack() as stack:
        stream = sys.stdin.buffer if archive == "-" else stack.enter_context(opened(Path(archive)))
        unpacked = unpack(stream, store_of(settings), lock_path, trust, progress=Bar(talk))
    if signed and unpacked.lock_written:
        write_atomically(beside(unpacked.lock_written), signed.signature)
    talk.done()
    if as_json:
        print_json(_plain(unpacked))
        return
    count = list(unpacked.states.values()).count
    talk.say(f"{', '.join(unpacked.models)}: {count(State.ADOPTED)} files unpacked, {size(unpacked.bytes)}; "
             f"{count(State.THERE)} were there, and right")  # fmt: skip
    for note in (*unpacked.notes, *([f"{unpacked.lock_written}: written"] if unpacked.lock_written else [])):
        talk.say(note)


def _plain(unpacked: Unpacked) -> dict[str, object]:
    return {
        "digest": unpacked.digest, "vouched": unpacked.vouched, "models": unpacked.models, "bytes": unpacked.bytes,
        "files": unpacked.states, "lock_written": unpacked.lock_written, "notes": unpacked.notes,
    }  # fmt: skip
