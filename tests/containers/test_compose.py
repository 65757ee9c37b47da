"""The scaffold of `hardtack scaffold compose`, run by compose v2."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.containers.tools import Engine
from tests.containers.yard import ASK, SELF, Yard, assert_answers, in_container

pytestmark = pytest.mark.containers


class Compose:
    """One compose file of the yard, with what the tests change about it, as a project of its own."""

    def __init__(self, docker: Engine, yard: Yard, name: str, changes: object) -> None:
        self.docker = docker
        self.folder = yard.folder
        changed = yard.root / f"{name}.json"
        changed.write_text(json.dumps({"services": changes}))
        self.files = ["compose", "-p", name, "-f", f"compose.{name}.yml", "-f", str(changed)]

    def __call__(self, *arguments: str) -> str:
        return self.docker(*self.files, *arguments, cwd=self.folder)

    def container(self) -> str:
        return self("ps", "--quiet", "app").strip()

    @contextmanager
    def up(self) -> Iterator[str]:
        """Its service, healthy; its id. What it keeps in volumes stays when it ends."""
        self("up", "--detach", "--wait", "--no-build")
        try:
            yield self.container()
        finally:
            self("down", "--timeout", "5")


def override(yard: Yard, **more: object) -> dict[str, object]:
    named = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": yard.wheels, "HF_ENDPOINT": yard.hub.url}
    return {"build": {"network": "host", "args": named}, **more}


def test_dev_fetches_once_and_then_hits_its_cache(yard: Yard, docker: Engine) -> None:
    # compose clears a list or mapping only with a tag that JSON lacks; the port is that of the host's network anyway
    service = override(yard, network_mode="host", environment={"HF_ENDPOINT": yard.hub.url})
    dev = Compose(docker, yard, "dev", {"app": service})
    dev("build")
    yard.hub.forget()
    with dev.up() as container:
        assert_answers(in_container(docker, container, ASK))
        assert yard.hub.count("GET", "*model.safetensors") == 3
    yard.hub.forget()
    with dev.up() as container:
        assert_answers(in_container(docker, container, ASK))
    assert yard.fetched() == 0


def test_prod_is_shut_in_and_answers(yard: Yard, docker: Engine) -> None:
    prod = Compose(docker, yard, "prod", {"app": override(yard)})
    prod("build")
    with prod.up() as container:
        assert_answers(in_container(docker, container, ASK))
        assert in_container(docker, container, SELF) == {"user": 10001, "writes": [], "leaves": False}
        host = json.loads(docker("inspect", container))[0]["HostConfig"]
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert host["Memory"] > 0


def test_the_setup_profile_fills_a_volume_for_several(yard: Yard, docker: Engine) -> None:
    prep = override(yard, network_mode="host", environment={"HF_ENDPOINT": yard.hub.url})
    shared = Compose(docker, yard, "shared", {"model-prep": prep, "app": override(yard)})
    shared("--profile", "setup", "build")
    yard.hub.forget()
    shared("--profile", "setup", "run", "--rm", "model-prep")
    assert yard.hub.count("GET", "*model.safetensors") == 3
    yard.hub.forget()
    shared("--profile", "setup", "run", "--rm", "model-prep")
    assert yard.fetched() == 0
    with shared.up() as container:
        assert_answers(in_container(docker, container, ASK))
        assert in_container(docker, container, SELF) == {"user": 10001, "writes": [], "leaves": False}


def test_compose_itself_takes_every_file(yard: Yard, docker: Engine) -> None:
    for path in sorted(Path(yard.folder).glob("compose.*.yml")):
        docker("compose", "-f", path, "config", "--quiet")
