"""``hardtack pull``: fetch what the lock names, and verify it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

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
@click.option(
    "--from", "source", type=click.Path(path_type=Path), metavar="DIR",
    help="Take the files from a directory (any tree: names there mean nothing) and ask no Hub.",
)  # fmt: skip
@click.option("--send-token", is_flag=True, help="Show the token to a Hub other than the default one, too.")
@reporting
def command(
    models: tuple[str, ...], frozen: bool, source: Path | None, send_token: bool, as_json: bool, quiet: bool
) -> int:
    """Fetch MODELS (keys, repositories or their last parts; default: all, or $MODELS_TO_DOWNLOAD) into the store.

    Every byte is hashed: what is there and right stays, what is wrong is replaced, what is interrupted resumes.
    """
    settings = read_settings()
    talk = Talk(quiet=quiet or as_json)
    project = Project.here(progress=Bar(talk), token_for_other_hubs=send_token)
    pulled = project.pull(models or settings.selected, frozen=frozen, source=source)
    talk.done()
    missing = [
        f"{snapshot.repo}: {file.path}"
        for snapshot in pulled.snapshots
        for file in snapshot.files
        if file.state is State.MISSING
    ]
    if as_json:
        print_json(asdict(pulled) | {"transferred": pulled.transferred})
        return 1 if missing else 0
    for state in State:
        if count := pulled.count(state):
            talk.say(f"{count} files {_SAID[state]}")
    if missing:
        click.echo("\n".join(("missing:", *missing, "mend: hardtack pull")))
        return 1
    talk.say(f"all verified; {size(pulled.transferred)} came over the network")
    return 0
