"""Any program as a pantry or store is used in production: told to stay offline, and kept offline by the kernel.

The variables are asked for, the guard is not: libraries that heed :data:`OFFLINE` answer from the cache at once instead
of running into refusals and retries, and whatever does not heed them is refused and counted.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hardtack.offline.guard import Attempt, Watched, run_guarded
from hardtack.places import is_pantry
from hardtack.settings import Settings

OFFLINE: Mapping[str, str] = {
    # huggingface_hub, and all that downloads through it: answer from the cache, ask nobody
    "HF_HUB_OFFLINE": "1",
    # the same to huggingface_hub 1.x and 2.x, and what older transformers and other libraries look at
    "TRANSFORMERS_OFFLINE": "1",
    # the datasets library has a switch of its own beside the Hub's
    "HF_DATASETS_OFFLINE": "1",
    # transformers asks for a conversion of pickled weights in a thread, even with local_files_only=True
    "DISABLE_SAFETENSORS_CONVERSION": "1",
    # huggingface_hub's, gradio's and others' reports of use
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    # the `hf` command asks a package index for a newer version of itself
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    # hardtack's own rule: a model that is not here is an error, never a download
    "HARDTACK_POLICY": "strict",
}
"""What keeps the ecosystem's programs from calling out, as far as they listen; each for the reason beside it."""


@dataclass(frozen=True)
class Ran:
    """What became of a program.

    Attributes:
        command: what was run.
        watched: what the guard saw; None where it ran without a guard.
        returncode: its exit status; minus the number of the signal that ended it.
    """

    command: tuple[str, ...]
    watched: Watched | None
    returncode: int

    @property
    def exit_code(self) -> int:
        """As a shell has it: 128 and the signal's number where one ended it."""
        return self.returncode if self.returncode >= 0 else 128 - self.returncode

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """What was refused and could have left the machine."""
        return tuple(each for each in (self.watched.attempts if self.watched else ()) if each.leaves)

    def as_json(self) -> dict[str, Any]:
        """The run as plain values; ``guard`` is empty where there was none."""
        watched = self.watched
        rows = [
            {"what": each.what, "program": each.program, "count": each.count, "leaves": each.leaves}
            for each in (watched.attempts if watched else ())
        ]
        return {
            "command": list(self.command),
            "exit_code": self.exit_code,
            "guard": watched.guard if watched else "",
            "attempts": rows if watched else None,
            "closed": list(watched.closed) if watched else [],
            "seconds": watched.seconds if watched else None,
            "peak_bytes": watched.peak_bytes if watched else None,
            "not_covered": list(watched.not_covered) if watched else ["everything: it ran without a guard"],
        }


def offline_environment(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """An environment in which the models are found and nobody is asked for them.

    Args:
        environ: the one to start from.
        settings: what ``environ`` says, for the store and the pantry.
    """
    places = {"HF_HUB_CACHE": str(settings.hub_cache.absolute())}
    if settings.pantry_named or is_pantry(settings.pantry):
        places["HARDTACK_PANTRY"] = str(settings.pantry.absolute())
    return {**environ, **OFFLINE, **places}


def run_offline(command: Sequence[str], environ: Mapping[str, str], *, guard: bool = True) -> Ran:
    """Run a program to its end with no network; its streams are ours.

    Args:
        command: program and arguments.
        environ: its environment.
        guard: False leaves it to the variables alone, and nothing is proven.

    Raises:
        NotProven: the kernel cannot guard it; it was not started.
        Misused: there is no such program, or it cannot be executed.
    """
    if guard:
        watched = run_guarded(command, env=environ)
        return Ran(tuple(command), watched, watched.returncode)
    return Ran(tuple(command), None, subprocess.run(list(command), env=dict(environ), check=False).returncode)
