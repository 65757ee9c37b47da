"""``hardtack list``: what is locked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from hardtack.build.variant import describe_builds
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
    """List the models of the lock: task, repository and commit, size, licence; their builds, and what those lose."""
    del quiet
    project = Project.here()
    lock, builds = read_lock(project.lock_path), project.store.builds
    if as_json:
        rows = [
            row | {"builds": describe_builds(m, builds)} for row, m in zip(describe(lock), lock.models, strict=True)
        ]
        print_json({"models": rows})
    elif not lock.models:
        click.echo("no model: hardtack add REPO")
    else:
        click.echo("\n".join(markdown(lock) if form == "markdown" else tree(lock, builds, files=files)))


def tree(lock: Lock, builds: Path, *, files: bool) -> Iterator[str]:
    """The lock as a tree: a model, and below it what it is made of.

    Args:
        lock: the lock.
        builds: the store's folder of builds, where their figures are.
        files: whether every file is shown, too.
    """
    for model in lock.models:
        yield f"{model.key} ({model.task.value}): {_named(model)}"
        branches = list(_branches(model, builds, files=files))
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


def _branches(model: LockedModel, builds: Path, *, files: bool) -> Iterator[str]:
    if not model.task.pulls:
        return
    words = [f"{size(model.size)} in {len(model.files)} files", model.license or "no licence said"]
    if model.precision.value != "auto":
        words.append(f"precision {model.precision.value}")
    yield ", ".join(words) + ("".join(f"\n  {size(f.size):>9}  {f.path}" for f in model.files) if files else "")
    for code in model.code:
        yield f"code: {code.repo}@{code.commit[:12]}, {len(code.files)} files"
    for build in describe_builds(model, builds):
        loss = ", ".join(f"{name} {value:.4f}" for name, value in build["loss"].items())
        if not loss:
            loss = "not measured" if build["here"] else f"not on this machine: hardtack build {model.key}"
        yield f"build: {build['precision']} by {build['recipe']}, {size(build['size'])}, {build['digest'][:19]}"
        yield f"loss: {loss}"
    for group in model.labels:
        yield f"labels {group.name}: {', '.join(group.values)}"


def _named(model: LockedModel) -> str:
    return (model.shown if model.task.pulls else model.note) or "–"
