"""``hardtack bench``: what the locked models cost and give on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from hardtack.cli.bench_picture import draw_picture
from hardtack.cli.output import Talk, print_json, reporting, table
from hardtack.errors import DiskError, LockError, Unable
from hardtack.places import find_lock
from hardtack.settings import read_settings
from hardtack.spec.lock_text import read_lock
from hardtack.spec.text_file import write_atomically

_HEADER = ("key", "runs in", "first answer", "one text p50", "p99", "throughput", "peak memory", "loss")


@click.command("bench")
@click.argument("keys", nargs=-1)
@click.option("--rounds", default=3, show_default=True, help="Processes that are started for each model.")
@click.option("--picture", type=click.Path(path_type=Path), help="Draw the figures into this SVG file, too.")
@reporting
def command(keys: tuple[str, ...], rounds: int, picture: Path | None, as_json: bool, quiet: bool) -> None:
    """Measure KEYS, or every locked model that loads, on this machine.

    Each model has processes of its own, which take turns; medians are shown. The first answer counts from the start
    of the process, hashing included; throughput is of texts of mixed lengths that hardtack brings. Loss is what the
    model's build was measured to lose against fp32. Other work on the machine slows all of it.
    """
    talk = Talk(quiet=quiet or as_json)
    rows = measure(chosen(keys), rounds=max(1, rounds), tell=talk.say)
    if picture is not None:
        try:
            write_atomically(picture, draw_picture(rows).encode())
        except OSError as problem:
            raise DiskError(
                "the picture could not be written", where=str(picture), expected="a writable folder",
                found=problem.strerror or str(problem), mend=f"ls -ld {picture.parent}",
            ) from problem  # fmt: skip
    if as_json:
        print_json({"models": rows})
    else:
        click.echo(table([_line(row) for row in rows], _HEADER) if rows else "no model: hardtack add REPO")


def chosen(keys: Sequence[str]) -> list[str]:
    """The keys of the models that are meant.

    Raises:
        LockError: there is no lock.
        UnknownModel: a name is in no lock.
    """
    path = find_lock(read_settings(), Path.cwd())
    if path is None:
        raise LockError(
            "there is no lock, and so no model to measure", where=str(Path.cwd()), expected="hardtack.lock",
            found="none here or above", mend="hardtack lock",
        )  # fmt: skip
    lock = read_lock(path)
    return [lock.find(key).key for key in keys] or [model.key for model in lock.models if model.task.loads]


def measure(
    keys: Sequence[str],
    *,
    rounds: int,
    tell: Callable[[str], None] = lambda _: None,
    run: Callable[[str], dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """The figures of each model: medians over rounds in which the models take turns.

    Args:
        keys: of the lock.
        rounds: how many.
        tell: told what is being measured.
        run: measures a model once; default: in a process of its own.
    """
    seen: dict[str, list[dict[str, Any]]] = {key: [] for key in keys}
    for turn in range(rounds):
        for key in keys:
            tell(f"{key}: measuring, {turn + 1} of {rounds}")
            seen[key].append((run or _run)(key))
    return [_median(each) for each in seen.values()]


def _run(key: str) -> dict[str, Any]:
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "hardtack.cli.bench_child", key], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        answered = time.perf_counter() - began
        rest, talk = child.communicate()
    said = [json.loads(line) for line in (first + rest).decode().splitlines() if line.startswith("{")]
    if not said or "error" in said[-1] or child.returncode != 0:
        error = said[-1].get("error", {}) if said else {}
        lines = talk.decode(errors="replace").strip().splitlines()[-1:] or [f"exit status {child.returncode}"]
        raise Unable(
            error.get("what") or f"{key!r} could not be measured", where=error.get("where") or key,
            expected=error.get("expected") or "an answer", found=error.get("found") or lines[0],
            mend=error.get("mend") or "hardtack verify",
        )  # fmt: skip
    return {**said[-1], "first_answer": round(answered, 4)}


def _median(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One row of several: the middle value of every number."""
    middle = len(rows) // 2
    return {
        name: sorted(row[name] for row in rows)[middle] if isinstance(value, float) else value
        for name, value in rows[0].items()
    }


def _line(row: Mapping[str, Any]) -> tuple[str, ...]:
    loss = row["loss"]
    if isinstance(loss, Mapping):
        loss = "  ".join(f"{name} {value:.4f}" for name, value in loss.items())
    return (
        row["key"],
        f"{row['engine']} {row['precision']}",
        f"{row['first_answer']:.2f} s",
        f"{row['p50'] * 1000:.1f} ms",
        f"{row['p99'] * 1000:.1f} ms",
        f"{row['per_second']:.0f} {row['unit']}/s",
        f"{row['peak_mb']:.0f} MiB",
        loss or "–",
    )
