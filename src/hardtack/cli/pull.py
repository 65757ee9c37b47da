"""``hardtack pull``: fetch what the lock names, and verify it."""

from __future__ import annotations

from dataclasses import asdict

import click

from hardtack.cli.output import Talk, print_json, reporting, size
from hardtack.cli.progress import Bar
from hardtack.project import Project
from hardtack.settings import read_settings
from hardtack.supply.report import State

_SAID = {
    State.THERE: "were there, and right",
    State.ADOPTED: "were on this machine, and right",
    State.FETCHED: "fetched",
    State.REPLACED: "were wrong, and replaced",
    State.MISSING: "missing",
}


@click.command("pull")
@click.argument("models", nargs=-1)
@click.option("--frozen", is_flag=True, help="Go by the lock alone, stale or not.")
@reporting
def command(models: tuple[str, ...], frozen: bool, as_json: bool, quiet: bool) -> None:
    """Fetch MODELS (keys, repositories or their last parts; default: all, or $MODELS_TO_DOWNLOAD) into the store.

    Every byte is hashed: what is there and right stays, what is wrong is replaced, what is interrupted resumes.
    """
    settings = read_settings()
    talk = Talk(quiet=quiet or as_json)
    project = Project.here(progress=Bar(talk))
    pulled = project.pull(models or settings.selected, frozen=frozen)
    talk.done()
    if as_json:
        print_json(asdict(pulled) | {"transferred": pulled.transferred})
        return
    for state in State:
        if count := pulled.count(state):
            talk.say(f"{count} files {_SAID[state]}")
    talk.say(f"all verified; {size(pulled.transferred)} came over the network")
