"""``hardtack list``: what is locked."""

from __future__ import annotations

import click

from hardtack.cli.lock import describe
from hardtack.cli.output import print_json, reporting, size, table
from hardtack.project import Project
from hardtack.spec.lock_text import read_lock


@click.command("list")
@click.option("--files", is_flag=True, help="Every file, too.")
@reporting
def command(files: bool, as_json: bool, quiet: bool) -> None:
    """List the models of the lock: task, repository and commit, size, licence."""
    del quiet
    lock = read_lock(Project.here().lock_path)
    if as_json:
        print_json({"models": describe(lock)})
        return
    header = ("key", "task", "model", "size", "licence", "precision")
    rows = []
    for model in lock.models:
        shown = model.note if not model.task.pulls else model.shown
        licence = model.license or "–"
        rows.append((model.key, model.task.value, shown, size(model.size), licence, model.precision.value))
        rows += [("", "", f"  {file.path}", size(file.size), "", "") for file in model.files if files]
    click.echo(table(rows, header) if rows else "no model: hardtack add REPO")
