"""A process of a build's own: handed the model by a lock, with a home that is gone afterwards, and kept off networks.

What runs in it (NNCF, torch's tracer, OpenVINO's converter) would report home; it shuts that itself, and whoever hands
in a guarded ``run`` has the kernel vouch for it. Its memory is given back when it ends.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from hardtack.errors import DiskError, Refused, Unable
from hardtack.spec.lock import LOCK_NAME, Lock, LockedModel
from hardtack.spec.lock_text import write_lock

_KEPT = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV")


class Ran(Protocol):
    """What became of a process."""

    @property
    def returncode(self) -> int:
        """Its exit status."""
        ...

    @property
    def said(self) -> str:
        """What it printed, both streams."""
        ...

    @property
    def attempts(self) -> int:
        """How often it reached for a network, where somebody counted."""
        ...


Run = Callable[[Sequence[str], Mapping[str, str]], Ran]
"""Runs a command with an environment to its end, such as :func:`hardtack.offline.apart.run_apart`."""


def run_child(module: str, model: LockedModel, arguments: Sequence[str], run: Run, wanted: str) -> str:
    """Run ``python -m MODULE JOB ARGUMENTS…``, where JOB is a folder with a lock of the one model.

    Args:
        module: what to run.
        model: what the lock says; the files are held to it.
        arguments: what else it is given.
        run: runs the process.
        wanted: what it is to make, for messages.

    Returns:
        The last line that it printed.

    Raises:
        Refused: the process reached for a network.
        Unable: it failed; what it said is in ``found``.
        DiskError: nothing could be written.
    """
    with tempfile.TemporaryDirectory(prefix="hardtack-build-") as home:
        job = Path(home) / "job"
        try:
            job.mkdir()
            write_lock(Lock("", (model,)), job / LOCK_NAME)
        except OSError as problem:
            raise DiskError(
                "there is no room for a build's working files", where=str(job), expected="a writable folder",
                found=problem.strerror or str(problem), mend=f"df -h {home}",
            ) from problem  # fmt: skip
        env = {name: os.environ[name] for name in _KEPT if name in os.environ}
        env |= {"HOME": home, "HF_HOME": home, "TMPDIR": home, "HF_HUB_OFFLINE": "1"}
        ran = run([sys.executable, "-m", module, str(job), *arguments], env)
    said = (ran.said.strip().splitlines() or [f"exit status {ran.returncode}"])[-1]
    if ran.attempts:
        raise Refused(
            "a build reached for a network", where=model.key, expected="no attempt", found=f"{ran.attempts}",
            mend="pip install --force-reinstall 'hardtack[int8]'",
        )  # fmt: skip
    if ran.returncode != 0:
        raise Unable(
            f"{model.key!r} could not be built", where=model.key, expected=wanted, found=said,
            mend=f"hardtack verify {model.key}",
        )  # fmt: skip
    return said
