"""``hardtack cache``: what lies in the store, and the way out of it."""

from __future__ import annotations

import time
from pathlib import Path

import click

from hardtack.cli.output import Talk, print_json, reporting, size, table
from hardtack.cli.progress import Bar
from hardtack.places import Store, store_of
from hardtack.settings import read_settings
from hardtack.supply.move import move
from hardtack.supply.prune import Prunable, prunable, prune
from hardtack.supply.registry import known
from hardtack.supply.usage import StoredSnapshot, usage

_DAY = 86_400


@click.group("cache", invoke_without_command=True)
@reporting
@click.pass_context
def command(ctx: click.Context, as_json: bool, quiet: bool) -> None:
    """Show what lies in the store: each model, its size and age, and which project's lock keeps it."""
    del quiet
    if ctx.invoked_subcommand:
        return
    store = _store()
    found = usage(store, known(store))
    if as_json:
        print_json({
            "hub": str(store.hub), "own": str(store.own), "size": found.size,
            "snapshots": [_plain(snapshot) for snapshot in found.snapshots],
            "partials": [{"path": str(part.path), "size": part.size} for part in found.partials],
            "packs": [{"path": str(pack.path), "size": pack.size} for pack in found.packs],
            "builds": [{"path": str(build.path), "size": build.size} for build in found.builds],
        })  # fmt: skip
        return
    rows = [
        (s.repo, s.commit[:12], size(s.size), _age(s.written), "; ".join(s.keepers) or "no known project")
        for s in found.snapshots
    ]
    click.echo(table(rows, ("model", "commit", "size", "age", "kept by")) if rows else "nothing")
    click.echo(f"{store.hub}: {size(found.size)}")
    if found.partials:
        click.echo(f"{len(found.partials)} downloads were cut off: {size(sum(part.size for part in found.partials))}")
    if found.builds:
        click.echo(f"{store.builds}: {size(sum(build.size for build in found.builds))} in builds")
    if found.packs:
        click.echo(f"{store.packs}: {size(sum(pack.size for pack in found.packs))} packed for the native engine")


@command.command("prune")
@click.option("--yes", is_flag=True, help="Do it. Without this, only what would go is shown.")
@click.option("--dry-run", is_flag=True, help="Only show it, whatever else is said.")
@click.option("--gone", is_flag=True, help="Projects whose folder went keep nothing any more.")
@reporting
def prune_command(yes: bool, dry_run: bool, gone: bool, as_json: bool, quiet: bool) -> None:
    """Remove what hardtack brought, built, or packed for the native engine, and no known project's lock names any more.

    What others brought stays. Builds stay while one is being made, and while a known project's lock cannot be read.
    """
    talk = Talk(quiet=quiet or as_json)
    store = _store()
    really = yes and not dry_run
    going = prune(store, gone=gone) if really else prunable(store, gone=gone)
    if as_json:
        print_json({
            "removed": really, "freed": going.freed, "snapshots": [_plain(snapshot) for snapshot in going.snapshots],
            "partials": [str(part.path) for part in going.partials],
            "packs": [str(pack.path) for pack in going.packs],
            "builds": [str(build.path) for build in going.builds],
            "projects": [str(project.lock.parent) for project in going.projects], "notes": going.notes,
        })  # fmt: skip
        return
    if rows := _rows(going):
        click.echo(table(rows))
    for note in going.notes:
        talk.say(note)
    end = "gone" if really else "would go; to do it: hardtack cache prune --yes" + (" --gone" if gone else "")
    talk.say(f"{len(rows)} things, {size(going.freed)}: {end}" if rows else "nothing to prune")


@command.command("move")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@reporting
def move_command(directory: Path, as_json: bool, quiet: bool) -> None:
    """Move the store to DIRECTORY (an empty one, or none): every file is copied, read back, compared, then removed.

    Cut off, it goes on when it is called again. Where the store is from then on, HF_HUB_CACHE must say.
    """
    talk = Talk(quiet=quiet or as_json)
    moved = move(_store(), directory, progress=Bar(talk))
    talk.done()
    if as_json:
        print_json({
            "hub": str(moved.store.hub), "own": str(moved.store.own), "files": moved.files, "bytes": moved.bytes,
            "left": [str(path) for path in moved.left],
        })  # fmt: skip
        return
    talk.say(f"{moved.files} files, {size(moved.bytes)}, moved and verified; from now on:")
    click.echo(f"export HF_HUB_CACHE={moved.store.hub}")
    for path in moved.left:
        talk.say(f"came meanwhile, and stays: {path}")


def _store() -> Store:
    return store_of(read_settings())


def _rows(going: Prunable) -> list[tuple[str, str, str]]:
    rows = [(s.repo, s.commit[:12], size(s.size)) for s in going.snapshots]
    rows += [(str(part.path), "cut off", size(part.size)) for part in going.partials]
    rows += [(str(pack.path), "packed weights", size(pack.size)) for pack in going.packs]
    rows += [(str(build.path), "a build", size(build.size)) for build in going.builds]
    return rows + [(str(project.lock.parent), "folder went", "") for project in going.projects]


def _plain(snapshot: StoredSnapshot) -> dict[str, object]:
    return {
        "repo": snapshot.repo, "commit": snapshot.commit, "size": snapshot.size, "files": len(snapshot.files),
        "written": snapshot.written, "refs": snapshot.refs, "keepers": snapshot.keepers,
        "directory": str(snapshot.directory),
    }  # fmt: skip


def _age(written: float) -> str:
    days = int((time.time() - written) / _DAY) if written else 0
    return "today" if days < 1 else f"{days} day{'s' if days > 1 else ''}"
