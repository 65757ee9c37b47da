"""Running Python programs under guard and beside it. Everything here asks the real kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import hardtack
from hardtack.offline.guard import Watched, can_guard, run_guarded

SOURCE = str(Path(hardtack.__file__).parents[1])

Program = Callable[[str], list[str]]


@dataclass(frozen=True)
class Run:
    """A guarded run and what it printed."""

    watched: Watched
    printed: str

    @property
    def counts(self) -> dict[str, int]:
        """Call → how often, whoever made it."""
        counts: dict[str, int] = {}
        for attempt in self.watched.attempts:
            counts[attempt.what] = counts.get(attempt.what, 0) + attempt.count
        return counts


@pytest.fixture(scope="session")
def _able() -> None:
    guarding = can_guard()
    if not guarding.able:
        pytest.skip(f"{guarding.kernel}: {guarding.why_not}")


@pytest.fixture
def program() -> Program:
    """Python source as a command."""
    return lambda source: [sys.executable, "-c", textwrap.dedent(source)]


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment in which a child finds this very hardtack."""
    return {**os.environ, "PYTHONPATH": SOURCE, "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def guarded(_able: None, tmp_path: Path, program: Program, environment: dict[str, str]) -> Callable[..., Run]:
    """Run Python source (or a command) under guard."""

    def run(source: str | list[str], **options: Any) -> Run:
        command = program(source) if isinstance(source, str) else source
        path = tmp_path / "printed"
        with path.open("w") as file:
            watched = run_guarded(command, **{"stdout": file, "stderr": file, "env": environment, **options})
        return Run(watched, path.read_text())

    return run


@pytest.fixture
def beside(program: Program, environment: dict[str, str]) -> Callable[[str], str]:
    """Run Python source in a process of its own, unguarded; gives what it printed, and fails if it fails."""

    def run(source: str) -> str:
        result = subprocess.run(program(source), env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    return run
