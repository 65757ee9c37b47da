"""Three small models of our own, carried in the package: enough to see hardtack work where no Hub is.

Names them and says where they lie; loads nothing. They are ordinary model directories in the Hub's layout, made by the
scripts in ``starter/`` of the source tree. What each scores and what it is not for stands in its ``README.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hardtack.spec.words import Task

NAMESPACE = "hardtack.invalid"
"""The namespace of the starters' repository ids, which nobody can register.

Clients take dots in a namespace (``huggingface_hub.utils.validate_repo_id``); the Hub gives its users and
organisations letters, digits and single dashes only. ``.invalid`` is reserved by RFC 2606, in case that ever changes.
"""

_MODELS = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Labels:
    """A group of labels to choose one of, as ``[models.KEY.labels.NAME]`` in the manifest.

    Attributes:
        name: of the group; a later group's prompt may name it in braces.
        values: the labels.
        prompt: what the classifier is asked, ``{text}`` standing for the text.
    """

    name: str
    values: tuple[str, ...]
    prompt: str


@dataclass(frozen=True)
class Starter:
    """One starter model.

    Attributes:
        key: what the demonstration calls it in its manifest.
        task: embed, rerank or classify.
        repo: its made-up repository id.
        directory: where it lies, to be read and never written.
        labels: groups that suit it, in the order they run; empty unless it is a classifier.
    """

    key: str
    task: Task
    repo: str
    directory: Path
    labels: tuple[Labels, ...] = ()


STARTERS: tuple[Starter, ...] = (
    Starter("emb", Task.EMBED, f"{NAMESPACE}/starter-embedder", _MODELS / "embedder"),
    Starter("rerank", Task.RERANK, f"{NAMESPACE}/starter-reranker", _MODELS / "reranker"),
    Starter(
        "classify",
        Task.CLASSIFY,
        f"{NAMESPACE}/starter-classifier",
        _MODELS / "classifier",
        (
            Labels(
                "category",
                ("energy", "comfort", "security", "convenience"),
                "Classify this smart home pattern into one category. Pattern: {text} Category:",
            ),
            Labels(
                "priority",
                ("high", "medium", "low"),
                "Rate the priority of this pattern. Pattern: {text} Category: {category} Priority:",
            ),
        ),
    ),
)
"""All three, in the order of the demonstration."""
