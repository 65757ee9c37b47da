"""``hardtack lock``: find out what the manifest is, to the byte."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from hardtack.cli.output import Talk, print_json, reporting, size, table
from hardtack.cli.progress import Bar
from hardtack.errors import LockError, StaleLock
from hardtack.project import Project
from hardtack.spec.dotenv import lock_values, parse_env, updated_env
from hardtack.spec.lock import Lock
from hardtack.spec.text_file import read_text, write_atomically
from hardtack.supply.upstream import Drift, compare_upstream


@click.command("lock")
@click.option("--check", is_flag=True, help="Exit 1 if the lock is stale; write nothing, ask nobody.")
@click.option("--online", is_flag=True, help="With --check: and if the Hub (HF_ENDPOINT) has not what is locked.")
@click.option("--upgrade", is_flag=True, help="Lock anew what moved upstream: the KEYS, or every model.")
@click.option(
    "--env", type=click.Path(dir_okay=False, path_type=Path),
    help="Write EMBED_REPO, EMBED_COMMIT, RERANK_… and CLASSIFY_… into this file; with --check: compare.",
)  # fmt: skip
@click.option("--send-token", is_flag=True, help="Show the token to a Hub other than the default one, too.")
@click.argument("keys", nargs=-1)
@reporting
def command(
    check: bool,
    online: bool,
    upgrade: bool,
    env: Path | None,
    send_token: bool,
    keys: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> int:
    """Write hardtack.lock: commit, size and sha256 of every file of every model of hardtack.toml.

    A model that is locked stays at its commit until --upgrade.
    """
    talk = Talk(quiet=quiet or as_json)
    project = Project.here(progress=Bar(talk), token_for_other_hubs=send_token)
    if keys and not upgrade:
        raise click.UsageError("KEYS only go with --upgrade")
    if check and upgrade:
        raise click.UsageError("--check writes nothing: see hardtack diff --upgrade")
    if online and not check:
        raise click.UsageError("--online only goes with --check")
    if check:
        lock = project.current()
    else:
        for key in keys:
            project.manifest().get(key)
        lock = project.lock(None if upgrade and not keys else keys)
    drifts = compare_upstream(lock, project.hub) if online else ()
    if env:
        _check_env(env, lock) if check else _write_env(env, lock)
    talk.done()
    if as_json:
        found = {"drifts": [asdict(drift) for drift in drifts]} if online else {}
        print_json({"lock": str(project.lock_path), "models": describe(lock)} | found)
    elif drifts:
        click.echo(_drifted(drifts, project.hub.endpoint))
    else:
        also = f", and {project.hub.endpoint} has all of it" if online else ""
        talk.say(f"{project.lock_path}: {'not stale' if check else 'written'}{also}\n{summary(lock)}")
    return 1 if drifts else 0


def _write_env(path: Path, lock: Lock) -> None:
    text = _text_of(path) if path.exists() else ""
    parse_env(text, str(path))
    write_atomically(path, updated_env(text, lock_values(lock)).encode())


def _check_env(path: Path, lock: Lock) -> None:
    there = parse_env(_text_of(path), str(path))
    for name, value in lock_values(lock).items():
        if there.get(name) != value:
            raise StaleLock(
                "the environment file is not what the lock says", where=str(path), expected=f"{name}={value}",
                found=f"{name}={there[name]}" if name in there else "no such line", mend=f"hardtack lock --env {path}",
            )  # fmt: skip


def _text_of(path: Path) -> str:
    return read_text(path, LockError, "environment file", f"hardtack lock --env {path}")


def _drifted(drifts: tuple[Drift, ...], endpoint: str) -> str:
    rows = [(drift.key, drift.where, f"locked {drift.expected}", f"found {drift.found}") for drift in drifts]
    return f"{endpoint} has not what is locked:\n{table(rows)}\nmend: hardtack diff --upgrade"


def describe(lock: Lock) -> list[dict[str, object]]:
    """The lock's models as plain values."""
    return [
        {
            "key": model.key, "task": model.task.value, "repo": model.repo, "commit": model.commit,
            "license": model.license, "digest": model.digest, "size": model.size, "files": len(model.files),
            "precision": model.precision.value, "note": model.note,
            "builds": [{"precision": b.precision.value, "recipe": b.recipe, "digest": b.digest} for b in model.builds],
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
