"""A small sentence-transformers repository with weights in LFS, a Hub that serves it, and a store to pull it into."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hardtack.mirror import Served
from hardtack.places import Store
from hardtack.spec.lock import Lock, LockedModel
from hardtack.spec.manifest import WantedModel
from hardtack.spec.words import Task
from hardtack.supply.hub import Hub
from hardtack.supply.patience import Patience
from hardtack.supply.resolve import resolve
from tests.hub import FixtureHub, lay_out

REPO = "org/tiny"
WEIGHTS = random.Random(7).randbytes(3_000_000)  # larger than every buffer on the way
FILES: dict[str, str | bytes] = {
    "README.md": "---\nlicense: apache-2.0\n---\n# tiny\n",
    "config.json": json.dumps({"model_type": "bert", "architectures": ["BertModel"]}),
    "modules.json": json.dumps([{"idx": 0, "path": ""}, {"idx": 1, "path": "1_Pooling"}]),
    "1_Pooling/config.json": json.dumps({"pooling_mode_mean_tokens": True}),
    "tokenizer.json": "{}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"\x80\x02 the same weights once more",
}
CHOSEN = ("1_Pooling/config.json", "config.json", "model.safetensors", "modules.json", "tokenizer.json")


@dataclass
class Clock:
    """A clock that does not wait: what was slept is written down."""

    slept: list[float] = field(default_factory=list)

    def patience(self, attempts: int = 4) -> Patience:
        return Patience(attempts=attempts, base=1.0, sleep=self.slept.append, now=lambda: 1_000_000.0)


@dataclass
class Heard:
    """A progress that remembers."""

    said: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)

    def start(self, name: str, size: int) -> None:
        self.done.setdefault(name, 0)

    def advance(self, name: str, count: int) -> None:
        self.done[name] = self.done.get(name, 0) + count

    def finish(self, name: str) -> None:
        pass

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return lay_out(tmp_path / "served", FILES)


@pytest.fixture
def fixture_hub(folder: Path) -> Iterator[FixtureHub]:
    with FixtureHub(Served(REPO, folder)) as hub:
        yield hub


@pytest.fixture
def hub(fixture_hub: FixtureHub, clock: Clock) -> Hub:
    return Hub(fixture_hub.url, timeout=5, patience=clock.patience())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "hf" / "hub", tmp_path / "hf" / "hardtack")


WANTED = WantedModel("emb", Task.EMBED, REPO)


@pytest.fixture
def locked(hub: Hub, fixture_hub: FixtureHub, tmp_path: Path) -> LockedModel:
    """The model as it is locked, by way of a store that is not the test's."""
    model = resolve(WANTED, hub, Store(tmp_path / "elsewhere" / "hub", tmp_path / "elsewhere" / "own"))
    fixture_hub.forget()
    return model


@pytest.fixture
def lock(locked: LockedModel) -> Lock:
    return Lock("sha256:" + "0" * 64, (locked,))


def everything(root: Path) -> dict[str, tuple[int, int, int]]:
    """Inode, size and time of change of all that is beneath a folder: equal only if nothing was written."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        found[str(path)] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found
