"""``hardtack prove``: load and run a pantry where the kernel allows no network."""

from __future__ import annotations

from pathlib import Path

import click

from hardtack.cli.output import Talk, print_json, reporting, table
from hardtack.offline.prove import Proof, prove
from hardtack.settings import read_settings


@click.command("prove")
@click.argument("pantry", type=click.Path(path_type=Path), required=False)
@reporting
def command(pantry: Path | None, as_json: bool, quiet: bool) -> int:
    """Prove PANTRY (default: $HARDTACK_PANTRY, else ./pantry if there is one, else /models).

    Every file is compared with the lock; each model is loaded and run in a process that the kernel keeps off every
    network, and held against its golden answers. Exit 1 where anything does not hold, or cannot be proven here.
    """
    talk = Talk(quiet=quiet or as_json)
    proof = prove(pantry or default_pantry(), tell=talk.say)
    if as_json:
        print_json(proof.as_json())
    else:
        click.echo(describe(proof))
    return 0 if proof.proven else 1


def default_pantry() -> Path:
    """The pantry that is meant where none is named."""
    settings = read_settings()
    here = Path("pantry")
    return here if not settings.pantry_named and here.is_dir() else settings.pantry


def describe(proof: Proof) -> str:
    """The proof as a person reads it."""
    rows = []
    for model in proof.models:
        drift = "–" if model.drift is None else f"{model.drift['measure']} {model.drift['value']:.6f}"
        denied = sum(attempt.count for attempt in model.attempts)
        rows.append([
            model.key, model.shown, "good" if model.good else "NOT GOOD", f"{model.engine} {model.precision}".strip(),
            f"{model.seconds:.2f} s", f"{model.memory_mb:.0f} MiB", drift, str(denied),
        ])  # fmt: skip
    lines = []
    if rows:
        header = ("key", "model", "answers", "engine", "first answers", "memory", "against golden", "denied")
        lines += [table(rows, header), ""]
    for model in proof.models:
        lines += [f"{model.key}: denied {a.count} × {a.what} by {a.program}" for a in model.attempts]
    lines.append(f"files    {proof.files.files} compared with the lock, {len(proof.files.findings)} not as locked")
    lines.append(f"guard    {proof.guard or 'none'}")
    lines.append(f"digest   {proof.digest}")
    lines.append("proven" if proof.proven else f"NOT PROVEN: {proof.why}")
    return "\n".join(lines)
