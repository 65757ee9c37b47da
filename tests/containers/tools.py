"""Container tools of this machine: installed where they are missing, kept out of its settings, ended by their ids.

Everything they make lies below one folder; daemons are started without a service manager. Debian's compose v2 comes
from the next suite: bookworm has the old one alone.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = {
    "dockerd": "docker.io", "podman": "podman", "runc": "runc", "skopeo": "skopeo", "umoci": "umoci",
    "docker-registry": "docker-registry", "mmdebstrap": "mmdebstrap", "iptables": "iptables",
    "/usr/lib/podman/netavark": "netavark", "/usr/lib/podman/aardvark-dns": "aardvark-dns",
}  # fmt: skip
"""Program → the Debian package that has it."""

_PODMAN = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""
_BASE = (
    'rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/usr/lib/python3*/EXTERNALLY-MANAGED; '
    'ln -sf python3 "$1"/usr/bin/python; find "$1"/usr -name __pycache__ -prune -exec rm -rf {} +'
)


def say(*arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """What a command writes on stdout; that it fails is the test's failure, with all that it said."""
    done = subprocess.run(arguments, env=env, cwd=cwd, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, arguments))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def install() -> None:
    """Install the packages whose programs are missing."""
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if missing:
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        say("apt-get", "update", "-q", env=quiet)
        say("apt-get", "install", "-y", "-q", "--no-install-recommends", *missing, env=quiet)


def compose_plugin(kept: Path) -> Path:
    """Docker's compose v2, unpacked from the next Debian suite into ``kept``; the folder for ``DOCKER_CONFIG``."""
    config = kept / "docker-config"
    plugin = config / "cli-plugins/docker-compose"
    if not plugin.exists():
        with _next_suite(kept) as apt:
            say("apt-get", "update", "-q", env=apt)
            say("apt-get", "download", "-q", "docker-compose", env=apt, cwd=kept)
        (package,) = kept.glob("docker-compose_*.deb")
        say("dpkg-deb", "-x", package, kept / "compose")
        plugin.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(next((kept / "compose").rglob("cli-plugins/docker-compose")), plugin)
        (config / "config.json").write_text("{}")
    return config


@contextmanager
def _next_suite(kept: Path) -> Iterator[dict[str, str]]:
    """An environment in which apt knows trixie beside nothing else, from the mirror that this machine uses."""
    known = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    text = "\n".join(path.read_text() for path in known if path.is_file())
    found = re.search(r"^(?:URIs:|deb(?: \[[^]]*\])?) *(https?://\S+/debian)/?(?=\s)", text, re.MULTILINE)
    assert found, "no Debian mirror in the sources of apt"
    (kept / "apt/lists/partial").mkdir(parents=True, exist_ok=True)
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (kept / "apt/sources").write_text(f"deb [signed-by={keys}] {found[1]} trixie main\n")
    (kept / "apt/conf").write_text(
        f'Dir::Etc::sourcelist "{kept}/apt/sources";\nDir::Etc::sourceparts "-";\n'
        f'Dir::State::lists "{kept}/apt/lists";\nDir::Cache "{kept}/apt";\nAPT::Sandbox::User "root";\n'
    )
    yield {**os.environ, "APT_CONFIG": str(kept / "apt/conf")}


def base_tar(kept: Path) -> Path:
    """A slim base image's files, made of Debian packages: the same bytes wherever it is made."""
    tar = kept / "base.tar"
    if not tar.exists():
        rising = kept / "rising.tar"
        say(
            "mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,python3-pip,python3-venv,ca-certificates",
            f"--customize-hook={_BASE}", "bookworm", rising, env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        )  # fmt: skip
        rising.rename(tar)
    return tar


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port


