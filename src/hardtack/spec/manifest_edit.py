"""Adding and removing entries of ``hardtack.toml`` without touching the rest: comments, order and spacing stay.

It edits text by whole lines and returns text; writing it down is the caller's.
"""

from __future__ import annotations

import shlex

from hardtack.errors import ManifestError
from hardtack.spec.manifest import Manifest, parse_manifest
from hardtack.spec.toml_lines import Start, find_lines
from hardtack.spec.toml_write import toml_name, toml_value

NEW_MANIFEST = """\
# What this project's models are. `hardtack lock` finds out what that is to the byte.

[models]
"""

# What the names of embedders have in common, where a card says nothing.


def add_model(text: str, key: str, values: dict[str, object], name: str = "hardtack.toml") -> str:
    """The manifest with a new ``[models.KEY]`` at its end.

    Raises:
        ManifestError: the manifest cannot be understood, has that key already, or would not be understood afterwards.
    """
    before = parse_manifest(text, name)
    if any(model.key == key for model in before.models):
        raise ManifestError(
            f"the manifest has a model {key!r} already", where=name, expected="a new key", found=key,
            mend=f"hardtack add REPO --as {key}-2",
        )  # fmt: skip
    _starts(text, before)
    end = "\r\n" if "\r\n" in text else "\n"
    gap = [] if not text else [""] if text.endswith("\n") else ["", ""]
    rows = [f"{toml_name(field)} = {toml_value(value)}" for field, value in values.items()]
    after = text + end.join([*gap, f"[models.{toml_name(key)}]", *rows, ""])
    parse_manifest(after, name)
    return after


def remove_model(text: str, key: str, name: str = "hardtack.toml") -> str:
    """The manifest without ``[models.KEY]``, its sub-tables, and the comment right above it.

    Raises:
        ManifestError: the manifest cannot be understood, or has no such key.
    """
    before = parse_manifest(text, name)
    if not any(model.key == key for model in before.models):
        raise ManifestError(
            f"the manifest has no model {key!r}", where=name,
            expected=", ".join(model.key for model in before.models) or "a model", found=key, mend="hardtack list",
        )  # fmt: skip
    lines = text.split("\n")
    starts = _starts(text, before)
    begins = [*(_comment_above(lines, start) for start in starts), len(lines)]
    kept = lines[: begins[0]]
    for number, start in enumerate(starts):
        end = begins[number + 1]
        kept += _comments_below(lines, start.line, end) if _is_of(start, key) else lines[begins[number] : end]
    after = "\n".join(kept)
    if _is_of(starts[-1], key) and after:
        after = after.rstrip("\r\n") + ("\r\n" if "\r\n" in text else "\n")
    parse_manifest(after, name)
    return after


def _starts(text: str, manifest: Manifest) -> list[Start]:
    _, starts = find_lines(text)
    for start in starts:
        if start.place == ("models",) and not start.is_header:
            raise ManifestError(
                "`models` is one inline table, which is not edited here", where=f"{manifest.name}:{start.line}",
                expected="a table [models.KEY] for each model", found="models = { … }",
                mend=f"${{EDITOR:-vi}} {shlex.quote(manifest.name)}",
            )  # fmt: skip
    return starts


def _is_of(start: Start, key: str) -> bool:
    return start.place[:2] == ("models", key)


def _comment_above(lines: list[str], start: Start) -> int:
    """The index of the line a statement begins on; a comment right above a header is a part of it."""
    index = start.line - 1
    while start.is_header and index > 0 and lines[index - 1].lstrip().startswith("#"):
        index -= 1
    return index if index > 0 else start.line - 1  # at the head of a file it is about the file


def _comments_below(lines: list[str], first: int, end: int) -> list[str]:
    """What stays of the lines below a statement that goes: the comments just before the next one."""
    index = end
    while index > first and (not lines[index - 1].strip() or lines[index - 1].lstrip().startswith("#")):
        index -= 1
    while index < end and not lines[index].strip():
        index += 1
    return lines[index:end]
