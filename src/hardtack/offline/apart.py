"""Run a process of our own apart: behind the guard where the kernel gives one, and plainly, aloud, where it does not.

For work that must not reach a network and would go on without one. What has to be *proven* is :mod:`.prove`'s.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hardtack.errors import NotProven
from hardtack.offline.guard import run_guarded


@dataclass(frozen=True)
class Apart:
    """What became of the process.

    Attributes:
        returncode: its exit status.
        said: what it printed, both streams.
        attempts: how often it reached for a network; 0 where nobody could count.
        guarded: whether the kernel kept it off every network.
    """

    returncode: int
    said: str
    attempts: int
    guarded: bool


def run_apart(command: Sequence[str], env: Mapping[str, str], *, tell: Callable[[str], None] = lambda _: None) -> Apart:
    """Run it to its end.

    Args:
        command: program and arguments.
        env: the whole environment.
        tell: told, where there is no guard, that there is none.
    """
    with tempfile.TemporaryFile() as out:
        try:
            watched = run_guarded(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            code, attempts, guarded = watched.returncode, sum(each.count for each in watched.attempts), True
        except NotProven as problem:
            tell(f"this kernel gives no guard ({problem.found}): going on without one")
            done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)
            code, attempts, guarded = done.returncode, 0, False
        out.seek(0)
        return Apart(code, out.read().decode(errors="replace"), attempts, guarded)
