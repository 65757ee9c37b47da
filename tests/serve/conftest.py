"""A pantry of tiny models, and one service over it, for all tests of the room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.serving import Serving
from tests.voyage import Voyage


@pytest.fixture(scope="session")
def pantry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedder (and a static one), a reranker and a classifier."""
    with Voyage(tmp_path_factory.mktemp("voyage")) as voyage:
        return voyage.baked()


@pytest.fixture(scope="session")
def served(pantry: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A service that asks for no key."""
    arguments = ("--log", "json", "--max-texts", "64", "--max-wait", "60")  # a busy machine takes its time
    with Serving(str(pantry), *arguments, cwd=tmp_path_factory.mktemp("served")) as service:
        yield service
