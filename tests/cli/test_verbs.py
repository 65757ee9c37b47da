"""Every verb as a person runs it: in a process of its own, with its exit code, stdout and stderr."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardtack.cli import VERBS, main
from tests.trust.conftest import Pair
from tests.voyage import Voyage


@pytest.fixture(scope="module")
def sailed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voyage]:
    """A project that is locked, pulled and baked into ./pantry by the command line itself."""
    with Voyage(tmp_path_factory.mktemp("sailed")) as voyage:
        for verb in ("lock", "pull", "bake"):
            done = voyage.run(verb)
            assert done.returncode == 0, done.stderr
        yield voyage


@pytest.fixture
def voyage(tmp_path: Path) -> Iterator[Voyage]:
    with Voyage(tmp_path) as voyage:
        yield voyage


def test_help_names_every_verb_and_each_has_its_own(sailed: Voyage) -> None:
    done = sailed.run("--help")
    assert done.returncode == 0
    for verb in VERBS:
        assert f"\n  {verb} " in done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_explains_itself(verb: str) -> None:
    from click.testing import CliRunner

    from hardtack.cli import cli

    said = CliRunner().invoke(cli, [verb, "--help"])
    assert said.exit_code == 0
    assert f"hardtack {verb}" in said.output.replace("cli", "hardtack")


def test_help_imports_no_engine_and_no_client() -> None:
    code = (
        "import sys, hardtack.cli; hardtack.cli.main(['--help']);"
        "heavy = {'openvino', 'numpy', 'huggingface_hub', 'tokenizers'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_data_is_on_stdout_and_talk_on_stderr(sailed: Voyage) -> None:
    done = sailed.run("bake", "again")
    digest = done.stdout.strip()
    assert digest.startswith("sha256:")
    assert len(digest) == 71
    assert "31 files" not in digest
    assert "again" in done.stderr
    assert sailed.run("bake", "again", "--quiet").stderr == ""
    assert json.loads(sailed.run("bake", "again", "--json").stdout)["digest"] == digest


def test_lock_check_follows_the_manifest(voyage: Voyage) -> None:
    missing = voyage.run("lock", "--check")
    assert missing.returncode == 2
    assert "mend:     hardtack lock" in missing.stderr
    assert voyage.run("lock").returncode == 0
    assert voyage.run("lock", "--check").returncode == 0
    voyage.manifest.write_text(voyage.manifest.read_text().replace("tiny/t5", "tiny/bert"))
    stale = voyage.run("lock", "--check")
    assert stale.returncode == 1
    assert "stale" in stale.stderr
    assert voyage.run("pull").returncode == 1
    assert voyage.run("pull", "--frozen").returncode == 0


def test_list_says_what_is_locked(sailed: Voyage) -> None:
    assert "tiny/ranker@" in sailed.run("list").stdout
    rows = json.loads(sailed.run("list", "--json").stdout)["models"]
    assert [row["key"] for row in rows] == ["classify", "emb", "llm", "rerank", "static"]


def test_verify_names_what_is_wrong_and_exits_1(sailed: Voyage) -> None:
    assert sailed.run("verify").returncode == 0
    assert sailed.run("verify", "pantry").returncode == 0
    assert sailed.run("bake", "spoiled").returncode == 0
    weights = sailed.folder / "spoiled/emb/model.safetensors"
    weights.chmod(0o644)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    wrong = sailed.run("verify", "spoiled")
    assert wrong.returncode == 1
    assert "changed" in wrong.stdout
    assert "emb/model.safetensors" in wrong.stdout
    assert json.loads(sailed.run("verify", "spoiled", "--json").stdout)["good"] is False
    assert sailed.run("prove", "spoiled").returncode == 1
    refused = sailed.run("embed", "--model", "emb", "a cat", HARDTACK_PANTRY=str(weights.parents[1]))
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "model.safetensors" in refused.stderr


def test_prove_shows_every_model(sailed: Voyage) -> None:
    done = sailed.run("prove")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("proven")
    for key in ("classify", "emb", "rerank", "static"):
        assert f"\n{key} " in done.stdout
    report = json.loads(sailed.run("prove", "--json").stdout)
    assert report["proven"] is True
    assert {model["good"] for model in report["models"]} == {True}


def test_the_models_answer_from_a_pantry(sailed: Voyage) -> None:
    where = {"HARDTACK_PANTRY": str(sailed.folder / "pantry")}
    vectors = [
        json.loads(line)
        for line in sailed.run("embed", "--model", "emb", "a cat", "a dog", **where).stdout.splitlines()
    ]
    assert len(vectors) == 2
    assert len(vectors[0]) == len(vectors[1])
    assert vectors[0] != vectors[1]
    ranked = sailed.run("rerank", "a cat", "the dog sits", "the cat sits", "--top-k", "1", **where).stdout.splitlines()
    assert len(ranked) == 1
    assert len(ranked[0].split("\t")) == 3
    said = json.loads(sailed.run("classify", "light turns on", "--json", **where).stdout)["classified"][0]
    assert set(said["labels"]) == {"category", "priority"}
    assert sum(said["scores"]["category"].values()) == pytest.approx(1)


def test_the_models_answer_from_the_store_too(sailed: Voyage) -> None:
    done = sailed.run("embed", "--model", "tiny/bert", "a cat")
    assert done.returncode == 0, done.stderr
    assert sailed.run("embed", "a cat").returncode == 2  # two embedders are locked


def test_texts_come_from_stdin(sailed: Voyage) -> None:
    command = [sys.executable, "-m", "hardtack", "embed", "--model", "static"]
    environment = sailed.environment()
    done = subprocess.run(
        command, cwd=sailed.folder, env=environment, input="a cat\na dog\n", capture_output=True, text=True
    )
    assert len(done.stdout.splitlines()) == 2


def test_init_add_remove_leave_the_rest_of_the_file(voyage: Voyage) -> None:
    fresh = voyage.root / "fresh"
    assert voyage.run("init", str(fresh)).returncode == 0
    assert voyage.run("init", str(fresh)).returncode == 2
    assert voyage.run("add", "./static", "--as", "other", "--task", "embed").returncode == 0
    assert voyage.run("add", "tiny/bert").returncode in (0, 2)  # the Hub's tags may or may not say what it is for
    text = voyage.manifest.read_text()
    assert text.startswith("# what the tests ship\n")
    assert "[models.other]" in text
    assert voyage.run("remove", "other").returncode == 0
    assert "[models.other]" not in voyage.manifest.read_text()
    nobody = voyage.run("remove", "other")
    assert nobody.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "said"),
    [
        (("embed", "--model", "nobody", "x"), {}, 2, "hardtack add"),
        (("embed", "x"), {"HARDTACK_PANTRY": "/nowhere"}, 2, "/nowhere"),
        (("prove", "/nowhere"), {}, 2, "hardtack bake"),
        (("verify", "/nowhere"), {}, 2, "no pantry"),
        (("embed", "--model", "./static", "x"), {"HARDTACK_POLICY": "perhaps"}, 2, "HARDTACK_POLICY"),
        (("lock", "emb"), {}, 2, "--upgrade"),
        (("lock", "--upgrade", "nobody"), {}, 2, "nobody"),
        (("mirror", "--model", "nonsense"), {}, 2, "ID=DIR"),
        (("sail",), {}, 2, "sail"),
        (("add", "not a repo", "--task", "embed"), {}, 2, "namespace/name"),
    ],
)  # fmt: skip
def test_misuse_is_one_clear_error(
    sailed: Voyage, arguments: tuple[str, ...], environment: dict[str, str], code: int, said: str
) -> None:
    done = sailed.run(*arguments, **environment)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_has_its_fields_in_json(sailed: Voyage) -> None:
    done = sailed.run("prove", "/nowhere", "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert set(error) == {"kind", "what", "where", "expected", "found", "mend"}
    assert error["mend"] == "hardtack bake /nowhere"


@pytest.mark.parametrize("text", ["[models.emb\n", '[models.emb]\ntask = "embed"\nrepo = "a/b"\nrevison = "x"\n'])
def test_a_broken_manifest_is_named_with_its_line(voyage: Voyage, text: str) -> None:
    voyage.manifest.write_text(text)
    done = voyage.run("lock")
    assert done.returncode == 2
    assert "hardtack.toml:" in done.stderr


def test_a_hub_that_is_not_there_is_exit_3(voyage: Voyage) -> None:
    done = voyage.run("lock", HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 3
    assert "127.0.0.1:9" in done.stderr


def test_a_closed_pipe_is_no_error(sailed: Voyage) -> None:
    command = f"{sys.executable} -m hardtack list --files | head -n 1"
    done = subprocess.run(
        command, shell=True, cwd=sailed.folder, env=sailed.environment(), capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_a_pantry_that_is_signed(sailed: Voyage, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = (Pair.make(sailed.root, name) for name in ("ours", "theirs"))
    pantry = str(sailed.folder / "pantry")
    assert main(["verify", pantry, "--trust", str(ours.public)]) == 1
    assert "there is no signature" in capsys.readouterr().err
    assert main(["sign", pantry, "--key", str(ours.private)]) == 0
    assert capsys.readouterr().out == f"{pantry}/hardtack.lock.sig\n"
    assert main(["verify", pantry, "--trust", str(theirs.public), "--trust", str(ours.public)]) == 0
    assert "(ours.pub)" in capsys.readouterr().out
    assert main(["verify", pantry, "--trust", str(theirs.public)]) == 1
    assert "not trusted" in capsys.readouterr().err
    assert main(["verify", pantry, "--signature", "x.sig"]) == 2
