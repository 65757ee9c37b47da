"""``hardtack remove``: take a model out of the manifest."""

from __future__ import annotations

import click

from hardtack.cli.output import Talk, print_json, reporting
from hardtack.project import Project
from hardtack.spec.lock_text import write_atomically


@click.command("remove")
@click.argument("key")
@reporting
def command(key: str, as_json: bool, quiet: bool) -> None:
    """Take the model KEY out of hardtack.toml; the rest of the file stays as it is."""
    from hardtack.spec.manifest_edit import remove_model

    project = Project.here()
    text = project.manifest_path.read_text(encoding="utf-8")
    write_atomically(project.manifest_path, remove_model(text, key, str(project.manifest_path)).encode())
    Talk(quiet=quiet or as_json).say(f"removed {key}; next: hardtack lock")
    if as_json:
        print_json({"removed": key})
