"""Tensors by name below a prefix, as float32, each checked: its shape, and that every number in it is one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hardtack.errors import UnsupportedModel
from hardtack.runtime.weights import Tensors

Floats = NDArray[np.float32]

_GREATEST = float(np.finfo(np.float32).max) * (1 - 2.0**-8)
"""What is above it may round to infinity as bf16, whose greatest number is 2⁻⁸ below float32's."""


class Named:
    """The tensors of some files whose names begin with a prefix."""

    def __init__(self, tensors: Tensors, prefix: str = "") -> None:
        self._tensors = tensors
        self._prefix = prefix

    def under(self, name: str) -> Named:
        """The tensors whose names go on after ``name`` and a dot."""
        return Named(self._tensors, f"{self._prefix}{name}.")

    def rooted(self, anchor: str) -> Named:
        """The tensors beside ``anchor``, whatever the checkpoint puts before it.

        Raises:
            UnsupportedModel: no tensor's name ends in ``anchor``, or several do.
        """
        found = [name for name in self._tensors if name == anchor or name.endswith(f".{anchor}")]
        if len(found) != 1:
            raise UnsupportedModel(
                "The weights are not those of the architecture that the config names.",
                where=self._tensors.where, expected=f"one tensor named {anchor}, after any prefix",
                found=", ".join(found) or f"{len(self._tensors)} tensors, none of that name",
            )  # fmt: skip
        return Named(self._tensors, found[0].removesuffix(anchor))

    def __contains__(self, name: str) -> bool:
        return self._prefix + name in self._tensors

    def __call__(self, name: str, *shape: int) -> Floats:
        """A tensor of this shape.

        Raises:
            UnsupportedModel: it is not there, has another shape, is not stored as floating point, or holds a number
                that is not finite, or would not be in bf16.
        """
        full = self._prefix + name
        stored = self._tensors.get(full)
        if stored is None or stored.shape != shape:
            raise UnsupportedModel(
                "A tensor is not there." if stored is None else "A tensor has another shape than the config says.",
                where=self._tensors.where if stored is None else str(stored.file),
                expected=f"{full} {list(shape)}",
                found="no tensor of that name" if stored is None else f"{full} {list(stored.shape)}",
            )
        with np.errstate(over="ignore"):  # of F64; then it is infinite, and refused
            values = stored.float32()
        if values.size and not max(float(values.max()), -float(values.min())) < _GREATEST:  # NaN is not less either
            raise UnsupportedModel(
                "A tensor of weights holds something that is no finite number.", where=str(stored.file),
                expected="finite numbers", found=f"{full}: nan, inf or beyond what bf16 holds",
            )  # fmt: skip
        return values

    def linear(self, name: str, inputs: int, outputs: int) -> tuple[Floats, Floats]:
        """Weight ``(outputs, inputs)`` and bias of a ``torch.nn.Linear``."""
        tensors = self.under(name)
        return tensors("weight", outputs, inputs), tensors("bias", outputs)
