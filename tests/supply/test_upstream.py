"""A lock held against a Hub's listing: ids and sizes, nothing downloaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from hardtack.mirror import Served
from hardtack.places import Store
from hardtack.spec.lock import Lock, LockedCode, LockedFile
from hardtack.supply.hub import Hub
from hardtack.supply.pull import pull
from hardtack.supply.upstream import compare_upstream
from tests.hub import FixtureHub, content_of, lay_out
from tests.supply.conftest import FILES, REPO


def test_all_is_as_locked_and_nothing_was_fetched(lock: Lock, hub: Hub, fixture_hub: FixtureHub) -> None:
    assert compare_upstream(lock, hub) == ()
    assert fixture_hub.count("GET", "*/resolve/*") == 0


def test_any_endpoint_that_has_the_bytes_will_do(lock: Lock, store: Store, hub: Hub) -> None:
    pull(lock, store, hub)
    model = lock.models[0]
    served = Served(REPO, store.snapshot(REPO, model.commit), commit=model.commit, within=store.hub)
    with FixtureHub(served) as mirror:
        assert compare_upstream(lock, Hub(mirror.url)) == ()


def test_every_kind_of_difference_is_one(lock: Lock, tmp_path: Path) -> None:
    commit = lock.models[0].commit
    other = dict(FILES) | {"config.json": "{ }", "modules.json": str(FILES["modules.json"])[::-1]}
    other["model.safetensors"] = bytes(len(FILES["model.safetensors"]))
    del other["tokenizer.json"]
    with FixtureHub(Served(REPO, lay_out(tmp_path / "other", other), commit=commit)) as hub:
        found = {drift.where.rpartition(": ")[2]: drift for drift in compare_upstream(lock, Hub(hub.url))}
    assert set(found) == {"config.json", "modules.json", "model.safetensors", "tokenizer.json"}
    assert found["config.json"].found == "3 bytes"
    assert found["modules.json"].expected.startswith("git blob ")
    assert found["model.safetensors"].expected.startswith("sha256 ")
    assert found["tokenizer.json"].found == "no such file"
    assert {drift.key for drift in found.values()} == {"emb"}


def test_a_file_that_is_in_git_now_cannot_be_compared(lock: Lock, hub: Hub, fixture_hub: FixtureHub) -> None:
    def in_git(_: object, true: object) -> object:
        data = json.loads(content_of(true))  # type: ignore[arg-type]
        for row in data["siblings"]:
            row.pop("lfs", None)
        body = json.dumps(data).encode()
        return replace(true.with_headers(("Content-Length", str(len(body)))), body=body)  # type: ignore[attr-defined]

    fixture_hub.fault("/api/models/*", in_git)  # type: ignore[arg-type]
    (drift,) = compare_upstream(lock, hub)
    assert (drift.expected.split()[0], drift.found.split()[0]) == ("sha256", "git")


def test_a_commit_a_repository_and_code_that_are_gone(lock: Lock, hub: Hub) -> None:
    model = lock.models[0]
    code = LockedCode("org/code", "9" * 40, (LockedFile("m.py", 1, "0" * 64, "0" * 40),))
    lost = Lock(
        "",
        (
            replace(model, commit="f" * 40),
            replace(model, key="b", repo="org/none"),
            replace(model, key="c", code=(code,)),
        ),
    )
    found = compare_upstream(lost, hub)
    assert [drift.key for drift in found] == ["b", "c", "emb"]
    assert found[1].where == f"org/code@{'9' * 40}"
