"""``hardtack pack``: the locked models as one file, to be carried."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from hardtack.cli.output import Talk, print_json, reporting, size
from hardtack.cli.progress import Bar
from hardtack.project import Project
from hardtack.supply.archive_pack import pack, pack_file


@click.command("pack")
@click.argument("models", nargs=-1)
@click.option("--output", "-o", required=True, metavar="FILE", help="The archive; - is stdout.")
@reporting
def command(models: tuple[str, ...], output: str, as_json: bool, quiet: bool) -> None:
    """Pack MODELS (keys, repositories or their last parts; default: all) into one archive, to be carried.

    A plain tar of the lock and its files, the same to the byte wherever and whenever it is made; every file is hashed
    on its way. The digest that is printed (on stderr where the archive goes to stdout) stands for the whole: `hardtack
    unpack --expect` takes it.
    """
    if output == "-" and as_json:
        raise click.UsageError("--json and the archive cannot both go to stdout")
    talk = Talk(quiet=quiet or as_json)
    project = Project.here(progress=Bar(talk))
    what = (project.current(), project.store, project.folder)
    if output == "-":
        packed = pack(*what, sys.stdout.buffer, select=models, progress=project.progress)
        sys.stdout.buffer.flush()
    else:
        packed = pack_file(*what, Path(output), select=models, progress=project.progress)
    talk.done()
    if as_json:
        print_json({"archive": output} | asdict(packed))
        return
    talk.say(f"{output}: {', '.join(packed.models)}; {packed.files} files, {size(packed.bytes)}")
    click.echo(packed.digest, err=output == "-")
