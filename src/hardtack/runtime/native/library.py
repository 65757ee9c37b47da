"""The compiled library, through ctypes, and whether this machine can run it.

The library is not loaded before somebody asks. Where it is not there, or the CPU or the kernel will not have it, that
is a value with a reason in it, :class:`Ability`: whoever chooses an engine goes on, whoever insists on this one says
why.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hardtack.runtime.native.shape import ACTIVATIONS, LANES, MOST_DENSE, PANEL, POOLINGS, SQUASHES, Shape, padded
from hardtack.runtime.native.shelf import LIBRARY
from hardtack.runtime.native.tiling import Bits, Floats, Tiler, to_bf16

ABI = 1
"""The version of native/abi.h that this module speaks."""

_Int = ctypes.c_int32
_Pointer = ctypes.c_void_p


class CShape(ctypes.Structure):
    """``HardtackShape`` of native/abi.h."""

    _fields_ = (
        *((name, _Int) for name in (
            "size", "heads", "head_panels", "inner", "layers", "positions", "types", "activation", "relative",
            "pooling", "dense", "unit",
        )),
        *((f"dense_{name}", _Int * MOST_DENSE) for name in ("inputs", "outputs", "squash")),
        ("epsilon", ctypes.c_float),
    )  # fmt: skip


class CBatch(ctypes.Structure):
    """``HardtackBatch`` of native/abi.h."""

    _fields_ = (
        ("texts", _Int),
        *((name, _Pointer) for name in ("lengths", "ids", "positions", "types", "weights", "rows")),
    )


class Library:
    """The library's functions, with the types that they take.

    Args:
        file: the shared library.

    Raises:
        OSError: it cannot be loaded, or it is of another version than this module.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        # CDLL lets go of the interpreter's lock while a function runs
        self._functions = ctypes.CDLL(str(file))
        found = self._function("abi", _Int)()
        if found != ABI:
            raise OSError(f"{file} is of version {found}, not {ABI}")
        self.open: Callable[..., int | None] = self._function("open", _Pointer, _Pointer, _Pointer, _Int)
        self.submit: Callable[..., int | None] = self._function("submit", _Pointer, _Pointer, _Pointer)
        self.wait: Callable[..., int] = self._function("wait", _Int, _Pointer)
        self.close: Callable[..., None] = self._function("close", None, _Pointer)

    @property
    def tiler(self) -> Tiler:
        """What packs weights with the library instead of numpy."""
        return Tiler(self._round, self._tiles)

    def _round(self, values: Floats) -> Bits:
        if values.size % LANES:
            return to_bf16(values)
        made = np.empty(values.shape, np.uint16)
        given = np.ascontiguousarray(values, np.float32)
        self._function("round", None, _Pointer, ctypes.c_int64, _Pointer)(
            given.ctypes.data, given.size, made.ctypes.data
        )
        return made

    def _tiles(self, weight: Floats) -> Bits:
        outputs, inputs = (padded(size, PANEL) for size in weight.shape)
        given = np.ascontiguousarray(weight, np.float32)
        if given.shape != (outputs, inputs):
            given = np.zeros((outputs, inputs), np.float32)
            given[: weight.shape[0], : weight.shape[1]] = weight
        made = np.empty((outputs // PANEL, inputs // PANEL, 2, 16, 16, 2), np.uint16)
        self._function("tile", None, _Pointer, _Int, _Int, _Pointer)(
            given.ctypes.data, outputs, inputs, made.ctypes.data
        )
        return made

    @property
    def is_double(self) -> bool:
        """Whether its tiles are emulated: the tests' own build, slow on every machine."""
        return bool(self._function("is_double", _Int)())

    def lacks(self) -> str | None:
        """Why this machine cannot run it; None: it can. Asks the kernel for its leave to use tiles."""
        for name in ("cpu_lacks", "permission_lacks"):
            reason: bytes | None = self._function(name, ctypes.c_char_p)()
            if reason is not None:
                return reason.decode()
        if not self._function("tiles_agree", _Int)():
            return "the CPU's tiles do not multiply as their definition says"
        return None

    def open_engine(self, shape: Shape, addresses: Sequence[int], threads: int) -> int | None:
        """``hardtack_open``; None where there is no memory or no thread for it."""
        table = (_Pointer * len(addresses))(*addresses)
        return self.open(ctypes.byref(c_shape(shape)), table, threads)

    def _function(self, name: str, result: Any, *arguments: Any) -> Any:
        function = self._functions[f"hardtack_{name}"]
        function.restype, function.argtypes = result, arguments
        return function


def c_shape(shape: Shape) -> CShape:
    """A shape as C has it: names as numbers, and the feed-forward part padded as its arrays are."""
    made = CShape(
        size=shape.size, heads=shape.heads, head_panels=shape.head_panels, inner=padded(shape.inner, PANEL),
        layers=shape.layers, positions=shape.positions, types=shape.types, activation=ACTIVATIONS[shape.activation],
        relative=shape.relative, pooling=POOLINGS[shape.pooling], dense=len(shape.dense), unit=shape.unit,
        epsilon=shape.epsilon,
    )  # fmt: skip
    for place, layer in enumerate(shape.dense):
        made.dense_inputs[place] = layer.inputs
        made.dense_outputs[place] = layer.outputs
        made.dense_squash[place] = SQUASHES[layer.squash]
    return made


@dataclass(frozen=True)
class Ability:
    """Whether this machine can run the library.

    Attributes:
        library: it, where it can.
        why_not: one sentence, where it cannot; empty where it can.
        built: whether the library is there at all.
    """

    library: Library | None
    why_not: str = ""
    built: bool = True


def ability_of(file: Path) -> Ability:
    """Load a library and ask it what it needs."""
    if not file.is_file():
        return Ability(
            None, "the native library is not installed: it takes a C++ compiler where the wheel is made", False
        )
    try:
        library = Library(file)
    except (OSError, AttributeError) as problem:  # AttributeError: a function is not there
        return Ability(None, f"the native library cannot be loaded: {problem}")
    why_not = library.lacks()
    return Ability(library if why_not is None else None, why_not or "")


@cache
def ability() -> Ability:
    """Whether this machine can run the installed library; asked once a process."""
    return ability_of(LIBRARY)
