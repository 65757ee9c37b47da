"""The keys that manifest and lock have in common, read by one hand so that what one takes the other does."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hardtack.spec.lock import LOCK_NAME, LabelGroup, Overrides
from hardtack.spec.names import UnsafeName, safe_path
from hardtack.spec.toml_reader import Table
from hardtack.spec.words import Pooling, Similarity

_GROUP = re.compile(r"[^\W\d][\w-]*\Z")
_FIELD = re.compile(r"\{([^\W\d][\w-]*)\}")


def read_overrides(table: Table) -> Overrides:
    """Read the keys that set something against the model's own files."""
    length = table.integer("max-length")
    if length is not None and length < 1:
        raise table.fail("max-length", "`max-length` is no length", expected="1 or more", found=length)
    return Overrides(
        max_length=length,
        prompts=table.text_table("prompts"),
        pooling=table.choice("pooling", Pooling) if table.has("pooling") else None,
        normalize=table.flag("normalize"),
        similarity=table.choice("similarity", Similarity) if table.has("similarity") else None,
    )


def read_label_group(table: Table, name: str, earlier: Iterable[LabelGroup]) -> LabelGroup:
    """Read ``values`` and ``prompt`` of one group of labels; ``earlier`` are the groups its prompt may name."""
    known = ["text", *(group.name for group in earlier)]
    if name in known:
        raise table.fail(None, f"a group of labels cannot be called {name!r} here", expected="a name that is not taken",
                         found=name)  # fmt: skip
    if not _GROUP.match(name):
        raise table.fail(None, "a prompt could not name this group of labels", found=name,
                         expected="a letter or '_', then letters, digits, '_' and '-'")  # fmt: skip
    values = table.texts("values") or ()
    if len(values) < 2 or len(set(values)) != len(values) or not all(value.strip() for value in values):
        raise table.fail("values", "a group needs labels to choose from", expected="two or more, all different",
                         found=list(values))  # fmt: skip
    prompt = table.text("prompt")
    if "{text}" not in prompt:
        raise table.fail("prompt", "the prompt has no place for the text", expected="{text} in it", found=prompt)
    for wanted in _FIELD.findall(prompt):
        if wanted not in known:
            raise table.fail("prompt", f"the prompt asks for {{{wanted}}}, which no earlier group answers",
                             expected=", ".join(f"{{{name}}}" for name in known), found=prompt)  # fmt: skip
    table.finish()
    return LabelGroup(name, values, prompt)


def check_pantry_path(table: Table, path: str) -> None:
    """Refuse a ``path`` that could leave the root a pantry is laid under, or lie on the pantry's lock."""
    try:
        safe_path(path.removeprefix("/"))
    except UnsafeName as why:
        raise table.fail("path", f"`path` is not safe: {why}", expected="a plain path without `..`",
                         found=path) from None  # fmt: skip
    if path.removeprefix("/").split("/", 1)[0].casefold() == LOCK_NAME:
        raise table.fail("path", "`path` would lie where a pantry's lock does", expected="another folder", found=path)
