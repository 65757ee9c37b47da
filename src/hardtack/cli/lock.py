"""``hardtack lock``: find out what the manifest is, to the byte."""

from __future__ import annotations

import click

from hardtack.cli.output import Talk, print_json, reporting, size, table
from hardtack.cli.progress import Bar
from hardtack.project import Project
from hardtack.spec.lock import Lock


@click.command("lock")
@click.option("--check", is_flag=True, help="Exit 1 if the lock is stale; write nothing, ask nobody.")
@click.option("--upgrade", is_flag=True, help="Lock anew what moved upstream: the KEYS, or every model.")
@click.argument("keys", nargs=-1)
@reporting
def command(check: bool, upgrade: bool, keys: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Write hardtack.lock: commit, size and sha256 of every file of every model of hardtack.toml.

    A model that is locked stays at its commit until --upgrade.
    """
    talk = Talk(quiet=quiet or as_json)
    project = Project.here(progress=Bar(talk))
    if keys and not upgrade:
        raise click.UsageError("KEYS only go with --upgrade")
    if check:
        lock = project.current()
    else:
        for key in keys:
            project.manifest().get(key)
        lock = project.lock(None if upgrade and not keys else keys)
    talk.done()
    if as_json:
        print_json({"lock": str(project.lock_path), "models": describe(lock)})
    else:
        talk.say(f"{project.lock_path}: {'not stale' if check else 'written'}\n{summary(lock)}")


def describe(lock: Lock) -> list[dict[str, object]]:
    """The lock's models as plain values."""
    return [
        {
            "key": model.key, "task": model.task.value, "repo": model.repo, "commit": model.commit,
            "license": model.license, "digest": model.digest, "size": model.size, "files": len(model.files),
            "precision": model.precision.value, "note": model.note,
        }
        for model in lock.models
    ]  # fmt: skip


def summary(lock: Lock) -> str:
    """The lock's models, a line each."""
    rows = [
        (m.key, m.task.value, m.shown or m.note, f"{len(m.files)} files", size(m.size), m.license or "no licence said")
        for m in lock.models
    ]
    return table(rows) if rows else "no model: hardtack add REPO"
