"""Sealed, with keys, and lazy: the ways a service runs in production."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from hardtack.offline.guard import can_guard
from tests.serve.serving import Serving

EMBED = {"model": "emb", "input": "light turns on"}
CALLS_OUT = """\
import os, socket, sys, threading, time
from hardtack.cli import main

def attempt():
    while not os.path.exists("call out"):
        time.sleep(0.02)
    try:
        socket.create_connection(("127.0.0.1", 9), 1)
    except PermissionError:
        print("an attempt was refused", file=sys.stderr, flush=True)

threading.Thread(target=attempt, daemon=True).start()
sys.exit(main(sys.argv[1:]))
"""
"""The command line, with a thread in the same process that calls out once a file says so."""


@pytest.mark.skipif(not can_guard().able, reason="this kernel gives no guard")
def test_sealed_it_answers_and_cannot_call_out(pantry: Path, tmp_path: Path) -> None:
    service = Serving(str(pantry), "--sealed", cwd=tmp_path)
    service.command = [sys.executable, "-c", CALLS_OUT, *service.command[service.command.index("serve") :]]
    denied = 'hardtack_denied_network_attempts_total{attempt="socket(AF_INET, SOCK_STREAM, protocol 6)"}'
    with service:
        assert any("sealed" in line for line in service.lines)
        assert service.post("/v1/embeddings", EMBED).status == 200
        assert service.metric(denied) == 0
        (tmp_path / "call out").touch()
        deadline = time.monotonic() + 10
        while not any("was refused" in line for line in service.lines) and time.monotonic() < deadline:
            service.post("/v1/embeddings", EMBED)  # requests go on meanwhile
        assert service.metric(denied) == 1
        assert service.post("/v1/embeddings", EMBED).status == 200


def test_keys_lazy_idle_and_token_ids(pantry: Path, tmp_path: Path) -> None:
    arguments = ("--lazy", "--idle", "1", "--accept-token-ids")
    with Serving(str(pantry), *arguments, cwd=tmp_path, HARDTACK_API_KEYS="one two") as service:
        assert service.get("/health").status == 200
        assert service.get("/ready").status == 200
        assert service.get("/v1/models").status == 401
        assert service.post("/embed", {"inputs": "x"}).status == 401
        key = {"Authorization": "Bearer two"}

        def loaded() -> list[str]:
            models = service.get("/v1/models", **key).json["data"]
            return [model["id"] for model in models if model["loaded"]]

        assert loaded() == []
        texts = service.post("/v1/embeddings", EMBED, **key).json
        assert loaded() == ["emb"]
        ids = [piece["id"] for piece in service.post("/tokenize?model=emb", {"inputs": EMBED["input"]}, **key).json[0]]
        by_ids = service.post("/v1/embeddings", {"model": "emb", "input": ids}, **key).json
        assert by_ids["data"][0]["embedding"] == pytest.approx(texts["data"][0]["embedding"], abs=1e-5)
        bad: list[object] = [[[]], [[10**6]], [[5] * 500], [5, -1], [[5], "a"]]
        for wrong in bad:
            said = service.post("/v1/embeddings", {"model": "emb", "input": wrong}, **key)
            assert said.status in (400, 413), wrong
        deadline = time.monotonic() + 15
        while loaded() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert loaded() == [], "it was let go of"
        assert service.post("/v1/embeddings", EMBED, **key).json == texts, "and comes back"
