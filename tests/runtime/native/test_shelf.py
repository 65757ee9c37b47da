"""What can be told of the engine without importing it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardtack.runtime.instructions import Instructions
from hardtack.runtime.native import shelf


@pytest.mark.parametrize(
    ("library", "flags", "lack"),
    [
        (True, {"amx_bf16"}, None),
        (True, {"avx512f"}, "the CPU has no AMX"),
        (False, {"amx_bf16"}, "its library is not installed"),
    ],
)
def test_what_is_missing(
    library: bool, flags: set[str], lack: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "library.so"
    if library:
        file.touch()
    monkeypatch.setattr(shelf, "LIBRARY", file)
    monkeypatch.setattr(shelf, "read_instructions", lambda: Instructions(flags=frozenset(flags)))
    assert shelf.missing() == lack
