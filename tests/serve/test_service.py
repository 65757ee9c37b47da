from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.serve.serving import Said, Serving, ask

EMBED = {"model": "emb", "input": "light turns on"}


def test_alive_and_ready(served: Serving) -> None:
    assert served.get("/health").status == 200
    assert served.get("/ready").json == {"status": "ready"}
    assert served.ask("HEAD", "/health").body == b""


def test_a_request_has_an_id_which_may_be_the_clients(served: Serving) -> None:
    assert served.post("/v1/embeddings", EMBED, X_Request_Id="mine-1").headers["x-request-id"] == "mine-1"
    own = served.post("/v1/embeddings", EMBED, X_Request_Id='"; drop').headers["x-request-id"]
    assert own
    assert '"' not in own


def test_a_line_of_the_log_for_each(served: Serving) -> None:
    served.post("/v1/embeddings", EMBED, X_Request_Id="logged-1")
    deadline = time.monotonic() + 10
    while not any("logged-1" in line for line in served.lines) and time.monotonic() < deadline:
        time.sleep(0.01)  # it is written after the answer
    line = next(json.loads(line) for line in served.lines if "logged-1" in line)
    assert (line["method"], line["path"], line["status"]) == ("POST", "/v1/embeddings", 200)
    assert line["model"] == EMBED["model"]
    assert not any("turns on" in line for line in served.lines), "nobody's text is in the log"


def test_a_model_that_is_not_there_is_not_in_the_log(served: Serving) -> None:
    served.post("/v1/embeddings", {**EMBED, "model": "my secret"}, X_Request_Id="logged-2")
    deadline = time.monotonic() + 10
    while not any("logged-2" in line for line in served.lines) and time.monotonic() < deadline:
        time.sleep(0.01)
    line = next(json.loads(line) for line in served.lines if "logged-2" in line)
    assert (line["status"], line["model"]) == (404, "")


def test_nowhere_and_the_wrong_method(served: Serving) -> None:
    assert "error" in served.get("/v1/nothing").json
    assert served.get("/v1/nothing").status == 404
    wrong = served.get("/v1/embeddings")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert served.get("/v2/nothing").json["message"]
    assert served.get("/nothing").json["error_type"] == "Validation"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'{"input": NaN}', 400),
        (b'{"input": "\xff\xfe"}', 400),
        (b'{"input": "\\ud800"}', 400),
        (b'{"input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"input": []}', 400),
        (b'{"input": {}}', 400),
        (b'{"input": 7}', 400),
        (b'{"input": ["a", 7]}', 400),
        (b'{"input": [["a"]]}', 400),
        (b'{"input": [1, "a"]}', 400),
        (b'{"input": [true]}', 400),
        (b'{"input": [1e400]}', 400),
        (b'{"model": 7, "input": "a"}', 400),
        (b'{"model": "emb", "input": "a", "dimensions": 0}', 400),
        (b'{"model": "emb", "input": "a", "dimensions": true}', 400),
        (b'{"model": "emb", "input": "a", "encoding_format": "int8"}', 400),
        (json.dumps({"model": "emb", "input": ["a"] * 65}).encode(), 413),
    ],
)
def test_bodies_that_are_not_what_they_should_be(served: Serving, body: bytes, status: int) -> None:
    said = served.post("/v1/embeddings", body)
    assert said.status == status
    assert said.json["error"]["message"]


def test_a_body_that_is_too_long(served: Serving) -> None:
    said = served.post("/v1/embeddings", b'{"input":"' + b"a" * (8 * 2**20) + b'"}')
    assert said.status == 413


