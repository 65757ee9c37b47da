"""``hardtack list``: what is locked."""

from __future__ import annotations

from collections.abc import Iterator

import click

from hardtack.cli.lock import describe
from hardtack.cli.output import print_json, reporting, size
from hardtack.project import Project
from hardtack.spec.lock import Lock, LockedModel
from hardtack.spec.lock_text import read_lock


@click.command("list")
@click.option("--files", is_flag=True, help="Every file, too.")
@click.option(
    "--format", "form", type=click.Choice(["tree", "markdown"]), default="tree", show_default=True,
    help="A tree for a terminal, or a table for a README.",
)  # fmt: skip
@reporting
def command(files: bool, form: str, as_json: bool, quiet: bool) -> None:
    """List the models of the lock: task, repository and commit, size, licence, builds."""
    del quiet
    lock = read_lock(Project.here().lock_path)
    if as_json:
        print_json({"models": describe(lock)})
    elif not lock.models:
        click.echo("no model: hardtack add REPO")
    else:
        click.echo("\n".join(markdown(lock) if form == "markdown" else tree(lock, files=files)))


def tree(lock: Lock, *, files: bool) -> Iterator[str]:
    """The lock as a tree: a model, and below it what it is made of."""
    for model in lock.models:
        yield f"{model.key} ({model.task.value}): {_named(model)}"
        branches = list(_branches(model, files=files))
        for number, branch in enumerate(branches):
            last = number == len(branches) - 1
            head, *rest = branch.split("\n")
            yield f"{'└─' if last else '├─'} {head}"
            yield from (f"{'  ' if last else '│ '} {line}" for line in rest)


def markdown(lock: Lock) -> Iterator[str]:
    """The lock as a table for a README."""
    yield "| key | task | model | commit | size | licence |"
    yield "|---|---|---|---|---:|---|"
    for model in lock.models:
        link = f"[{model.repo}](https://huggingface.co/{model.repo})" if model.source == "hub" else _named(model)
        cells = (
            model.key, model.task.value, link, f"`{model.commit[:12]}`" if model.commit else "–",
            size(model.size) if model.task.pulls else "–", model.license or "–",
        )  # fmt: skip
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _branches(model: LockedModel, *, files: bool) -> Iterator[str]:
    if not model.task.pulls:
        return
    words = [f"{size(model.size)} in {len(model.files)} files", model.license or "no licence said"]
    if model.precision.value != "auto":
        words.append(f"precision {model.precision.value}")
    yield ", ".join(words) + ("".join(f"\n  {size(f.size):>9}  {f.path}" for f in model.files) if files else "")
    for code in model.code:
        yield f"code: {code.repo}@{code.commit[:12]}, {len(code.files)} files"
    for build in model.builds:
        weight = size(sum(file.size for file in build.files))
        yield f"build: {build.precision.value} by {build.recipe}, {weight}, {build.digest[:19]}"
    for group in model.labels:
        yield f"labels {group.name}: {', '.join(group.values)}"


def _named(model: LockedModel) -> str:
    return (model.shown if model.task.pulls else model.note) or "–"
