"""``hardtack verify``: compare files with the lock, without a network."""

from __future__ import annotations

from pathlib import Path

import click

from hardtack.cli.output import print_json, reporting, size, table
from hardtack.cli.trusting import trusted, trusting
from hardtack.errors import LockError
from hardtack.offline.prove import check_pantry
from hardtack.project import Project
from hardtack.spec.lock import LOCK_NAME
from hardtack.spec.lock_text import read_lock
from hardtack.spec.text_file import read_text
from hardtack.spec.verify import Checked
from hardtack.supply.checking import check_directory
from hardtack.trust.sign import beside


@click.command("verify")
@click.argument("directory", type=click.Path(path_type=Path), required=False)
@click.option("--model", metavar="NAME", help="DIRECTORY holds the files of this model of the project's lock.")
@trusting
@reporting
def command(
    directory: Path | None, model: str | None, keys: tuple[Path, ...], signature: Path | None, as_json: bool,
    quiet: bool,
) -> int:  # fmt: skip
    """Compare every file with the lock, with no network: of this project's models in the store, or of DIRECTORY.

    DIRECTORY is a pantry, which brings its own lock; with --model it is any directory, copied or fetched by hand.

    Missing, changed, cut short, a git-LFS pointer, or (in a directory) not in the lock: each is listed, and the exit
    code is 1. With --trust, the lock itself must be signed by one of these keys, or nothing else is looked at.
    """
    if model and directory is None:
        raise click.UsageError("--model only goes with a DIRECTORY")
    lock_path = directory / LOCK_NAME if directory and not model else Project.here().lock_path
    signed = trusted(keys, signature, beside(lock_path))
    signer = signed.signer(read_text(lock_path, LockError, "lock", "hardtack lock").encode()) if signed else None
    if directory is None:
        results = Project.here().verify()
    elif model:
        locked = read_lock(Project.here().lock_path).find(model)
        results = {str(directory): check_directory(directory, locked)}
    else:
        results = {str(directory): check_pantry(directory)}
    good = all(checked.good for checked in results.values())
    if as_json:
        said = {name: _plain(checked) for name, checked in results.items()}
        print_json({"good": good, "signed": signer.fingerprint if signer else None, "checked": said})
    elif not (quiet and good):
        click.echo("\n".join([*([f"{lock_path}: signed by {signer}"] if signer else []), _describe(results)]))
    return 0 if good else 1


def _plain(checked: Checked) -> dict[str, object]:
    findings = [
        {"kind": f.kind.value, "path": f.path, "expected": f.expected, "found": f.found} for f in checked.findings
    ]
    return {"good": checked.good, "files": checked.files, "bytes": checked.bytes, "findings": findings}


def _describe(results: dict[str, Checked]) -> str:
    lines = []
    for name, checked in results.items():
        verdict = "as locked" if checked.good else f"{len(checked.findings)} NOT as locked"
        lines.append(f"{name}: {checked.files} files, {size(checked.bytes)}, {verdict}")
        rows = [(f"  {f.kind.value}", f.path, f"expected {f.expected}", f"found {f.found}") for f in checked.findings]
        lines += [table(rows)] if rows else []
    if not all(checked.good for checked in results.values()):
        lines.append("mend: hardtack pull (store), hardtack bake (pantry)")
    return "\n".join(lines)
