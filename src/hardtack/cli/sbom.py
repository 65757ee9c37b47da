"""``hardtack sbom``: a bill of materials of what is locked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from hardtack.cli.lock_of import lock_text_of, path_of
from hardtack.cli.output import Talk, reporting
from hardtack.errors import Misused
from hardtack.spec.text_file import write_atomically
from hardtack.trust.sbom import bill_of

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@click.command("sbom")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), metavar="BOM",
              help="Where to write it. Default: stdout.")  # fmt: skip
@click.option("--timestamp", metavar="TIME",
              help="When it was made: 2026-01-31T12:00:00Z. Default: not said, and the same each time.")  # fmt: skip
@reporting
def command(file: Path | None, output: Path | None, timestamp: str | None, as_json: bool, quiet: bool) -> None:
    """Print the bill of materials of FILE: a lock, a pantry, or an archive of `hardtack pack`.

    Default: the project's lock. CycloneDX 1.6, in JSON: every model with its commit, licence and package URL, and every
    file with its SHA-256. The packages that run the models are not in it.
    """
    del as_json  # it is JSON
    if timestamp and not _TIME.fullmatch(timestamp):
        raise Misused(
            "that is no point in time", where="--timestamp", expected="2026-01-31T12:00:00Z", found=timestamp,
            mend="hardtack sbom --timestamp 2026-01-31T12:00:00Z",
        )  # fmt: skip
    path = path_of(file)
    bill = json.dumps(bill_of(lock_text_of(path).decode(), timestamp=timestamp), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        click.echo(bill, nl=False)
        return
    write_atomically(output, bill.encode())
    Talk(quiet=quiet).say(f"{output}: what {path} names")
