"""``hardtack build``: find out what each model runs in; make what that takes, and measure what it loses."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from hardtack.build.workshop import Chosen, Tried
from hardtack.cli.output import Talk, print_json, reporting, size, table
from hardtack.cli.progress import Bar
from hardtack.project import Project


@click.command("build")
@click.option("--again", is_flag=True, help="Leave the locked builds aside: choose, make and measure anew.")
@click.argument("keys", nargs=-1)
@reporting
def command(keys: tuple[str, ...], again: bool, as_json: bool, quiet: bool) -> None:
    """Build KEYS, or every model that loads, and write the builds that are accepted into hardtack.lock.

    Int8 is quantised by NNCF (the extra [int8]) in a process of its own, compared with fp32 on texts that it was not
    calibrated on, and held to the manifest's gate. Under precision = "auto" this CPU decides, by what it has and by a
    race; a precision that the manifest names is built or refused: exit 1 where it misses its gate.

    What the native engine runs is packed in tile order: with engine = "native" on any CPU, under "auto" where that
    engine can run. Its loss is measured where it can, and is not measured elsewhere.
    """
    talk = Talk(quiet=quiet or as_json)

    def note(tried: Tried) -> None:
        figures = "  ".join(str(figure) for figure in tried.figures) or "not measured"
        talk.say(f"{tried.key}: {tried.variant}: {figures}\n    {size(tried.size)}, {tried.why}")

    chosen = Project.here(progress=Bar(talk)).build(keys, again=again, note=note)
    talk.done()
    if as_json:
        print_json({"models": [describe(each) for each in chosen]})
        return
    rows = [(each.model.key, each.precision, each.why) for each in chosen]
    click.echo(table(rows, ("key", "runs in", "why")) if rows else "no model to build: hardtack add REPO")


def describe(chosen: Chosen) -> dict[str, Any]:
    """What a model came to run in, as plain values."""
    return {
        "key": chosen.model.key, "precision": chosen.precision, "why": chosen.why,
        "builds": [build.digest for build in chosen.model.builds],
        "tried": [asdict(tried) for tried in chosen.tried],
    }  # fmt: skip