@contextmanager
def daemon(log: Path, arguments: Sequence[str | Path], ready: Sequence[str | Path]) -> Iterator[None]:
    """A program that runs until the context ends; entered once the command ``ready`` succeeds."""
    with log.open("wb") as opened, subprocess.Popen(arguments, stdout=opened, stderr=opened) as process:
        try:
            until = time.monotonic() + 30
            while subprocess.run(ready, capture_output=True, check=False).returncode != 0:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


@dataclass(frozen=True)
class Engine:
    """Docker or podman, with everything that it keeps below the tests' folder.

    Attributes:
        name: ``docker`` or ``podman``.
        env: in which it runs.
    """

    name: str
    env: Mapping[str, str] = field(repr=False)

    def __call__(self, *arguments: str | Path, cwd: Path | None = None) -> str:
        return say(self.name, *arguments, env=self.env, cwd=cwd)

    def fails(self, *arguments: str | Path, cwd: Path | None = None) -> str:
        """What it says of a command that is to fail."""
        done = subprocess.run(
            [self.name, *arguments], env=self.env, cwd=cwd, capture_output=True, text=True, timeout=400, check=False
        )
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def build(self, folder: Path, tag: str, *more: str) -> None:
        """Build the image of a folder, in the host's network, where the tests' mirror listens."""
        form = ("--format", "docker") if self.name == "podman" else ()  # else podman leaves the health check out
        self("build", "--quiet", "--network", "host", "-t", tag, *form, *more, ".", cwd=folder)

    def has(self, image: str) -> bool:
        """Whether there is such an image."""
        done = subprocess.run([self.name, "image", "inspect", image], env=self.env, capture_output=True, check=False)
        return done.returncode == 0

    @contextmanager
    def running(self, image: str, *options: str, command: Sequence[str] = ()) -> Iterator[str]:
        """A container with no network, read-only, of no capability; its id."""
        shut = ("--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "all")
        container = self("run", "--detach", *shut, *options, image, *command).strip()
        try:
            yield container
        finally:
            self("rm", "--force", container)


@contextmanager
def docker(work: Path, config: Path) -> Iterator[Engine]:
    """A docker daemon of our own."""
    at = f"unix://{work}/docker.sock"
    arguments: list[str | Path] = ["dockerd", "--data-root", work / "docker", "--exec-root", work / "exec", "--pidfile",
                 work / "docker.pid", "-H", at]  # fmt: skip
    # Debian's client, which builds by itself; a newer one elsewhere on the PATH wants a plugin for that
    path = f"/usr/bin:/usr/sbin:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "DOCKER_HOST": at, "DOCKER_CONFIG": str(config), "DOCKER_BUILDKIT": "1"}
    with daemon(work / "dockerd.log", arguments, ["docker", "-H", at, "info"]):
        yield Engine("docker", env)


def podman(work: Path, registry: str) -> Engine:
    """Podman with settings and storage of its own."""
    (work / "containers.conf").write_text(_PODMAN)
    (work / "registries.conf").write_text(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n')
    (work / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{work}/podman"\nrunroot = "{work}/podman-run"\n'
    )
    env = {name: value for name, value in os.environ.items() if name != "DOCKER_CONFIG"}
    names = {"CONTAINERS_CONF": "containers", "CONTAINERS_REGISTRIES_CONF": "registries",
             "CONTAINERS_STORAGE_CONF": "storage"}  # fmt: skip
    return Engine("podman", env | {name: str(work / f"{file}.conf") for name, file in names.items()})


@contextmanager
def registry(work: Path) -> Iterator[str]:
    """A real registry on loopback; its host and port."""
    host = f"127.0.0.1:{free_port()}"
    (work / "registry.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {work}/registry}}}}\nhttp: {{addr: {host}}}\n"
    )
    probe = f"import urllib.request as r; r.urlopen('http://{host}/v2/')"
    arguments: list[str | Path] = ["docker-registry", "serve", work / "registry.yml"]
    with daemon(work / "registry.log", arguments, ["python3", "-c", probe]):
        yield host
