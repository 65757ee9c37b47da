"""What this CPU multiplies natively, as the kernel says: it decides whether ``auto`` tries int8 at all."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

_INFO = Path("/proc/cpuinfo")
_AMX = frozenset({"amx_bf16", "amx_int8"})
_VNNI = frozenset({"avx512_vnni", "avx_vnni", "asimddp", "i8mm"})  # the last two: Arm's dot product and its matrices


class Native(StrEnum):
    """The best a CPU has for small numbers."""

    AMX = "amx"
    """Tiles: bf16 is so fast that int8 gains a tenth (measured on MiniLM: 1.10 times), for a hundred times the loss."""
    VNNI = "vnni"
    """Eight-bit dot products, four to the instruction: int8 is about twice as fast as bf16 or fp32 here."""
    NONE = "none"
    """Neither: eight-bit products are emulated, and saturate on some."""


def native(info: Path = _INFO) -> Native:
    """What this CPU has.

    Args:
        info: what stands for ``/proc/cpuinfo``.
    """
    try:
        lines = info.read_text().splitlines()
    except OSError:
        return Native.NONE
    flags = {
        flag for line in lines if line.startswith(("flags", "Features")) for flag in line.partition(":")[2].split()
    }
    if flags >= _AMX:
        return Native.AMX
    return Native.VNNI if flags & _VNNI else Native.NONE
