"""Tensors by name below a prefix: found whatever a checkpoint puts before its names, and held to the shape asked for.

What is made of a tensor is its reader's affair: a constant of a graph, or an array to pack.
"""

from __future__ import annotations

from typing import Self

from hardtack.errors import UnsupportedModel
from hardtack.runtime.weights import Stored, Tensors


class ByName:
    """The tensors of some files whose names begin with a prefix."""

    def __init__(self, tensors: Tensors, prefix: str = "") -> None:
        self.tensors = tensors
        self.prefix = prefix

    def under(self, name: str) -> Self:
        """The tensors whose names go on after ``name`` and a dot."""
        return type(self)(self.tensors, f"{self.prefix}{name}.")

    def rooted(self, anchor: str) -> Self:
        """The tensors beside ``anchor``, whatever the checkpoint puts before it: ``bert.``, ``0.auto_model.``, nothing.

        Raises:
            UnsupportedModel: no tensor's name ends in ``anchor``, or several do.
        """
        found = [name for name in self.tensors if name == anchor or name.endswith(f".{anchor}")]
        if len(found) != 1:
            raise UnsupportedModel(
                "The weights are not those of the architecture that the config names.",
                where=self.tensors.where,
                expected=f"one tensor named {anchor}, after any prefix",
                found=", ".join(found) or f"{len(self.tensors)} tensors, none of that name",
            )
        return type(self)(self.tensors, found[0].removesuffix(anchor))

    def __contains__(self, name: str) -> bool:
        return self.prefix + name in self.tensors

    def stored(self, name: str, shape: tuple[int, ...]) -> Stored:
        """A tensor of this shape, as it is stored.

        Raises:
            UnsupportedModel: it is not there, or has another shape.
        """
        full = self.prefix + name
        stored = self.tensors.get(full)
        if stored is None or stored.shape != shape:
            raise UnsupportedModel(
                "A tensor is not there." if stored is None else "A tensor has another shape than the config says.",
                where=self.tensors.where if stored is None else str(stored.file),
                expected=f"{full} {list(shape)}",
                found="no tensor of that name" if stored is None else f"{full} {list(stored.shape)}",
            )
        return stored