def test_a_body_that_is_too_long_and_does_not_say_so(served: Serving) -> None:
    where = urlsplit(served.url)
    with socket.create_connection((where.hostname, where.port or 0), timeout=30) as connection:
        connection.sendall(
            b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
        for _ in range(200):
            connection.sendall(chunk)
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")


def test_only_json_is_taken(served: Serving) -> None:
    assert served.post("/v1/embeddings", EMBED, Content_Type="text/plain").status == 415
    assert served.post("/v1/embeddings", EMBED, Content_Type="application/json; charset=utf-8").status == 200


def test_a_text_of_very_many_tokens(served: Serving) -> None:
    assert served.post("/v1/embeddings", {"model": "emb", "input": "light " * 200_000}).status == 200


def test_metrics_have_what_was_done(served: Serving) -> None:
    before = served.metric('te_request_success{method="/v1/embeddings"}')
    served.post("/v1/embeddings", EMBED)
    assert served.metric('te_request_success{method="/v1/embeddings"}') == before + 1
    assert served.metric('hardtack_model_loaded{model="emb",task="embed"}') == 1
    assert served.metric('te_queue_size{model="emb"}') == 0


def test_the_openapi_page_has_every_path(served: Serving) -> None:
    paths = served.get("/openapi.json").json["paths"]
    assert {"/v1/embeddings", "/v1/models", "/embed", "/rerank", "/v1/rerank", "/v2/rerank", "/v1/classify"} <= set(
        paths
    )


def test_many_at_once_each_get_their_own(served: Serving) -> None:
    texts = ["light on", "heating off", "pattern", "light turns off at morning", "a", "morning routine pattern"]
    alone = [served.post("/embed?model=emb", {"inputs": text}).json[0] for text in texts]
    wrong: list[object] = []

    def client(number: int) -> None:
        connection = served.connect()
        for round_ in range(10):
            which = (number + round_) % len(texts)
            said = ask(connection, "POST", "/embed?model=emb", {"inputs": texts[which]})
            if said.status != 200 or said.json[0] != pytest.approx(alone[which], abs=1e-5):
                wrong.append((which, said.status))
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_sigterm_answers_what_was_taken(pantry: Path, tmp_path: Path) -> None:
    with Serving(str(pantry), "emb", cwd=tmp_path) as service:
        stop, lost, answered = threading.Event(), list[object](), list[Said]()

        def client() -> None:
            connection = service.connect()
            while not stop.is_set():
                try:
                    said = ask(connection, "POST", "/v1/embeddings", {"input": ["light on"] * 8})
                except ConnectionRefusedError:
                    return  # it has ended; nothing of this was taken
                except (OSError, http.client.HTTPException) as problem:
                    lost.append(problem)
                    return
                answered.append(said)

        threads = [threading.Thread(target=client) for _ in range(8)]
        for thread in threads:
            thread.start()
        while len(answered) < 50:
            time.sleep(0.01)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 0
        stop.set()
        for thread in threads:
            thread.join()
    assert lost == []
    assert {said.status for said in answered} == {200}


def test_an_idle_service_sleeps(pantry: Path, tmp_path: Path) -> None:
    with Serving(str(pantry), "emb", cwd=tmp_path) as service:
        for _ in range(5):
            service.post("/v1/embeddings", {"input": "light"})
        stat = Path(f"/proc/{service.process.pid}/status")

        def switches() -> int:
            return sum(int(line.split()[1]) for line in stat.read_text().splitlines() if "ctxt_switches" in line)

        time.sleep(0.3)
        before = switches()
        time.sleep(1.0)
        assert switches() - before <= 3, "the main thread does not wake by the clock"


def test_a_port_that_is_taken(served: Serving, pantry: Path, tmp_path: Path) -> None:
    import subprocess

    port = str(urlsplit(served.url).port)
    taken = Serving(str(pantry), cwd=tmp_path)
    command = [*taken.command[:-1], port]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "hardtack serve --port 0" in done.stderr


def test_a_pantry_that_is_not_what_its_lock_says(pantry: Path, tmp_path: Path) -> None:
    import shutil
    import subprocess

    spoiled = tmp_path / "pantry"
    shutil.copytree(pantry, spoiled)
    weights = spoiled / "emb" / "model.safetensors"
    weights.chmod(0o644)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    done = subprocess.run(
        [*Serving(str(spoiled), cwd=tmp_path).command], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "not what the lock says" in done.stderr or "sha256" in done.stderr
