"""What follows an embedder's transformer in torch: sentence-transformers' own modules, loaded as the directory says.

sentence-transformers replaces an activation that it does not trust by another one, and opens a pickle where there is no
safetensors, both with a log line at most. Here they are refused: vectors would be others than the model's, or code run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hardtack.errors import UnsupportedModel
from hardtack.runtime.json_files import optional, read_object
from hardtack.runtime.layout import Layout
from hardtack.runtime.sentence_modules import MODULES
from hardtack.spec.words import WeightsKind

_PICKLED = "pytorch_model.bin"


def load_modules(layout: Layout, place: Path, *, trusted: bool) -> list[Any]:
    """The modules after the transformer; where the directory names none, mean pooling, as sentence-transformers has it.

    Args:
        layout: what the model is; where it has a pooling, that and its normalising win over the files.
        place: the directory to load from.
        trusted: whether code in it may run.

    Raises:
        UnsupportedModel: a module's weights are pickled, or its activation is code that may not run.
    """
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
    from sentence_transformers.util.misc import import_module_class

    made = []
    if (place / MODULES).is_file():
        for row in json.loads((place / MODULES).read_bytes())[1:]:
            _check_module(place / row["path"], layout, trusted)
            kind = import_module_class(row["type"], str(place), trust_remote_code=trusted, local_files_only=True)
            made.append(kind.load(str(place), subfolder=row["path"], local_files_only=True, trust_remote_code=trusted))
    else:
        sizes = (layout.config.get(key) for key in ("hidden_size", "d_model", "dim"))
        made.append(Pooling(next(size for size in sizes if size), str(layout.pooling or "mean")))
    if layout.pooling is None:
        return made
    for module in made:  # read by our own hand, overrides and all
        if isinstance(module, Pooling):
            module.pooling_mode = str(layout.pooling)
    made = [module for module in made if not isinstance(module, Normalize)]
    return [*made, Normalize()] if layout.normalize else made


def _check_module(folder: Path, layout: Layout, trusted: bool) -> None:
    pickled = (folder / _PICKLED).is_file() and not (folder / "model.safetensors").is_file()
    if pickled and layout.stored is not WeightsKind.PICKLE:
        raise UnsupportedModel(
            "a module's weights are pickled, and opening a pickle runs code", where=str(folder / _PICKLED),
            expected="weights in safetensors", found="a pickle that no lock names",
            mend='hardtack lock  # after setting weights = "pickle" in hardtack.toml',
        )  # fmt: skip
    file = folder / "config.json"
    act = optional(file, read_object(file), "activation_function", str, "torch.nn")
    if not (trusted or act.startswith("torch.")):
        raise UnsupportedModel(
            "a module's activation is code of its own, and it may not run", where=f"{file}: activation_function",
            expected="a class of torch.nn, or leave for the code", found=act, mend="HARDTACK_ALLOW_CODE=KEY …",
        )  # fmt: skip
