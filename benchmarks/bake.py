"""Baking 1 GiB, beside a copy that is hashed and beside `docker build`; both ends synced, and to the same end.

On the disk: a pantry and an OCI layout beside `cp`, `sha256sum` and `sync`. In the engine: an image that is baked and
loaded beside `docker build` with one COPY, and what docker takes for the loading alone; podman reads the layout itself.
In the registry: baked and pushed beside built and pushed. Every run has weights that nobody saw before. Needs 12 GB of
disk; all but the first needs root, dockerd and docker-registry.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.containers import tools

from benchmarks.measure import BRIEF, alternate, seconds_of, target

SIZE = 1 << 26 if BRIEF else 1 << 30
ROUNDS = 5


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("HARDTACK_CONTAINERS")) as name:
        bench = _Bench(Path(name))
        disk = alternate(
            {
                "cp, sha256sum, sync": lambda: bench.timed(bench.copy),
                "bake": lambda: bench.timed(bench.pantry),
                "bake --oci": lambda: bench.timed(bench.image),
            },
            ROUNDS,
        )
        _print(disk)
        if os.geteuid() == 0 and shutil.which("dockerd") and shutil.which("docker-registry"):
            with _docker(bench.folder) as (docker, host):
                images = alternate(
                    {
                        "docker build": lambda: bench.timed(lambda: bench.build(docker)),
                        "bake --oci, docker load": lambda: bench.timed(lambda: bench.load(docker)),
                        "docker load by itself": lambda: bench.loading(docker),
                        "docker build, push": lambda: bench.timed(lambda: bench.build_and_push(docker, host)),
                        "bake --oci --push": lambda: bench.timed(lambda: bench.push(host)),
                    },
                    ROUNDS,
                )
            _print(images)
            build, load, _, build_push, push = images.values()
            # a target that no way of baking can reach where the engine's own loading takes as long as its building
            target("loaded into docker, beside docker build", build / load, 2)
            target("pushed to a registry, beside docker build and push", build_push / push, 2)
            if shutil.which("podman"):
                podman = tools.podman(bench.folder, "127.0.0.1:1")
                images = alternate(
                    {
                        "podman build": lambda: bench.timed(lambda: bench.build(podman)),
                        "bake --oci, podman pull": lambda: bench.timed(lambda: bench.pull(podman)),
                    },
                    ROUNDS,
                )
                _print(images)
                build, pull = images.values()
                target("loaded into podman, beside podman build", build / pull, 2)
        else:
            print("SKIP: docker build; no root, dockerd or docker-registry")
    copy, pantry, image = disk.values()
    target("bake beside a copy that is hashed", pantry / copy, 1.5, at_least=False)
    target("bake --oci beside a copy that is hashed", image / copy, 1.5, at_least=False)


def _print(figures: dict[str, float]) -> None:
    for what, seconds in figures.items():
        print(f"  {what:<28} {seconds:8.2f} s")


class _Bench:
    """A project whose one model is 1 GiB of noise, and the ways to bake it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.weights = folder / "big/weights.bin"
        self.weights.parent.mkdir()
        with self.weights.open("wb") as file:
            for _ in range(SIZE >> 20):
                file.write(random.randbytes(1 << 20))
        (folder / "hardtack.toml").write_text('[models.big]\ntask = "files"\nrepo = "./big"\n')
        (folder / "Dockerfile").write_text("FROM scratch\nCOPY big /models/big\n")
        (folder / ".dockerignore").write_text("*\n!big\n")
        self.env = dict(os.environ)

    def timed(self, run: Callable[[], None]) -> float:
        """Seconds of a run, from weights that nobody saw to bytes that are on the disk."""
        with self.weights.open("r+b") as file:
            for at in range(0, SIZE, 64 << 20):  # in every part of it, so that no part is known either
                file.seek(at)
                file.write(os.urandom(64))
        self.hardtack("lock", "--upgrade")
        for left in ("copy", "pantry", "image", "image.tar"):
            path = self.folder / left
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        os.sync()
        began = time.perf_counter()
        run()
        subprocess.run(["sync", "-f", self.folder], check=True)
        return time.perf_counter() - began

    def hardtack(self, *arguments: str) -> None:
        self.run(sys.executable, "-m", "hardtack", *arguments)

    def run(self, *command: str | Path, env: dict[str, str] | None = None) -> None:
        subprocess.run(command, cwd=self.folder, env=env or self.env, check=True, capture_output=True)

    def copy(self) -> None:
        copy = self.folder / "copy"
        seconds_of(["sh", "-c", f"cp {self.weights} {copy} && sha256sum {copy} && sync {copy}"])

    def pantry(self) -> None:
        self.hardtack("bake", "pantry")

    def image(self) -> None:
        self.hardtack("bake", "--oci", "image")

    def build(self, engine: tools.Engine, tag: str = "built") -> None:
        engine("build", "--quiet", "--no-cache", "-t", tag, ".", cwd=self.folder)

    def load(self, docker: tools.Engine) -> None:
        self.hardtack("bake", "--oci", "image.tar", "-t", "baked:1")
        docker("load", "--input", self.folder / "image.tar")

    def loading(self, docker: tools.Engine) -> float:
        """Seconds that the engine itself takes for an archive that is there already."""
        self.timed(lambda: self.hardtack("bake", "--oci", "image.tar", "-t", "baked:1"))
        began = time.perf_counter()
        docker("load", "--input", self.folder / "image.tar")
        subprocess.run(["sync", "-f", self.folder], check=True)
        return time.perf_counter() - began

    def pull(self, podman: tools.Engine) -> None:
        self.hardtack("bake", "--oci", "image", "-t", "baked:1")
        podman("pull", "-q", f"oci:{self.folder / 'image'}")

    def build_and_push(self, docker: tools.Engine, host: str) -> None:
        self.build(docker, f"{host}/built")
        docker("push", "--quiet", f"{host}/built")

    def push(self, host: str) -> None:
        self.hardtack("bake", "--oci", "image", "-t", f"{host}/baked:1", "--push")


@contextmanager
def _docker(folder: Path) -> Iterator[tuple[tools.Engine, str]]:
    work, config = folder / "work", folder / "config"
    work.mkdir()
    config.mkdir()
    (config / "config.json").write_text("{}")
    with tools.registry(work) as host, tools.docker(work, config) as engine:
        yield engine, host
