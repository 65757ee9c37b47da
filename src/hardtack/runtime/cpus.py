"""How many threads this process may really use: its affinity and its container's CPU quota, not the host's cores.

``os.cpu_count`` says 64 in a container that may use two, and 64 threads on two cores are slower than two.
Reads files of the kernel only, whose roots are passed in; keeps nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/")


def usable_cpus(root: Path = _ROOT) -> int:
    """Threads that can run at once: the smaller of affinity and CPU quota, at least 1.

    A quota of 2.5 CPUs counts as 2: a third thread would be throttled for half of the time, and the others wait for it.

    Args:
        root: what stands for ``/``, where ``proc`` and ``sys`` lie.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *(int(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """The quota, in CPUs, of every control group that this process is in; none where there is no limit."""
    for controllers, group in _groups(root):
        cgroups = root / "sys/fs/cgroup"
        if not controllers:  # version 2: one tree for all controllers
            bases = [cgroups, cgroups / "unified"]
        elif "cpu" in controllers:
            bases = [cgroups / ",".join(controllers), cgroups / "cpu"]
        else:
            continue
        # In a container the group's own path is often the host's and is not there: its root then is the group.
        for base in bases:
            for folder in (group, *group.parents):
                yield from _quota(base / folder.relative_to("/"))


def _groups(root: Path) -> Iterator[tuple[list[str], PurePosixPath]]:
    """(controllers, path) of each line of ``/proc/self/cgroup``; no controllers in version 2."""
    listing = _read(root / "proc/self/cgroup") or "0::/"
    for line in listing.splitlines():
        _, controllers, path = line.split(":", 2)
        group = PurePosixPath(path)
        if ".." not in group.parts:  # a group outside of this namespace: nothing of it can be read here
            yield [name for name in controllers.split(",") if name], group


def _quota(folder: Path) -> Iterator[float]:
    """See ``cpu.max`` in https://docs.kernel.org/admin-guide/cgroup-v2.html and its two files of version 1."""
    limit = _read(folder / "cpu.max")
    if limit is None:
        limit = f"{_read(folder / 'cpu.cfs_quota_us') or -1} {_read(folder / 'cpu.cfs_period_us') or 100_000}"
    quota, period = limit.split()
    if quota != "max" and int(quota) > 0:
        yield int(quota) / int(period)


def _read(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except OSError:
        return None
