"""What a service adds to a slim base image: hardtack, its OpenVINO cut, beside sentence-transformers on CPU torch.

Two environments are made anew from the package index and weighed, bytecode included; each with MiniLM's bytes, the
slim pantry's beside the whole repository's chosen files. Needs HARDTACK_REAL and 3 GB of disk.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.hub import FixtureHub

from benchmarks.measure import target
from hardtack.bake.pantry import bake
from hardtack.bake.stock import Origins, Shape
from hardtack.mirror import Served
from hardtack.places import Store
from hardtack.project import Project
from hardtack.supply.hub import Hub

REPO = "sentence-transformers/all-MiniLM-L6-v2"


def main() -> None:
    """Print the figures."""
    real = os.environ.get("HARDTACK_REAL")
    if not real:
        print("SKIP: no HARDTACK_REAL")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _environment(folder / "ours", f"{Path(__file__).parents[1]}[serve]")
        subprocess.run([folder / "ours/bin/python", "-m", "hardtack.bake.cpu_only", folder / "ours"], check=True)
        ours = _weight(folder / "ours")
        # torch first and by itself: any other order pulls gigabytes of CUDA packages
        theirs = _environment(folder / "theirs", "torch==2.13.0", "sentence-transformers>=6", "uvicorn")
        whole, slim = _models(folder, Path(real))
    print(f"  {'hardtack, cut, and slim MiniLM':<40} {(ours + slim) / 1e6:8.0f} MB")
    print(f"  {'sentence-transformers and MiniLM':<40} {(theirs + whole) / 1e6:8.0f} MB")
    target("what hardtack and MiniLM add", (ours + slim) / 1e6, 350, unit="MB", at_least=False)


def _environment(place: Path, *packages: str) -> int:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    for package in packages:
        pip = [sys.executable, "-m", "pip", "--python", place / "bin/python", "install", "-qq", "--no-cache-dir"]
        subprocess.run([*pip, package], check=True)
    return _weight(place)


def _weight(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _models(folder: Path, real: Path) -> tuple[int, int]:
    """Bytes of the whole pantry and of the slim one."""
    subprocess.run([real / "fetch-minilm", folder / "minilm"], check=True, capture_output=True)
    (folder / "hardtack.toml").write_text(f'[models.emb]\ntask = "embed"\nrepo = "{REPO}"\n')
    store = Store(folder / "hub", folder / "own")
    with FixtureHub(Served(REPO, folder / "minilm")) as hub:
        project = Project(folder / "hardtack.toml", folder / "hardtack.lock", store, Hub(hub.url))
        lock = project.lock()
        project.pull()
    origins: Origins = project.origins(lock)
    whole = bake(lock, origins, folder / "whole")
    slim = bake(lock, origins, folder / "slim", shape=Shape(slim=True))
    return whole.bytes, slim.bytes
