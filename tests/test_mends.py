"""What an error says will mend it must exist: every command of ours in the sources is a verb with these options."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hardtack.cli import VERBS, cli

SOURCES = Path(__file__).resolve().parents[1] / "src" / "hardtack"
PLACE = "\0"  # what a format string puts in at run time
# alone, after what a shell has before a command (`env -u NAME`, `docker run IMAGE`), and after another command
COMMAND = re.compile(r"(?:^|[ `])hardtack (?P<rest>[a-z\0][^#&;|`]*)")


def literal(node: ast.expr) -> str | None:
    """The text of a string, with ``PLACE`` for each value that is put in; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else PLACE for part in node.values)
    return None


def strings(node: ast.AST) -> Iterator[str]:
    """Every string below a node; the parts of a format string only as a whole."""
    text = literal(node) if isinstance(node, ast.expr) else None
    if text is not None:
        yield text
        return
    for child in ast.iter_child_nodes(node):
        yield from strings(child)


def mends(tree: ast.Module) -> Iterator[str]:
    """What is given for ``mend=``, what constants are called ``…MEND…``, and what :class:`Finding` is told last."""
    for node in ast.walk(tree):
        given = isinstance(node, ast.keyword) and node.arg == "mend"
        called = isinstance(node, ast.Assign) and "MEND" in ast.unparse(node.targets[0])
        if isinstance(node, ast.keyword | ast.Assign) and (given or called):
            yield from strings(node.value)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Finding":
            yield from (text for argument in node.args[3:] for text in strings(argument))


def commands() -> Iterator[tuple[str, str]]:
    for path in sorted(SOURCES.rglob("*.py")):
        for text in mends(ast.parse(path.read_text(encoding="utf-8"))):
            for match in COMMAND.finditer(text):
                yield path.relative_to(SOURCES).as_posix(), match["rest"].strip()


EVERY = sorted(set(commands()))


def test_there_are_some() -> None:
    assert len(EVERY) > 50


@pytest.mark.parametrize(("where", "rest"), EVERY)
def test_a_mend_is_a_command_that_exists(where: str, rest: str) -> None:
    words = shlex.split(rest.replace("…", " "))
    if words[0] == PLACE:
        return  # the verb that was typed
    assert words[0] in VERBS, f"{where}: hardtack {rest}"
    context = click.Context(cli, info_name="hardtack")
    command = cli.get_command(context, words[0])
    while isinstance(command, click.Group) and len(words) > 1 and words[1] in command.commands:
        command, words = command.commands[words[1]], words[1:]
    assert command is not None
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    asked = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} - {"--help"}
    assert asked <= options, f"{where}: hardtack {rest}: no {', '.join(sorted(asked - options))}"
