"""One architecture a file, drawn as an OpenVINO graph straight from its config and its safetensors.

A family knows names of tensors and how they are multiplied; it reads no file and runs nothing. Which family a model
belongs to is a table: a new one is a module with a ``draw`` function and a row here. Importing this package does not
import openvino.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

from hardtack.runtime.layout import Layout
from hardtack.runtime.weights import Weights

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "bert": "bert",
        "camembert": "roberta",
        "distilbert": "distilbert",
        "llama": "llama",
        "llama_bidirec": "llama",
        "model2vec": "static",
        "mpnet": "mpnet",
        "roberta": "roberta",
        "t5": "t5",
        "xlm-roberta": "roberta",
    }
)
"""``model_type`` of a ``config.json`` → the module here that draws it."""

TOKENS = "token_vectors"
"""The name of the node where the pooling of an embedder's graph begins, by which it is found again, in a build too."""


def draw(layout: Layout, weights: Weights) -> Any:
    """Draw a model's graph, with the inputs and the output that :mod:`hardtack.runtime.engines.interface` tables.

    The graph's constants are views of ``weights``: keep those alive until the graph is compiled and done with.

    Args:
        layout: what the model is; ``layout.family`` names the module that draws it.
        weights: the numbers.

    Returns:
        An ``openvino.Model``. Its first output is the answer. Further outputs are there for their precision only
        (see :mod:`hardtack.runtime.families.precise`) and nobody reads them.

    Raises:
        UnsupportedModel: the config asks for something the family does not draw, or a tensor is not there or has
            another shape than the config says.
    """
    family = import_module(f"{__name__}.{layout.family}")
    from hardtack.runtime.families.pieces import one_graph

    with one_graph():
        return family.draw(layout, weights)
