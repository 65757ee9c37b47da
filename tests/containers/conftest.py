from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.containers import tools
from tests.containers.yard import Yard

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def kept() -> Path:
    """What outlives a run, since it is dear to make: a base image's files, wheels, compose."""
    assert os.geteuid() == 0, "container tests need root"
    folder = Path(os.environ.get("HARDTACK_CONTAINERS", ROOT / ".containers")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    tools.install()
    return folder


@pytest.fixture(scope="session")
def work(kept: Path) -> Iterator[Path]:
    """What the daemons keep; on the disk that the cache is on, since layers do not fit everywhere."""
    folder = kept / f"work-{os.getpid()}"
    folder.mkdir()
    yield folder
    # a million small files: rm is several times faster at it than shutil
    subprocess.run(["rm", "-rf", "--one-file-system", folder], check=False)


@pytest.fixture(scope="session")
def registry(work: Path) -> Iterator[str]:
    with tools.registry(work) as host:
        yield host


@pytest.fixture(scope="session")
def docker(work: Path, kept: Path) -> Iterator[tools.Engine]:
    with tools.docker(work, tools.compose_plugin(kept)) as engine:
        yield engine


@pytest.fixture(scope="session")
def podman(work: Path, registry: str) -> tools.Engine:
    return tools.podman(work, registry)


@pytest.fixture(scope="session")
def base(docker: tools.Engine, kept: Path, registry: str) -> str:
    """A base image made of Debian packages, in the registry; its name there."""
    name = f"{registry}/debian-python:3"
    docker("import", "-c", 'CMD ["python3"]', "-c", "ENV PATH=/usr/local/bin:/usr/bin:/bin", tools.base_tar(kept), name)
    docker("push", "--quiet", name)
    return name


@pytest.fixture(scope="session")
def wheels(kept: Path) -> Iterator[str]:
    """This tree's wheel and all that it needs, on loopback: what a package index is elsewhere; its address."""
    folder = kept / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", folder, ROOT], check=True)
    (ours,) = folder.glob("hardtack-*.whl")
    # the image's python, which need not be this one
    only = ["--only-binary", ":all:", "--python-version", "3.11"]
    subprocess.run([*pip, "download", *only, "-d", folder, f"{ours}[serve]"], check=True)
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="session")
def yard(tmp_path_factory: pytest.TempPathFactory, wheels: str, base: str) -> Iterator[Yard]:
    """A locked project with every scaffold, a mirror and an index; nothing is built yet."""
    with Yard(tmp_path_factory.mktemp("yard"), wheels, base) as yard:
        yield yard


@pytest.fixture(scope="session", params=["docker", "podman"])
def engine(request: pytest.FixtureRequest) -> tools.Engine:
    value = request.getfixturevalue(request.param)
    assert isinstance(value, tools.Engine)
    return value
