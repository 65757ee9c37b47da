"""``hardtack list``: what is locked."""

from __future__ import annotations

import click

from hardtack.build.variant import describe_builds
from hardtack.cli.lock import describe
from hardtack.cli.output import print_json, reporting, size, table
from hardtack.project import Project
from hardtack.spec.lock_text import read_lock


@click.command("list")
@click.option("--files", is_flag=True, help="Every file, too.")
@reporting
def command(files: bool, as_json: bool, quiet: bool) -> None:
    """List the models of the lock: task, repository and commit, size, licence; their builds, and what those lose."""
    del quiet
    project = Project.here()
    lock, builds = read_lock(project.lock_path), project.store.builds
    if as_json:
        rows = [
            row | {"builds": describe_builds(m, builds)} for row, m in zip(describe(lock), lock.models, strict=True)
        ]
        print_json({"models": rows})
        return
    header = ("key", "task", "model", "size", "licence", "precision", "loss")
    lines = []
    for model in lock.models:
        shown = model.note if not model.task.pulls else model.shown
        licence = model.license or "–"
        lines.append((model.key, model.task.value, shown, size(model.size), licence, model.precision.value, ""))
        for build in describe_builds(model, builds):
            loss = "  ".join(f"{name} {value:.4f}" for name, value in build["loss"].items())
            loss = loss or ("not measured" if build["here"] else f"not here: hardtack build {model.key}")
            lines.append(("", "", f"  {build['build']}", size(build["size"]), "", build["precision"], loss))
        lines += [("", "", f"  {file.path}", size(file.size), "", "", "") for file in model.files if files]
    click.echo(table(lines, header) if lines else "no model: hardtack add REPO")
