"""The faults of the fixture are what they say, as a plain client sees them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import pytest

from hardtack.mirror import Served
from hardtack.mirror.git import blob_id
from hardtack.spec.digest import hash_bytes
from tests.hub import HOSTILE_CONTENT, FixtureHub, client_environment, lay_out

WEIGHTS = bytes(range(256)) * 400
FILE = "/org/tiny/resolve/main/model.safetensors"


class Got(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FixtureHub]:
    folder = lay_out(tmp_path / "tiny", {"config.json": "{}", "model.safetensors": WEIGHTS})
    with FixtureHub(Served("org/tiny", folder)) as hub:
        yield hub


def get(hub: FixtureHub, path: str = FILE, method: str = "GET", **headers: str) -> Got:
    address = urlsplit(hub.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return Got(response.status, response.headers, response.read())
    finally:
        connection.close()


def test_without_faults_it_is_the_mirror_and_counts(hub: FixtureHub) -> None:
    assert get(hub).body == WEIGHTS
    assert get(hub, method="HEAD").status == 200
    assert get(hub, "/api/models/org/tiny/tree/main?recursive=true").status == 200
    assert (hub.count(), hub.count("GET"), hub.count("HEAD", "model.safetensors"), hub.count(where="*/tree/*")) == (
        3,
        2,
        1,
        1,
    )
    assert hub.seen[0].path == FILE
    assert hub.commit("org/tiny") == json.loads(get(hub, "/api/models/org/tiny").body)["sha"]
    hub.forget()
    assert hub.count() == 0


def test_wrong_bytes_of_the_right_size(hub: FixtureHub) -> None:
    hub.wrong_bytes("model.safetensors", times=1)
    wrong = get(hub, Range="bytes=10-19")
    assert (wrong.status, len(wrong.body)) == (206, 10)
    assert all(a != b for a, b in zip(wrong.body, WEIGHTS[10:20], strict=True))
    assert get(hub).body == WEIGHTS


def test_truncated(hub: FixtureHub) -> None:
    hub.truncate("model.safetensors", keep=1000, times=1)
    with pytest.raises(http.client.IncompleteRead) as short:
        get(hub)
    assert short.value.partial == WEIGHTS[:1000]
    assert get(hub).body == WEIGHTS


def test_reset(hub: FixtureHub) -> None:
    hub.reset("model.safetensors", after=1000, times=1)
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        get(hub)
    assert get(hub).body == WEIGHTS


def test_stalled(hub: FixtureHub) -> None:
    stall = hub.stall("model.safetensors", after=1000)
    address = urlsplit(hub.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    connection.request("GET", FILE)
    response = connection.getresponse()
    assert response.read(1000) == WEIGHTS[:1000]
    assert stall.reached.wait(30)
    stall.release.set()
    assert response.read() == WEIGHTS[1000:]
    connection.close()


def test_a_stall_ends_with_the_hub(tmp_path: Path) -> None:
    with FixtureHub(Served("org/tiny", lay_out(tmp_path / "tiny", {"model.safetensors": WEIGHTS}))) as hub:
        hub.stall("model.safetensors", after=0)
        address = urlsplit(hub.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
        connection.request("GET", FILE)
    connection.close()


def test_a_pointer_in_place_of_the_file(hub: FixtureHub) -> None:
    hub.lfs_pointer("model.safetensors")
    pointer = get(hub, Range="bytes=0-0")
    assert pointer.status == 200
    assert pointer.body.startswith(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + hash_bytes(WEIGHTS).sha256.encode()
    )
    assert pointer.headers["ETag"] == f'"{blob_id(pointer.body)}"'
    head = get(hub, method="HEAD")
    assert (head.headers["Content-Length"], head.headers["X-Linked-Size"]) == (str(len(pointer.body)), None)
    assert get(hub, "/org/tiny/resolve/main/config.json").body == b"{}"


def test_busy_and_broken_pass(hub: FixtureHub) -> None:
    hub.busy("config.json", times=2, retry_after=7)
    hub.broken("model.safetensors", times=1, status=502)
    busy = [get(hub, "/org/tiny/resolve/main/config.json") for _ in range(3)]
    assert [each.status for each in busy] == [429, 429, 200]
    assert busy[0].headers["Retry-After"] == "7"
    assert [get(hub, method="HEAD").status, get(hub).status] == [502, 200]


def test_a_dropped_commit(hub: FixtureHub) -> None:
    hub.without_commit()
    assert get(hub).headers["X-Repo-Commit"] is None
    hub.heal()
    assert get(hub).headers["X-Repo-Commit"] == hub.commit("org/tiny")


@pytest.mark.parametrize("lfs", [False, True])
def test_hostile_names(hub: FixtureHub, lfs: bool) -> None:
    names = ("../../x", "/etc/x", "a\\b", "C:x", "nul\0byte", "", "config.json", "CONFIG.json")
    hub.hostile_names(*names, lfs=lfs)
    tree = json.loads(get(hub, "/api/models/org/tiny/tree/main?recursive=true").body)
    assert [each["path"] for each in tree] == ["config.json", "model.safetensors", *names]
    siblings = json.loads(get(hub, "/api/models/org/tiny/revision/main?blobs=true").body)["siblings"]
    assert [each["rfilename"] for each in siblings] == ["config.json", "model.safetensors", *names]
    hashes = hash_bytes(HOSTILE_CONTENT)
    for entry in tree[2:]:
        assert (entry["size"], entry["oid"], entry.get("lfs", {}).get("oid")) == (
            hashes.size,
            hashes.git,
            hashes.sha256 if lfs else None,
        )
    for name in names[:5]:
        given = get(hub, f"/org/tiny/resolve/main/{quote(name)}")
        assert (given.status, given.body) == (200, HOSTILE_CONTENT)
        assert given.headers["ETag"] == f'"{hashes.sha256 if lfs else hashes.git}"'


def test_the_environment_of_a_client_holds_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ours")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    environment = client_environment("http://hub", tmp_path)
    assert environment["HF_ENDPOINT"] == "http://hub"
    assert not {"HF_TOKEN", "HF_HUB_OFFLINE"} & environment.keys()
