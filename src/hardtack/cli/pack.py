"""``hardtack pack``: the locked models as one file, to be carried."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from hardtack.cli.output import Talk, print_json, reporting, size
from hardtack.cli.progress import Bar
from hardtack.project import Project
from hardtack.spec.lock import Lock
from hardtack.spec.lock_text import render_lock, write_atomically
from hardtack.supply.archive import archive_lock
from hardtack.supply.archive_pack import pack, pack_file
from hardtack.trust.keys import INSTALL, able
from hardtack.trust.sign import beside, holds, read_signature


@click.command("pack")
@click.argument("models", nargs=-1)
@click.option("--output", "-o", required=True, metavar="FILE", help="The archive; - is stdout.")
@reporting
def command(models: tuple[str, ...], output: str, as_json: bool, quiet: bool) -> None:
    """Pack MODELS (keys, repositories or their last parts; default: all) into one archive, to be carried.

    A plain tar of the lock and its files, the same to the byte wherever and whenever it is made; every file is hashed
    on its way. The digest that is printed (on stderr where the archive goes to stdout) stands for the whole: `hardtack
    unpack --expect` takes it. A signature that lies beside the project's lock is laid beside the archive where it holds
    for it, too; else `hardtack sign` makes one.
    """
    if output == "-" and as_json:
        raise click.UsageError("--json and the archive cannot both go to stdout")
    talk = Talk(quiet=quiet or as_json)
    project = Project.here(progress=Bar(talk))
    what = (project.current(), project.store, project.folder)
    signature = None
    if output == "-":
        packed = pack(*what, sys.stdout.buffer, select=models, progress=project.progress)
        sys.stdout.buffer.flush()
    else:
        signature = _signature(project.lock_path, what[0], models, talk)
        packed = pack_file(*what, Path(output), select=models, progress=project.progress)
        if signature:
            write_atomically(beside(Path(output)), signature)
    talk.done()
    if as_json:
        print_json({"archive": output} | asdict(packed) | {"signature": signature and beside(Path(output))})
        return
    talk.say(f"{output}: {', '.join(packed.models)}; {packed.files} files, {size(packed.bytes)}")
    click.echo(packed.digest, err=output == "-")


def _signature(lock_path: Path, lock: Lock, models: tuple[str, ...], talk: Talk) -> bytes | None:
    """The signature that lies beside the project's lock, if it holds for the lock that goes into the archive."""
    path = beside(lock_path)
    if not path.exists():
        return None
    if not able():
        talk.say(f"{path.name} is not carried, for it cannot be checked: {INSTALL}")
        return None
    signature = read_signature(path)
    if holds(render_lock(archive_lock(lock, models)).encode(), signature):
        return signature
    talk.say(f"{path.name} is not of what is packed, and not carried: hardtack sign FILE --key KEY")
    return None
