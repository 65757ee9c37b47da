"""Models in a ``.env``: ``EMBED_REPO``, ``EMBED_COMMIT`` and their kin, as Dockerfiles take them for ``ARG``.

The form is the part that docker, compose and shells agree on: ``NAME=VALUE`` a line, ``#`` comments, optional quotes
and ``export``; nothing is expanded. Text in, text out; whatever else a file holds stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from hardtack.errors import ManifestError, Misused
from hardtack.spec.lock import Lock, LockedModel
from hardtack.spec.words import Task

USUAL_KEYS = {Task.EMBED: "emb", Task.RERANK: "rerank", Task.CLASSIFY: "classify"}
"""The key of a task's one model, in a ``.env`` and where ``add`` is told none."""
_LINE = re.compile(r"(?:export[ \t]+)?(?P<name>[A-Za-z_]\w*)[ \t]*=[ \t]*(?P<value>.*)", re.ASCII)
_QUOTED = re.compile(r"(?P<quote>['\"])(?P<text>.*?)(?P=quote)[ \t]*(?:#.*)?\Z")
_COMMENT = re.compile(r"(?:^|[ \t]+)#.*\Z")


def parse_env(text: str, name: str = ".env") -> dict[str, str]:
    """The variables of a ``.env``; the last word of a name counts.

    Raises:
        ManifestError: a line is none of a variable, a comment, and nothing.
    """
    values = {}
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ManifestError(
                "a line of the environment file is none", where=f"{name}:{number}", expected="NAME=VALUE",
                found=line[:60], mend=f"${{EDITOR:-vi}} {name}",
            )  # fmt: skip
        quoted = _QUOTED.fullmatch(match["value"])
        values[match["name"]] = quoted["text"] if quoted else _COMMENT.sub("", match["value"])
    return values


def lock_values(lock: Lock) -> dict[str, str]:
    """``EMBED_REPO``, ``EMBED_COMMIT``, ``RERANK_…``, ``CLASSIFY_…`` of a lock's models of the Hub.

    Raises:
        Misused: several models have one task, and none of them has that task's usual key.
    """
    values = {}
    for task, key in USUAL_KEYS.items():
        if (model := _model_of(lock, task, key)) is not None:
            values[f"{task.value.upper()}_REPO"] = model.repo
            values[f"{task.value.upper()}_COMMIT"] = model.commit
    return values


def updated_env(text: str, values: Mapping[str, str]) -> str:
    """A ``.env`` in which these variables have these values: in their old lines, else at the end."""
    end = "\r\n" if "\r\n" in text else "\n"
    lines, left = [], dict(values)
    for line in text.removesuffix("\n").replace("\r\n", "\n").split("\n") if text else ():
        match = _LINE.fullmatch(line.strip())
        name = match["name"] if match else ""
        if name not in values:
            lines.append(line)
        elif name in left:
            export = "export " if line.lstrip().startswith("export") else ""
            lines.append(f"{export}{name}={left.pop(name)}")
    return "".join(f"{line}{end}" for line in (*lines, *(f"{name}={value}" for name, value in left.items())))


def _model_of(lock: Lock, task: Task, key: str) -> LockedModel | None:
    models = [model for model in lock.models if model.task is task and model.source == "hub"]
    if len(models) < 2:
        return models[0] if models else None
    for model in models:
        if model.key == key:
            return model
    raise Misused(
        f"an environment file has room for one model of task {task.value}", where=lock.name,
        expected=f"one, or one that is called {key!r}", found=", ".join(model.key for model in models),
        mend=f"hardtack add {models[0].repo} --task {task.value} --as {key}",
    )  # fmt: skip
