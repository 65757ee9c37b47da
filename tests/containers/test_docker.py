"""The scaffold of `hardtack scaffold docker`, built against a mirror and run with no network."""

from __future__ import annotations

import subprocess
import time

import pytest

from tests.containers.tools import Engine
from tests.containers.yard import ASK, SELF, Yard, assert_answers, in_container, until_ready

pytestmark = pytest.mark.containers


def test_two_stages_make_a_service_that_needs_no_network(yard: Yard, engine: Engine) -> None:
    yard.build(engine, "models:1")
    with engine.running("models:1") as container:
        until_ready(engine, container)
        assert_answers(in_container(engine, container, ASK))
        assert in_container(engine, container, SELF) == {"user": 10001, "writes": [], "leaves": False}
        assert "proven" in engine("exec", container, "hardtack", "prove")
    libraries = engine(
        "run", "--rm", "models:1", "sh", "-c", "ls /opt/hardtack/lib/python3*/site-packages/openvino/libs"
    )
    assert [line for line in libraries.split() if line.endswith("_plugin.so")] == ["libopenvino_intel_cpu_plugin.so"]


def test_its_health_check_says_yes_and_no(yard: Yard, docker: Engine) -> None:
    yard.build(docker, "models:1")

    def health(container: str, seconds: float = 120) -> str:
        until = time.monotonic() + seconds
        while (said := docker("inspect", "--format", "{{.State.Health.Status}}", container).strip()) == "starting":
            assert time.monotonic() < until, said
            time.sleep(0.2)
        return said

    soon = ("--health-interval=1s", "--health-retries=1", "--health-start-period=0s")
    with docker.running("models:1", *soon, "--health-retries=20") as container:
        assert health(container) == "healthy"
    with docker.running("models:1", *soon, "--entrypoint", "/bin/sleep", command=("300",)) as container:
        assert health(container) == "unhealthy"


def test_a_download_that_fails_fails_the_build(yard: Yard, docker: Engine) -> None:
    yard.build(docker, "models:1")
    (yard.folder / "hardtack.golden").write_text("{}")  # so that this stage is not taken from the cache
    said = docker.fails("build", "--network", "host", *yard.arguments, "--build-arg", "HF_ENDPOINT=http://127.0.0.1:9",
                        "--no-cache", "--target", "models", ".", cwd=yard.folder)  # fmt: skip
    assert "hardtack pull" in said


def test_one_base_image_with_all_models_and_a_service_on_it(yard: Yard, docker: Engine) -> None:
    flags = " ".join(["--network", "host", *yard.arguments])
    script = str(yard.folder / "dev.sh")
    subprocess.run(
        [script, "rebuild", "base"],
        env={**docker.env, "BUILD_FLAGS": flags},
        check=True,
        capture_output=True,
        timeout=300,
    )
    said = subprocess.run([script, "verify"], env=docker.env, check=True, capture_output=True, text=True)
    assert "proven" in said.stdout
    app = yard.root / "app"
    app.mkdir()
    (app / "Dockerfile").write_text('FROM models:1-base\nCOPY app.py /app/app.py\nCMD ["python3", "/app/app.py"]\n')
    (app / "app.py").write_text(
        "from hardtack import load_embedder, load_reranker, load_classifier\n"
        "print(load_embedder('emb').encode('a').shape, load_reranker().rank('a', ['b'])[0]['corpus_id'],"
        " *load_classifier().classify('a'))\n"
    )
    docker.build(app, "app:1")
    assert docker("run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "app:1").endswith(
        "0 category priority\n"
    )


def test_model_prep_fills_a_volume_once(yard: Yard, engine: Engine) -> None:
    yard.build(engine, "models-prep:1", "-f", "Dockerfile.model-prep")
    yard.build(engine, "models-bare:1", "--target", "bare")
    engine("volume", "create", "models")
    prepare = ["run", "--rm", "--network", "host", "-e", f"HF_ENDPOINT={yard.hub.url}", "-v", "models:/volume"]
    yard.hub.forget()
    engine(*prepare, "-e", "MODELS_TO_DOWNLOAD=emb", "models-prep:1")
    assert yard.hub.count("GET", "*model.safetensors") == 1  # of one model, and no other's
    engine(*prepare, "models-prep:1")
    assert yard.hub.count("GET", "*model.safetensors") == 3
    yard.hub.forget()
    engine(*prepare, "models-prep:1")
    assert yard.fetched() == 0
    assert "nobody" in engine.fails(*prepare, "-e", "MODELS_TO_DOWNLOAD=emb,nobody", "models-prep:1")
    options = ("-v", "models:/volume:ro", "-e", "HARDTACK_PANTRY=/volume/models", "-e", "HARDTACK_POLICY=strict")
    with engine.running("models-bare:1", *options) as container:
        until_ready(engine, container)
        assert_answers(in_container(engine, container, ASK))
