"""Tensors by name below a prefix, as float32, each checked: its shape, and that every number in it is one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hardtack.errors import UnsupportedModel
from hardtack.runtime.by_name import ByName

Floats = NDArray[np.float32]

_GREATEST = float(np.finfo(np.float32).max) * (1 - 2.0**-8)
"""What is above it may round to infinity as bf16, whose greatest number is 2⁻⁸ below float32's."""


class Named(ByName):
    """The tensors of some files whose names begin with a prefix."""

    def __call__(self, name: str, *shape: int) -> Floats:
        """A tensor of this shape.

        Raises:
            UnsupportedModel: it is not there, has another shape, is not stored as floating point, or holds a number
                that is not finite, or would not be in bf16.
        """
        stored = self.stored(name, shape)
        with np.errstate(over="ignore"):  # of F64; then it is infinite, and refused
            values = stored.float32()
        if values.size and not max(float(values.max()), -float(values.min())) < _GREATEST:  # NaN is not less either
            raise UnsupportedModel(
                "A tensor of weights holds something that is no finite number.", where=str(stored.file),
                expected="finite numbers", found=f"{self.prefix + name}: nan, inf or beyond what bf16 holds",
            )  # fmt: skip
        return values

    def linear(self, name: str, inputs: int, outputs: int) -> tuple[Floats, Floats]:
        """Weight ``(outputs, inputs)`` and bias of a ``torch.nn.Linear``."""
        tensors = self.under(name)
        return tensors("weight", outputs, inputs), tensors("bias", outputs)
