"""A whole project for tests: three tiny models on a Hub of their own, a manifest, a store; taken as far as a test asks.

with Voyage(tmp_path) as voyage:
    voyage.project.lock(); voyage.project.pull(); voyage.project.bake(voyage.pantry)
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from hardtack.mirror import Served
from hardtack.places import Store
from hardtack.project import Project
from hardtack.spec.words import Task
from hardtack.supply.hub import Hub
from tests.hub import FixtureHub
from tests.models import make_bert, make_static, make_t5

MANIFEST = """\
# what the tests ship
[models.emb]
task = "embed"
repo = "tiny/bert"

[models.static]
task = "embed"
repo = "./static"

[models.rerank]
task = "rerank"
repo = "tiny/ranker"

[models.classify]
task = "classify"
repo = "tiny/t5"
[models.classify.labels.category]
values = ["energy", "comfort", "security"]
prompt = "classify this pattern : {text} category :"
[models.classify.labels.priority]
values = ["high", "medium", "low"]
prompt = "priority : {text} , {category}"

[models.llm]
task = "external"
note = "another service manages it"
"""


class Voyage:
    """The project, its Hub while this is a context, and the command line run in it.

    Args:
        root: a folder for all of it.
        manifest: another one than of the tiny models.
        served: what the Hub has then: repository → directory.
    """

    def __init__(self, root: Path, manifest: str = MANIFEST, served: Mapping[str, Path] | None = None) -> None:
        self.root = root
        self.folder = root / "project"
        self.pantry = root / "pantry"
        self.folder.mkdir()
        self.manifest = self.folder / "hardtack.toml"
        self.manifest.write_text(manifest)
        make_static(self.folder / "static")
        self.served = served or {
            "tiny/bert": make_bert(root / "bert"),
            "tiny/ranker": make_bert(root / "ranker", Task.RERANK, id2label={"0": "LABEL_0"}),
            "tiny/t5": make_t5(root / "t5"),
        }
        self.hub = FixtureHub(*(Served(repo, directory) for repo, directory in self.served.items()))
        self.store = Store(root / "hf" / "hub", root / "hf" / "hardtack")

    def __enter__(self) -> Self:
        self.hub.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hub.__exit__(kind, error, trace)

    @property
    def project(self) -> Project:
        """The project, with the Hub as it listens now."""
        return Project(self.manifest, self.folder / "hardtack.lock", self.store, Hub(self.hub.url))

    def baked(self) -> Path:
        """Lock, pull and bake; the pantry."""
        self.project.lock()
        self.project.pull()
        self.project.bake(self.pantry)
        return self.pantry

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a process that sees this project's store and Hub and nothing of ours."""
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
        home = self.root / "home"
        home.mkdir(exist_ok=True)
        return kept | {"HOME": str(home), "HF_HOME": str(self.root / "hf"), "HF_ENDPOINT": self.hub.url} | more

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """``hardtack ARGUMENTS`` in the project's folder, in a process of its own."""
        command = [sys.executable, "-W", "error", "-m", "hardtack", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment(**more), capture_output=True, text=True, timeout=120
        )
