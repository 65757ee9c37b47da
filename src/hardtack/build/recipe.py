"""Recipes: how a build is made, and the text that says all that decides its bytes and gives it its name.

That text heads the build's ``build.toml``, and its hash is the build's key (DESIGN §5.4). What the build loses stands
below it, and its seconds nowhere: they would make an image differ from machine to machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hardtack.errors import LockError
from hardtack.runtime.layout import Layout
from hardtack.spec.digest import hash_bytes
from hardtack.spec.lock import LockedModel
from hardtack.spec.toml_write import toml_value
from hardtack.spec.words import Precision

_DIGITS = 16
_LOCKED = re.compile(r"(?P<way>[a-z-]+)/(?P<version>\d+)(?: openvino=(?P<openvino>\S+))?(?: nncf=(?P<nncf>\S+))?"
                     r"(?: torch=(?P<torch>\S+))?(?: calibration=(?P<calibration>sha256:[0-9a-f]{64}))?\Z")  # fmt: skip


@dataclass(frozen=True)
class Way:
    """One way to quantise a graph.

    Attributes:
        version: raised whenever the same inputs give other bytes, a change of a family's drawing included.
        calibrated: whether it looks at activations, and so at texts.
        what: one line for people.
    """

    version: int
    calibrated: bool
    what: str


WAYS: Mapping[str, Way] = MappingProxyType(
    {
        "static": Way(5, True, "weights and activations of all products, SmoothQuant; pooling and heads in fp32"),
        "static-half": Way(
            3,
            True,
            "as static, but in the first half of the layers, whose loss goes through all the others, the products that"
            " narrow the feed-forward part stay as they are",
        ),
        "static-partly": Way(5, True, "as static, but the products that narrow the feed-forward part stay as they are"),
        "weights": Way(5, False, "weights only, one scale a row; products are executed in bf16 or fp32"),
    }
)
"""The ways by name, the fastest first: the first that keeps to the gate is taken."""

TILES_WAY = "tiles"
"""Not one of them: weights as they are, in bf16 and in the order in which the native engine reads them."""


@dataclass(frozen=True)
class Recipe:
    """A way, and the versions and texts that it was followed with.

    Attributes:
        way: a key of :data:`WAYS`, :data:`TILES_WAY`, or ``export``.
        version: of the way; of tiles, of the packed format.
        openvino, nncf, torch: versions of the packages; empty where one has no part in it. In tiles none has.
        calibration: digest of the texts; empty where none are looked at.
    """

    way: str
    version: int
    openvino: str = ""
    nncf: str = ""
    calibration: str = ""
    torch: str = ""

    def __str__(self) -> str:
        """The recipe as a lock holds it."""
        texts = f" calibration={self.calibration}" if self.calibration else ""
        packages = {"openvino": self.openvino, "nncf": self.nncf, "torch": self.torch}
        return f"{self.way}/{self.version}{''.join(f' {k}={v}' for k, v in packages.items() if v)}{texts}"


def parse_recipe(text: str, where: str) -> Recipe:
    """A recipe from a lock.

    Raises:
        LockError: it is not one.
    """
    found = _LOCKED.match(text)
    if found is None or (found["openvino"] is None) != (found["way"] == TILES_WAY):
        raise LockError(
            "the recipe of a build cannot be understood", where=where, expected="what `hardtack build` writes",
            found=text, mend="hardtack build --again",
        )  # fmt: skip
    rest = (found[name] or "" for name in ("openvino", "nncf", "calibration", "torch"))
    return Recipe(found["way"], int(found["version"]), *rest)


def build_text(model: LockedModel, layout: Layout, precision: Precision, recipe: Recipe, gate_texts: str = "") -> str:
    """All that decides a build's bytes, as the head of its ``build.toml``.

    Args:
        model: what is built.
        layout: as its files say.
        precision: of the build.
        recipe: how.
        gate_texts: digest of the texts that its loss is measured on, which is written below; empty where it is not.
    """
    rows: tuple[tuple[str, object], ...] = (
        ("version", 1),
        ("source", model.digest),
        ("task", model.task.value),
        ("pooling", layout.pooling.value if layout.pooling else ""),
        ("normalize", layout.normalize),
        ("max-length", layout.tokenizing.max_length or 0),
        ("precision", precision.value),
        ("recipe", recipe.way),
        ("recipe-version", recipe.version),
        *([("openvino", recipe.openvino)] if recipe.openvino else []),
        *([("nncf", recipe.nncf)] if recipe.nncf else []),
        *([("torch", recipe.torch)] if recipe.torch else []),
        *([("calibration", recipe.calibration), ("gate-texts", gate_texts)] if recipe.openvino else []),
    )
    head = "# What this build was made of; its folder is named by the sha256 of the lines down to the loss.\n"
    return head + "".join(f"{name} = {toml_value(value)}\n" for name, value in rows)


def build_key(text: str, precision: Precision) -> str:
    """The name of a build's folder: its precision, and the beginning of the hash of the head of its ``build.toml``."""
    return f"{precision.value}-{hash_bytes(text.encode()).sha256[:_DIGITS]}"
