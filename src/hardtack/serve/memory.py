"""How much the C library and oneDNN keep for later: told once, before there are threads or models.

glibc gives up to eight arenas for each CPU to the threads that allocate, and each holds on to what was freed in it. The
threads of a service take turns with the same large buffers, so that most of those copies are of no use: with three
models in one process it was 0.4 GB of 2.4. https://sourceware.org/glibc/wiki/MallocInternals

oneDNN, in which OpenVINO computes, keeps the last 1,024 primitives of the whole process, some for each shape of batch:
a service would grow for its first ten minutes. https://uxlfoundation.github.io/oneDNN/dev_guide_primitive_cache.html
"""

from __future__ import annotations

import ctypes
import os

_M_ARENA_MAX = -8  # of glibc's malloc.h
_LEAST = 2
_PRIMITIVES = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
_KEPT = 256


def few_arenas(cpus: int) -> bool:
    """Have at most an arena for every two CPUs, and two at least; False where the C library has no such thing."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False  # musl, macOS: no arenas to be told of
    return bool(mallopt(_M_ARENA_MAX, max(_LEAST, cpus // 2)))


def few_primitives() -> None:
    """Have oneDNN keep fewer primitives, unless the environment says how many."""
    os.environ.setdefault(_PRIMITIVES, str(_KEPT))
