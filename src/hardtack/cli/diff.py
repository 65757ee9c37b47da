"""``hardtack diff``: what differs between two locks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from hardtack.cli.output import Talk, print_json, reporting, size, table
from hardtack.cli.progress import Bar
from hardtack.project import Project
from hardtack.spec.diff import Change, FileChange, ModelDiff, Vectors, diff_locks
from hardtack.spec.lock import Lock
from hardtack.spec.lock_text import read_lock

_SIGNS = {Change.ADDED: "+", Change.REMOVED: "-", Change.CHANGED: "~"}
_MEANS = {
    Vectors.SAME_SPACE: "vectors: the same space; an index stays as it is",
    Vectors.SAME_VECTORS: "vectors: the same; an index stays, the name of its space is to be written anew",
    Vectors.REEMBED: "vectors: another space; an index must be re-embedded",
}


@click.command("diff")
@click.option("--upgrade", is_flag=True, help="What `lock --upgrade` would change (of these KEYS, or all).")
@click.argument("what", nargs=-1, metavar="[OLD [NEW] | KEYS]")
@reporting
def command(upgrade: bool, what: tuple[str, ...], as_json: bool, quiet: bool) -> int:
    """Compare the lock file OLD with NEW (default: this project's lock): files, sizes, licences, vectors.

    Exit 0 where they say the same, 1 where they differ.
    """
    talk = Talk(quiet=quiet or as_json)
    old, new = _upgraded(what, talk) if upgrade else _two(what)
    found = diff_locks(old, new)
    talk.done()
    if as_json:
        print_json({"same": not found, "models": [asdict(model) for model in found]})
    elif found:
        click.echo("\n".join(line for model in found for line in _lines(model)))
    else:
        talk.say("the locks say the same")
    return 1 if found else 0


def _two(what: tuple[str, ...]) -> tuple[Lock, Lock]:
    if not 1 <= len(what) <= 2:
        raise click.UsageError("OLD [NEW]: one lock file or two; or --upgrade [KEYS]")
    new = Path(what[1]) if len(what) == 2 else Project.here().lock_path
    return read_lock(Path(what[0])), read_lock(new)


def _upgraded(keys: tuple[str, ...], talk: Talk) -> tuple[Lock, Lock]:
    project = Project.here(progress=Bar(talk))
    for key in keys:
        project.manifest().get(key)
    return read_lock(project.lock_path), project.preview(keys or None)


def _lines(model: ModelDiff) -> list[str]:
    lines = [f"{_SIGNS[model.change]} {model.key} ({model.task.value})"]
    rows = [(f"    {f.name}", f.old or "–", "→", f.new or "–") for f in model.fields]
    rows += [(f"  {_SIGNS[f.change]} {f.path}", *_sizes(f)) for f in model.files]
    if rows:
        lines.append(table(rows))
    if model.vectors:
        lines.append(f"    {_MEANS[model.vectors]}")
    return lines


def _sizes(file: FileChange) -> tuple[str, str, str]:
    old, new = ("–" if count is None else size(count) for count in (file.old, file.new))
    return old, "→", new
