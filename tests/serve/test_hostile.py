"""Bodies that nobody should send: each gets a 4xx in the dialect's own form, and the service stays well.

A few hundred with every run; ten thousand, and schemathesis over the published description, with the marker
``clients`` (``make test-clients``).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardtack.serve.dialects import ENDPOINTS
from tests.serve.serving import Said, Serving, ask

POSTS = [endpoint for endpoint in ENDPOINTS if endpoint.method == "POST"]
ODD: list[Any] = [
    None, True, False, 0, -1, 1.5, 10**30, -(2**63), 1e308, "", "a", "\x00", "ü" * 9, "{text}", [], [[]], [None],
    {}, {"": None}, {"a": {"a": {}}}, ["a", 1], [1, "a"], [["a"], "b"], [["a", "b", "c"]], ["a"] * 70, [True],
    {"source_sentence": "a"}, {"source_sentence": 1, "sentences": ["a"]}, {"source_sentence": "a", "sentences": []},
    {"text": 7}, [{"text": 7}], [{}], "bearer", "../../etc/passwd", "😀" * 50, [-1], [2**31], [2**70], {"label": []},
]  # fmt: skip
RAW = [
    b"", b" ", b"{", b"}", b"[", b"nul", b"\xff\xfe", b"\x00", b'{"a"', b'{"inputs": NaN}', b'{"inputs": Infinity}',
    b'{"input": "\xc3("}', b'{"input": "\xed\xa0\x80"}', b'{"input": "\\ud800"}', b"[" * 50_000, b'{"input":' * 2_000,
    b"[" * 5_000 + b"]" * 5_000, b'{"input": 1e999}', b'{"input": 01}', b"{'input': 'a'}", b'{"input": "a",}',
    b'\xef\xbb\xbf{"input": "a"}', b'{"input": "' + b"a" * 100_000, b"--", b"<xml/>", b"input=a", b"\x1f\x8b\x08\x00",
]  # fmt: skip


def bodies(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Paths and bodies: not JSON at all, or an endpoint's own fields with odd values in them."""
    dice = random.Random(seed)
    for _ in range(count):
        endpoint = dice.choice(POSTS)
        if dice.random() < 0.3:
            raw = dice.choice(RAW)
            yield endpoint.path, raw + dice.randbytes(dice.choice([0, 0, 1, 8]))
            continue
        # a model by name, mostly: what is refused for want of one gets no further
        body: dict[str, Any] = {"model": dice.choice(["emb", "static", "rerank", "classify", "nothing"])}
        for field in endpoint.fields:
            if dice.random() < 0.8 and (field.name != "model" or dice.random() < 0.2):
                body[field.name] = dice.choice(ODD)
        yield endpoint.path, json.dumps(body).encode()


def check(path: str, said: Said) -> bool:
    """Whether it was refused, and in the dialect's form; some odd bodies are fine after all."""
    assert said.status < 500, (path, said)
    if said.status == 200:
        return False
    assert 400 <= said.status < 500
    if path in ("/v1/embeddings", "/v1/classify"):
        assert said.json["error"]["message"]
        assert said.json["error"]["type"]
    elif path.endswith("/rerank") and path != "/rerank":
        assert said.json["message"]
    else:
        assert said.json["error"]
        assert said.json["error_type"]
    return True


def send_all(served: Serving, seed: int, count: int) -> int:
    connection = served.connect()
    refused = 0
    for path, body in bodies(seed, count):
        refused += check(path, ask(connection, "POST", path, body))
    connection.close()
    return refused


def test_hundreds_of_hostile_bodies(served: Serving) -> None:
    assert send_all(served, 1, 400) > 300
    assert served.get("/ready").status == 200


@pytest.mark.parametrize("path", [endpoint.path for endpoint in POSTS])
def test_a_body_too_long_in_every_dialect(served: Serving, path: str) -> None:
    assert check(path, served.post(path, b'{"inputs": "' + b"a" * (9 * 2**20)))


@pytest.mark.clients
def test_ten_thousand_hostile_bodies(served: Serving) -> None:
    before = served.metric("process_resident_memory_bytes")
    assert send_all(served, 2, 10_000) > 7_500
    long = "light " * 200_000
    for path, body in (
        ("/v1/embeddings", {"model": "emb", "input": long}),
        ("/models/emb/embed", {"inputs": long, "truncate": False}),
        ("/rerank", {"query": long, "texts": ["a", long]}),
        ("/v1/classify", {"input": long}),
        ("/tokenize?model=emb", {"inputs": long}),
    ):
        assert served.post(path, body).status in (200, 413)
    assert served.get("/ready").status == 200
    assert served.post("/v1/embeddings", {"model": "emb", "input": "light"}).status == 200
    assert served.metric("process_resident_memory_bytes") < before + 300 * 2**20


@pytest.mark.clients
def test_schemathesis_finds_no_5xx(served: Serving, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{served.url}/openapi.json", "--url", served.url,
        "--checks", "not_a_server_error,status_code_conformance,content_type_conformance",
        "--max-examples", os.environ.get("HARDTACK_EXAMPLES", "60"), "--no-color", "--seed", "1", "--workers", "1",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
