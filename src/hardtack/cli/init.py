"""``hardtack init``: start a manifest."""

from __future__ import annotations

from pathlib import Path

import click

from hardtack.cli.output import Talk, print_json, reporting
from hardtack.errors import Misused
from hardtack.spec.lock_text import write_atomically
from hardtack.spec.manifest import MANIFEST_NAME


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
@reporting
def command(folder: Path, as_json: bool, quiet: bool) -> None:
    """Write an empty hardtack.toml into FOLDER (default: here)."""
    from hardtack.spec.manifest_edit import NEW_MANIFEST

    path = folder / MANIFEST_NAME
    if path.exists():
        raise Misused(
            "there is a manifest already", where=str(path), expected="none", found=MANIFEST_NAME,
            mend="hardtack add REPO",
        )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, NEW_MANIFEST.encode())
    Talk(quiet=quiet or as_json).say(f"wrote {path}; next: hardtack add sentence-transformers/all-MiniLM-L6-v2")
    if as_json:
        print_json({"manifest": str(path)})
