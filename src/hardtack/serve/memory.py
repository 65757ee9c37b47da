"""How the C library keeps memory for many threads: told once, before there are any.

glibc gives up to eight arenas for each CPU to the threads that allocate, and each holds on to what was freed in it. The
threads of a service take turns with the same large buffers, so that most of those copies are of no use: with three
models in one process it was 0.4 GB of 2.4. https://sourceware.org/glibc/wiki/MallocInternals
"""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8  # of glibc's malloc.h
_LEAST = 2


def few_arenas(cpus: int) -> bool:
    """Have at most an arena for every two CPUs, and two at least; False where the C library has no such thing."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False  # musl, macOS: no arenas to be told of
    return bool(mallopt(_M_ARENA_MAX, max(_LEAST, cpus // 2)))
