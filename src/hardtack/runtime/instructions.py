"""What this CPU multiplies natively, and which of it is worth using, as the kernel says.

It decides what ``auto`` executes in and whether it tries int8 at all. It reads one file and measures nothing: what it
knows of speed was measured before, on CPUs of each kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_AMX = frozenset({"amx_bf16", "amx_int8"})
_VNNI = frozenset({"avx512_vnni", "avx_vnni", "asimddp", "i8mm"})  # the last two: Arm's dot product and its matrices
_INTEL = "GenuineIntel"


class Native(StrEnum):
    """The best a CPU has for small numbers."""

    AMX = "amx"
    """Tiles: bf16 is so fast that int8 gains a tenth (measured on MiniLM: 1.10 times), for a hundred times the loss."""
    VNNI = "vnni"
    """Eight-bit dot products, four to the instruction: int8 is about twice as fast as bf16 or fp32 here."""
    NONE = "none"
    """Neither: eight-bit products are emulated, and saturate on some."""


@dataclass(frozen=True)
class Instructions:
    """What a CPU has.

    Attributes:
        vendor: as the CPU names it; empty where it does not.
        flags: its features, as Linux names them; none where it does not say.
    """

    vendor: str = ""
    flags: frozenset[str] = frozenset()

    @property
    def native(self) -> Native:
        """The best it has for small numbers."""
        if self.flags >= _AMX:
            return Native.AMX
        return Native.VNNI if self.flags & _VNNI else Native.NONE

    @property
    def tiles(self) -> bool:
        """Whether it multiplies bf16 in tiles."""
        return "amx_bf16" in self.flags

    @property
    def bf16_pays(self) -> bool:
        """Whether what multiplies bf16, where anything does, is faster than fp32.

        AMX is, and so is AMD's AVX-512. Intel's AVX-512 is not: VDPBF16PS comes every other cycle on one port, where
        two fp32 multiply-adds come every cycle, and MiniLM in bf16 was measured at 0.6 times its speed in fp32. An
        Intel CPU whose tiles are hidden, as in many virtual machines, has that and no more.
        """
        return self.vendor != _INTEL or self.tiles


def read_instructions(info: Path = _CPUINFO) -> Instructions:
    """What this machine's first CPU has; nothing where the kernel does not say.

    Args:
        info: what stands for ``/proc/cpuinfo``.
    """
    fields: dict[str, str] = {}
    try:
        with info.open(errors="replace") as lines:
            for line in takewhile(str.strip, lines):  # a blank line ends each CPU; the kernel writes hundreds on demand
                name, _, value = line.partition(":")
                fields[name.strip()] = value.strip()
    except OSError:
        return Instructions()
    return Instructions(fields.get("vendor_id", ""), frozenset(fields.get("flags", fields.get("Features", "")).split()))
