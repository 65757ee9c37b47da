"""How the command line speaks: data on stdout, talk on stderr, progress where a person can see it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click

from hardtack.errors import HardtackError

F = TypeVar("F", bound=Callable[..., Any])


def reporting(command: F) -> F:
    """The options that every verb which reports has: ``--json`` and ``--quiet``."""
    command = click.option("--quiet", "-q", is_flag=True, help="No talk, only data and errors.")(command)
    return click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout.")(command)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def print_error(problem: HardtackError, *, as_json: bool) -> None:
    """An error: five fields on stderr, or as JSON on stdout."""
    if as_json:
        print_json({"error": problem.fields()})
    head = click.style("error: ", fg="red", bold=True) if _colour() else "error: "
    click.echo(head + str(problem), err=True)


def _colour() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def size(count: float) -> str:
    """Bytes as a person reads them, in powers of 1000 as the Hub writes them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> str:
    """Rows as aligned columns."""
    every = [list(header), *map(list, rows)] if header else [list(row) for row in rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(every[0]))] if every else []
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in every]
    if header:
        lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(lines)


class Talk:
    """What a verb says while it works: a progress bar on a terminal, plain lines elsewhere, nothing when quiet."""

    def __init__(self, *, quiet: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._quiet = quiet
        self._bar = sys.stderr.isatty() and not os.environ.get("CI")
        self._clock = clock
        self._shown = 0.0
        self._open = False

    def say(self, line: str) -> None:
        """One line."""
        if self._quiet:
            return
        self._end_bar()
        click.echo(line, err=True)

    def progress(self, done: int, total: int, label: str) -> None:
        """How far a long work is; drawn at most ten times a second, and only on a terminal."""
        now = self._clock()
        if self._quiet or not self._bar or (now - self._shown < 0.1 and done < total):
            return
        self._shown = now
        filled = int(30 * done / total) if total else 30
        click.echo(
            f"\r{'█' * filled}{'░' * (30 - filled)} {size(done)} of {size(total)}  {label[:40]:<40}", err=True, nl=False
        )
        self._open = True

    def _end_bar(self) -> None:
        if self._open:
            click.echo("", err=True)
            self._open = False

    def done(self) -> None:
        """The work is over: leave the bar's line."""
        self._end_bar()


def texts_from(arguments: Iterable[str]) -> list[str]:
    """The texts of the arguments, or the lines of stdin where there are none."""
    texts = list(arguments)
    if not texts and not sys.stdin.isatty():
        texts = [line.rstrip("\n") for line in sys.stdin]
    if not texts:
        raise click.UsageError("no text: give it as an argument, or a line each on stdin")
    return texts
