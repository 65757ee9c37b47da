"""``hardtack run``: any program, with no network and the models in place."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import click

from hardtack.cli.output import Talk
from hardtack.errors import LockError, NotProven
from hardtack.offline.guard import NOT_COVERED
from hardtack.offline.run import Ran, offline_environment, run_offline
from hardtack.places import is_pantry
from hardtack.settings import read_settings
from hardtack.spec.text_file import write_atomically


@click.command("run", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False})
@click.argument("arguments", nargs=-1, required=True, metavar="-- COMMAND…")
@click.option("--pantry", type=click.Path(path_type=Path), metavar="DIR", help="The pantry that it is to use.")
@click.option("--fail-on-attempt", is_flag=True, help="Exit 1 if anything reached for the network, whatever it exits.")
@click.option("--no-guard", is_flag=True, help="Only set the variables: for kernels that cannot guard. Proves nothing.")
@click.option("--json", "report", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the report there as JSON; stdout is the command's.")  # fmt: skip
@click.option("--verbose", "-v", is_flag=True, help="Say what the guard does not cover.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing where nothing was denied.")
def command(
    arguments: tuple[str, ...],
    pantry: Path | None,
    fail_on_attempt: bool,
    no_guard: bool,
    report: Path | None,
    verbose: bool,
    quiet: bool,
) -> int:
    """Run COMMAND with the offline variables set, the store and pantry in place, and no network.

    The kernel refuses every socket that could leave the machine, to it and to all that it starts; what was denied is
    counted and said on stderr when it ends. Its exit code is passed on (128 + N for signal N). Where the kernel cannot
    guard, nothing is run and the exit code is 1.
    """
    if no_guard and fail_on_attempt:
        raise click.UsageError("--fail-on-attempt needs the guard: without it nobody counts")
    settings = read_settings()
    if pantry is not None:
        if not is_pantry(pantry):
            raise LockError(
                "this is no pantry", where=str(pantry), expected="a directory that holds hardtack.lock",
                found="none there", mend=f"hardtack bake {pantry}",
            )  # fmt: skip
        settings = replace(settings, pantry=pantry, pantry_named=True)
    try:
        ran = run_offline(arguments, offline_environment(os.environ, settings), guard=not no_guard)
    except NotProven as problem:
        mend = "hardtack run --no-guard -- …  # the variables alone; proves nothing"
        raise NotProven(
            problem.what, where=problem.where, expected=problem.expected, found=problem.found, mend=mend
        ) from None
    if report is not None:
        write_atomically(report, json.dumps(ran.as_json(), ensure_ascii=False, indent=2).encode() + b"\n")
    _say(ran, Talk(quiet=quiet and not ran.attempts), verbose)
    return 1 if fail_on_attempt and ran.attempts else ran.exit_code


def _say(ran: Ran, talk: Talk, verbose: bool) -> None:
    if ran.watched is None:
        talk.say("hardtack run: not guarded; nothing is proven")
        return
    for attempt in ran.watched.attempts:
        harmless = "" if attempt.leaves else "  (cannot leave the machine)"
        talk.say(f"hardtack run: denied {attempt.count} × {attempt.what} by {attempt.program}{harmless}")
    for closed in ran.watched.closed:
        talk.say(f"hardtack run: closed beforehand: {closed}")
    count = sum(attempt.count for attempt in ran.attempts)
    talk.say(f"hardtack run: {count or 'no'} attempt{'' if count == 1 else 's'} at a network ({ran.watched.guard})")
    for gap in NOT_COVERED if verbose else ():
        talk.say(f"hardtack run: not covered: {gap}")
