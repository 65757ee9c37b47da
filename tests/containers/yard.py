"""Where images are built: a project with all its scaffolds, and what the builds need to reach, on loopback."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.containers.tools import Engine
from tests.voyage import Voyage

# Run in a container: asks the service beside it, on its own loopback, and prints what it said.
ASK = """
import json, urllib.request
def ask(path, **body):
    request = urllib.request.Request("http://127.0.0.1:8080" + path, json.dumps(body).encode())
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)
print(json.dumps({
    "embed": ask("/v1/embeddings", model="emb", input="a light turns on"),
    "rerank": ask("/v2/rerank", model="rerank", query="light", documents=["a light turns on", "rain"]),
    "classify": ask("/v1/classify", input="a light turns on"),
}))
"""
SELF = """
import json, os, pathlib, socket
def can(what):
    try:
        what()
        return True
    except OSError:
        return False
print(json.dumps({
    "user": os.getuid(), "writes": [p for p in ("/", "/models", "/opt") if can(pathlib.Path(p, "x").touch)],
    "leaves": can(lambda: socket.create_connection(("192.0.2.1", 80), 1)),
}))
"""


class Yard(Voyage):
    """A voyage whose scaffolds are written for a base image and a package index of our own.

    Args:
        root: a new folder.
        wheels: the address of the index.
        base: the base image.
        project: a manifest and what its Hub serves; default: the tiny models.
    """

    def __init__(self, root: Path, wheels: str, base: str, *project: Any) -> None:
        super().__init__(root, *project)
        self.wheels, self.base = wheels, base

    def __enter__(self) -> Yard:
        super().__enter__()
        for arguments in (["lock"], *(["scaffold", kind, "--base", self.base] for kind in ("docker", "compose"))):
            done = self.run(*arguments)
            assert done.returncode == 0, done.stderr
        return self

    @property
    def arguments(self) -> list[str]:
        """Build arguments: this index and this Hub in place of those of the world."""
        named = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": self.wheels, "HF_ENDPOINT": self.hub.url}
        return [part for name, value in named.items() for part in ("--build-arg", f"{name}={value}")]

    def build(self, engine: Engine, tag: str, *more: str) -> str:
        """Build an image of the project, unless this engine has it; its tag."""
        if not engine.has(tag):
            engine.build(self.folder, tag, *self.arguments, *more)
        return tag

    def fetched(self) -> int:
        """How often a file was asked for since the Hub last forgot."""
        return self.hub.count("GET", "*/resolve/*")


def in_container(engine: Engine, container: str, program: str) -> Any:
    """What a Python program prints as JSON in a container."""
    return json.loads(engine("exec", container, "python", "-c", program))


def until_ready(engine: Engine, container: str, seconds: float = 60) -> None:
    """Wait until a service in a container answers its own health check, as an orchestrator would."""
    until = time.monotonic() + seconds
    probe = "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/ready', timeout=4)"
    while True:
        done = subprocess.run([engine.name, "exec", container, "python", "-c", probe], env=engine.env,
                              capture_output=True, text=True, check=False)  # fmt: skip
        if done.returncode == 0:
            return
        assert time.monotonic() < until, engine("logs", container) + done.stderr
        time.sleep(0.2)


def assert_answers(said: Any) -> None:
    """One answer of each task."""
    assert len(said["embed"]["data"][0]["embedding"]) > 1
    assert sorted(row["index"] for row in said["rerank"]["results"]) == [0, 1]
    assert "category" in json.dumps(said["classify"])
