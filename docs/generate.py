"""Writes docs/cli.md from the verbs' own ``--help``, so that help and docs cannot drift apart.

``python docs/generate.py`` writes; ``--check`` exits 1 where the file is not what would be written.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hardtack.cli import VERBS, cli

PAGE = Path(__file__).with_name("cli.md")


def page() -> str:
    """The page, whole."""
    parts = ["# The command line", "", "Written by `make docs` from `hardtack VERB --help`; not to be edited."]
    for verb in VERBS:
        context = click.Context(cli, info_name="hardtack", terminal_width=100)
        command = cli.get_command(context, verb)
        assert command is not None, verb
        with click.Context(command, info_name=f"hardtack {verb}", terminal_width=100) as inner:
            text = command.get_help(inner)
        parts += ["", f"## {verb}", "", "```", *(line.rstrip() for line in text.splitlines()), "```"]
    return "\n".join(parts) + "\n"


def main() -> int:
    """Write the page, or say whether it is right."""
    text = page()
    if "--check" in sys.argv:
        if PAGE.read_text(encoding="utf-8") != text:
            print(f"{PAGE} is not what the verbs say: make docs", file=sys.stderr)  # noqa: T201
            return 1
        return 0
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
