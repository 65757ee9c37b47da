"""``hardtack bake``: lay the locked models out as a pantry."""

from __future__ import annotations

from pathlib import Path

import click

from hardtack.cli.output import Talk, print_json, reporting, size
from hardtack.cli.progress import Bar
from hardtack.project import Project


@click.command("bake")
@click.argument("pantry", type=click.Path(path_type=Path), default="pantry")
@reporting
def command(pantry: Path, as_json: bool, quiet: bool) -> None:
    """Bake the locked models into PANTRY (default: ./pantry): self-contained, read-only, with golden answers.

    Every file is hashed on its way. The digest that is printed stands for the whole; HARDTACK_EXPECT holds a process to
    it.
    """
    talk = Talk(quiet=quiet or as_json)
    baked = Project.here(progress=Bar(talk)).bake(pantry)
    talk.done()
    if as_json:
        print_json({"pantry": str(baked.directory), "digest": baked.digest, "files": baked.files, "bytes": baked.bytes})
    else:
        talk.say(f"{baked.directory}: {baked.files} files, {size(baked.bytes)}")
        click.echo(baked.digest)
