from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hardtack.errors import Mismatch
from hardtack.runtime.checking import Files
from hardtack.runtime.weights import mapping_of
from hardtack.settings import Verify
from hardtack.spec.digest import hash_file
from hardtack.spec.lock import LockedFile

SIZE = 40 << 20


def resident(path: Path) -> int:
    """Bytes of a mapped file that this process holds in memory now."""
    text = Path("/proc/self/smaps").read_text()
    return sum(int(kb) for kb in re.findall(rf"{re.escape(str(path))}\n(?:.*\n)*?Rss:\s+(\d+) kB", text)) * 1024


def test_hashing_a_mapping_holds_none_of_it(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    numbers = np.memmap(path, dtype=np.uint8, mode="r")
    assert int(numbers.max()) == 255
    assert resident(path) > SIZE // 2
    mapping = mapping_of(numbers)
    assert mapping is not None
    locked = LockedFile("weights", SIZE, hash_file(path).sha256)
    with Files(tmp_path, [locked], Verify.FULL, "") as files:
        files.look()
        files.start({"weights": mapping})
        files.finish()
    assert resident(path) < SIZE // 20
    assert bytes(numbers[:3]) == b"\0\1\2"  # and it comes back


def test_a_wrong_byte_far_into_a_mapping_is_found(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"\0" * SIZE)
    locked = LockedFile("weights", SIZE, hash_file(path).sha256)
    with path.open("r+b") as file:
        file.seek(SIZE - 1)
        file.write(b"\1")
    mapping = mapping_of(np.memmap(path, dtype=np.uint8, mode="r"))
    assert mapping is not None
    with Files(tmp_path, [locked], Verify.FULL, "") as files:
        files.look()
        files.start({"weights": mapping})
        with pytest.raises(Mismatch):
            files.finish()


def test_what_is_in_memory_has_no_mapping() -> None:
    assert mapping_of(np.zeros(3)) is None
