"""What the pages tell a reader to type must be there to be typed: every verb of theirs, with these options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from hardtack.cli import VERBS, cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(path for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")) if path.name != "cli.md")
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMANDS = [
    (page.name, line[line.index("hardtack ") :])
    for page in PAGES
    for block in BLOCK.findall(page.read_text(encoding="utf-8"))
    for part in block.splitlines()
    for line in part.split("| ")
    if re.match(r"(ssh \w+ )?hardtack ", line)
]
ANCHOR = re.compile(r"\[[^]]*\]\(([\w./-]*)(?:#([\w-]+))?\)")


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_command_on_a_page_can_be_typed(page: str, line: str) -> None:
    _, verb, *arguments = shlex.split(line, comments=True)
    assert verb in VERBS
    context = click.Context(cli, info_name="hardtack")
    command = cli.get_command(context, verb)
    while isinstance(command, click.Group) and arguments and arguments[0] in command.commands:
        command = command.commands[arguments.pop(0)]
    assert command is not None
    inner = click.Context(command, info_name=verb, parent=context)
    inner.allow_interspersed_args = command.allow_interspersed_args
    command.make_parser(inner).parse_args(arguments)  # raises NoSuchOption


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_on_a_page_leads_somewhere(page: Path) -> None:
    for target, anchor in ANCHOR.findall(page.read_text(encoding="utf-8")):
        path = page.parent / target if target else page
        assert path.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w-]", "", title.lower().replace(" ", "-")) for title in titles}


def test_every_verb_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [verb for verb in VERBS if f"`{verb}`" not in text] == []


def test_a_test_that_a_page_names_is_there() -> None:
    """The tables of faults name the tests that show them; a test that was renamed must not leave its row behind."""
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for page in PAGES:
        for name in re.findall(r"`(test_\w+|Test\w+)`", page.read_text(encoding="utf-8")):
            assert re.search(rf"\b(?:def|class) {name}\b", sources), f"{page.name}: {name}"
