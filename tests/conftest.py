"""What every test gets: no network but loopback, a home of its own, and the real models where there are any."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hardtack.runtime.native import library

_REAL = Path(os.environ.get("HARDTACK_REAL") or Path(__file__).parents[2] / "shared" / "real")
_ONLY_BY_NAME = ("world", "containers")
"""Markers of tests that are so dear, or want so much of the machine, that only ``-m`` runs them."""
_ENVIRONMENT = (
    "HARDTACK_",
    "HF_",
    "HUGGING",
    "TRANSFORMERS_",
    "SENTENCE_TRANSFORMERS_",
    "EMBED",
    "RERANK_",
    "CLASSIFY_",
)


def pytest_configure() -> None:
    """A shell lets its background jobs ignore Ctrl-C, and programs inherit that: some tests are about Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unnamed = [name for name in _ONLY_BY_NAME if name not in str(config.getoption("markexpr"))]
    dear = [item for item in items if any(item.get_closest_marker(name) for name in unnamed)]
    config.hook.pytest_deselected(items=dear)
    items[:] = [item for item in items if item not in dear]
    no_torch = pytest.mark.skip(reason="torch is not installed")
    no_nncf = pytest.mark.skip(reason="nncf is not installed")
    no_real = pytest.mark.skip(reason=f"HARDTACK_REAL: no such folder: {_REAL}")
    no_browser = pytest.mark.skip(reason="no chromedriver: apt-get install chromium chromium-driver")
    for item in items:
        if item.get_closest_marker("browser") and shutil.which("chromedriver") is None:
            item.add_marker(no_browser)
        if item.get_closest_marker("torch") and importlib.util.find_spec("torch") is None:
            item.add_marker(no_torch)
        if item.get_closest_marker("int8") and importlib.util.find_spec("nncf") is None:
            item.add_marker(no_nncf)
        if item.get_closest_marker("real") and not _REAL.is_dir():
            item.add_marker(no_real)


@pytest.fixture(scope="session")
def real_dir() -> Path:
    """The folder of real models and data; skips where there is none."""
    if not _REAL.is_dir():
        pytest.skip(f"HARDTACK_REAL: no such folder: {_REAL}")
    return _REAL


@pytest.fixture(scope="session")
def minilm(real_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real sentence-transformers/all-MiniLM-L6-v2, every byte as the Hub has it at commit fa97f6e7…."""
    directory = tmp_path_factory.mktemp("minilm") / "model"
    done = subprocess.run([str(real_dir / "fetch-minilm"), str(directory)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A home and a cache of the test's own, and none of the variables that hardtack reads."""
    for name in [name for name in os.environ if name.startswith(_ENVIRONMENT)]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HF_HOME", str(home / "huggingface"))


@pytest.fixture(autouse=True)
def _openvino_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``auto`` chooses does not hang on the CPU that runs the tests; those of the native engine say so."""
    monkeypatch.setattr(library, "ability", lambda: library.Ability(None, "the tests keep to openvino"))


def _is_loopback(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode()
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Any:
    """No name has an address, as where there is no network; connecting beyond loopback fails the test that does it."""
    with pytest.MonkeyPatch.context() as patch:

        def guard(name: str) -> None:
            real: Callable[..., Any] = getattr(socket.socket, name)

            def guarded(self: socket.socket, address: Any) -> Any:
                if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
                    raise AssertionError(f"a test reaches for the network: {address}")
                return real(self, address)

            patch.setattr(socket.socket, name, guarded)

        guard("connect")
        guard("connect_ex")
        asked = socket.getaddrinfo

        def getaddrinfo(host: Any, *rest: Any, **named: Any) -> Any:
            if not _is_loopback(host):
                raise socket.gaierror(socket.EAI_NONAME, f"a test asks for the address of {host}")
            return asked(host, *rest, **named)

        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield
