"""The bars as a terminal shows them: one for the whole, one for each large file under way, none left behind."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable

import pytest

from hardtack.cli.output import Row, Talk
from hardtack.cli.progress import LARGE, Bar

MOVE = re.compile(r"\x1b\[(\d+)A\x1b\[J")


class Terminal(io.StringIO):
    """A stderr that is one. To be put in place by the test itself: pytest sets its own again after every fixture."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        patch.delenv("CI", raising=False)
        patch.setenv("COLUMNS", "120")
        patch.setattr(sys, "stderr", self)

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """What it shows, of lines, and of "up so many, and erase"."""
        lines = [""]
        for part in re.split(r"(\x1b\[\d+A\x1b\[J)", self.getvalue()):
            if match := MOVE.fullmatch(part):
                lines = [*lines[: len(lines) - 1 - int(match[1])], ""]
            else:
                first, *rest = part.split("\n")
                lines[-1] += first
                lines += rest
        return lines[:-1]


@pytest.fixture
def ticking() -> Callable[[], float]:
    """A clock that is a second on at each look, so that everything is drawn."""
    seconds = iter(range(1, 1_000_000))
    return lambda: float(next(seconds))


def test_a_bar_for_the_whole_and_one_for_each_large_file(
    monkeypatch: pytest.MonkeyPatch, ticking: Callable[[], float]
) -> None:
    terminal = Terminal(monkeypatch)
    bar = Bar(Talk(quiet=False, clock=ticking))
    for name, size in (("a/weights", 3 * LARGE), ("b/weights", LARGE), ("config", 100)):
        bar.start(name, size)
    bar.advance("config", 100)
    bar.advance("a/weights", LARGE)
    bar.say("b is renamed")
    bar.advance("b/weights", LARGE // 2)
    said, whole, first, second = terminal.screen()
    assert said == "b is renamed"
    assert whole.endswith("15.0 MB of 40.0 MB")
    assert first.endswith("10.0 MB of 30.0 MB  a/weights")
    assert second.endswith("5.0 MB of 10.0 MB  b/weights")
    assert whole.count("█") == 11


def test_nothing_is_left_standing_and_a_new_phase_is_a_new_whole(
    monkeypatch: pytest.MonkeyPatch, ticking: Callable[[], float]
) -> None:
    terminal = Terminal(monkeypatch)
    talk = Talk(quiet=False, clock=ticking)
    bar = Bar(talk)
    bar.start("checking x", LARGE)
    bar.finish("checking x")
    bar.start("x", LARGE)
    bar.advance("x", LARGE // 4)
    talk.draw([])  # nothing pending: what is below is what a person sees last
    bar.advance("x", 0)
    assert [line.split("░ ")[-1] for line in terminal.screen()] == ["2.5 MB of 10.0 MB", "2.5 MB of 10.0 MB  x"]
    bar.finish("x")
    talk.say("done")
    talk.done()
    assert terminal.screen()[-1:] == ["done"]


def test_a_file_that_begins_again_goes_back(monkeypatch: pytest.MonkeyPatch, ticking: Callable[[], float]) -> None:
    terminal = Terminal(monkeypatch)
    bar = Bar(Talk(quiet=False, clock=ticking))
    bar.start("x", 4 * LARGE)
    bar.advance("x", 3 * LARGE)
    bar.advance("x", -2 * LARGE)
    assert terminal.screen()[-1].endswith("10.0 MB of 40.0 MB  x")


def test_two_works_of_one_name_do_no_harm(monkeypatch: pytest.MonkeyPatch, ticking: Callable[[], float]) -> None:
    terminal = Terminal(monkeypatch)
    bar = Bar(Talk(quiet=False, clock=ticking))
    for name in ("x", "x"):
        bar.start(name, LARGE)
    bar.finish("x")
    bar.start("y", 2 * LARGE)
    bar.advance("x", 5)
    bar.finish("x")
    assert terminal.screen() == ["░" * 30 + " 0 B of 20.0 MB"]


@pytest.mark.parametrize("width", [20, 40, 200])
def test_a_line_is_never_wider_than_the_terminal(width: int) -> None:
    row = Row(10, 10, "org/name@" + "1" * 40 + ": a/very/long/path/model-00001-of-00002.safetensors")
    assert len(row.text(width)) <= width
    assert width < 100 or row.text(width).endswith("model-00001-of-00002.safetensors")


@pytest.mark.parametrize(("quiet", "ci", "tty"), [(True, "", True), (False, "1", True), (False, "", False)])
def test_no_bar_where_nobody_sees_one(
    quiet: bool,
    ci: str,
    tty: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ticking: Callable[[], float],
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: tty, raising=False)
    bar = Bar(Talk(quiet=quiet, clock=ticking))
    bar.start("x", 2 * LARGE)
    bar.advance("x", LARGE)
    bar.say("a sentence")
    assert capsys.readouterr().err == ("" if quiet else "a sentence\n")
