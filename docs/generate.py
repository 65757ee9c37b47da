"""Writes the pages that say what the code says: cli.md from the verbs' ``--help``, arguments.md from its tables.

``python docs/generate.py`` writes; ``--check`` exits 1 where a file is not what would be written.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hardtack.cli import VERBS, cli
from hardtack.runtime import arguments

HERE = Path(__file__).parent


def command_line() -> str:
    """cli.md."""
    parts = ["# The command line", "", "Written by `make docs` from `hardtack VERB --help`; not to be edited."]
    for verb in VERBS:
        context = click.Context(cli, info_name="hardtack", terminal_width=100)
        command = cli.get_command(context, verb)
        assert command is not None, verb
        parts += _section(command, verb, "##")
    return "\n".join(parts) + "\n"


def _section(command: click.Command, name: str, level: str) -> list[str]:
    with click.Context(command, info_name=f"hardtack {name}", terminal_width=100) as context:
        text = command.get_help(context)
    parts = ["", f"{level} {name}", "", "```", *(line.rstrip() for line in text.splitlines()), "```"]
    if isinstance(command, click.Group):
        for inner, below in command.commands.items():
            parts += _section(below, f"{name} {inner}", f"{level}#")
    return parts


def arguments_page() -> str:
    """arguments.md."""
    functions = (
        ("SentenceTransformer.encode, encode_query, encode_document", arguments.ENCODE),
        ("CrossEncoder.predict", arguments.PREDICT),
        ("CrossEncoder.rank", arguments.RANK),
    )
    parts = [
        "# sentence-transformers' arguments", "",
        "Written by `make docs` from `hardtack.runtime.arguments`; a test holds the tables to the signatures of",
        "the installed library. *Supported*: means the same here. *Ignored*: taken, and of no effect. *Refused*: a",
        "`Misused` error, unless the value says what is so anyhow. An argument that is in no table is an error, too.",
    ]  # fmt: skip
    for name, table in functions:
        parts += ["", f"## {name}", "", "| argument | here | instead |", "|---|---|---|"]
        for argument, standing in table.items():
            instead = f"`{arguments.INSTEAD[argument]}`" if standing == "refused" else ""
            if argument in arguments.DEFAULTS:
                standing = f"{standing}, but for `{arguments.DEFAULTS[argument]!r}`"
            parts.append(f"| `{argument}` | {standing} | {instead} |")
    parts += [
        "", "Of our own: `progress=`, a function of how many are done and how many there are; and `text=` in `rank`,",
        "the key under which documents that are mappings keep their text.", "",
        "## SentenceTransformer(…), CrossEncoder(…)", "", "| argument | where hardtack is told |", "|---|---|",
    ]  # fmt: skip
    parts += [f"| `{argument}` | {where} |" for argument, where in arguments.CONSTRUCTORS.items()]
    return "\n".join(parts) + "\n"


PAGES = {"cli.md": command_line, "arguments.md": arguments_page}


def main() -> int:
    """Write the pages, or say whether they are right."""
    stale = 0
    for name, page in PAGES.items():
        file, text = HERE / name, page()
        if "--check" not in sys.argv:
            file.write_text(text, encoding="utf-8")
        elif not file.is_file() or file.read_text(encoding="utf-8") != text:
            print(f"{file} is not what the code says: make docs", file=sys.stderr)  # noqa: T201
            stale = 1
    return stale


if __name__ == "__main__":
    raise SystemExit(main())
