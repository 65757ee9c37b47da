"""How the command line speaks: data on stdout, talk on stderr, progress where a person can see it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Row:
    """One line of progress: bytes done, bytes in all, and what of; the label is empty for the whole."""

    done: int
    total: int
    label: str

    def text(self, width: int) -> str:
        """The line, no wider than ``width`` columns."""
        filled = int(30 * self.done / self.total) if self.total else 30
        filled = max(0, min(30, filled))
        # the end of a label tells files of one repository apart
        label = self.label if len(self.label) <= 48 else f"…{self.label[-47:]}"
        return f"{'█' * filled}{'░' * (30 - filled)} {size(self.done)} of {size(self.total)}  {label}".rstrip()[:width]


class Talk:
    """What a verb says while it works: progress bars on a terminal, plain lines elsewhere, nothing when quiet."""

    def __init__(self, *, quiet: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._quiet = quiet
        self._bars = sys.stderr.isatty() and not os.environ.get("CI")
        self._clock = clock
        self._shown = 0.0
        self._lines = 0  # drawn below the last line that was said

    def say(self, line: str) -> None:
        """One line, in place of the bars, which come again below it."""
        if self._quiet:
            return
        self._wipe()
        click.echo(line, err=True)

    def draw(self, rows: Sequence[Row]) -> None:
        """How far a long work is, a line each, in place of what was drawn before.

        Drawn at most ten times a second, and only on a terminal.
        """
        now = self._clock()
        if self._quiet or not self._bars or now - self._shown < 0.1:
            return
        self._shown = now
        self._wipe()
        width = shutil.get_terminal_size().columns - 1  # a full line would wrap on some terminals, and be two
        for row in rows:
            click.echo(row.text(width), err=True)
        self._lines = len(rows)

    def _wipe(self) -> None:
        if self._lines:
            # up to the first bar, and all below it erased: ECMA-48, CUU and ED
            click.echo(f"\x1b[{self._lines}A\x1b[J", err=True, nl=False, color=True)
            self._lines = 0

    def done(self) -> None:
        """The work is over: no bar is left standing."""
        self._wipe()


def texts_from(arguments: Iterable[str]) -> list[str]:
    """The texts of the arguments, or the lines of stdin where there are none."""
    texts = list(arguments)
    if not texts and not sys.stdin.isatty():
        texts = [line.rstrip("\n") for line in sys.stdin]
    if not texts:
        raise click.UsageError("no text: give it as an argument, or a line each on stdin")
    return texts
