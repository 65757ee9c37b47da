"""diff, list, cache, doctor and the rest of lock, pull and init, as a user types them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hardtack.cli import cli, main
from hardtack.mirror import Served
from hardtack.spec.lock_text import read_lock
from tests.hub import FixtureHub
from tests.models import make_bert
from tests.voyage import Voyage


class Shore:
    """A project that is locked and pulled, and the command line in this process."""

    def __init__(self, voyage: Voyage, patch: pytest.MonkeyPatch) -> None:
        self.voyage, self.patch = voyage, patch
        self.lock = voyage.folder / "hardtack.lock"
        patch.chdir(voyage.folder)
        self.set(HF_HOME=voyage.root / "hf", HF_ENDPOINT=voyage.hub.url, HARDTACK_PANTRY=voyage.root / "none")

    def set(self, **variables: object) -> None:
        for name, value in variables.items():
            self.patch.setenv(name, str(value))

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, list(arguments), standalone_mode=False)

    def json(self, *arguments: str) -> dict[str, object]:
        done = self.run(*arguments, "--json")
        assert done.exception is None, done.exception
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found

    def says(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr, as the console script has them."""
        code = main(arguments)
        out, err = capsys.readouterr()
        return code, out, err


@pytest.fixture
def shore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shore]:
    with Voyage(tmp_path) as voyage:
        shore = Shore(voyage, monkeypatch)
        assert shore.run("lock", "-q").exception is None
        yield shore


def moved(voyage: Voyage) -> FixtureHub:
    """The Hub after tiny/bert has got other weights; the old commit is still there."""
    commit = read_lock(voyage.folder / "hardtack.lock").find("emb").commit
    old, new = voyage.served["tiny/bert"], make_bert(voyage.root / "newer", seed=1)
    rest = [Served(repo, path) for repo, path in voyage.served.items() if repo != "tiny/bert"]
    return FixtureHub(Served("tiny/bert", new), Served("tiny/bert", old, commit=commit, refs=()), *rest)


def test_diff_of_two_locks_and_of_what_an_upgrade_would_change(
    shore: Shore, capsys: pytest.CaptureFixture[str]
) -> None:
    before = shore.voyage.root / "before.lock"
    shutil.copy(shore.lock, before)
    assert shore.says(capsys, "diff", str(before))[0] == 0
    with moved(shore.voyage) as hub:
        shore.set(HF_ENDPOINT=hub.url)
        code, out, _ = shore.says(capsys, "diff", "--upgrade", "emb")
        assert code == 1
        assert "model.safetensors" in out
        assert "must be re-embedded" in out
        assert shore.lock.read_bytes() == before.read_bytes()
        assert hub.count("GET", "model.safetensors") == 0
        assert shore.says(capsys, "lock", "--upgrade", "emb", "-q")[0] == 0
    found = shore.json("diff", str(before), str(shore.lock))
    (model,) = found["models"]  # type: ignore[misc]
    assert (found["same"], model["key"], model["vectors"]) == (False, "emb", "re-embed")  # type: ignore[has-type]
    assert shore.says(capsys, "diff")[0] == 2


def test_check_online_holds_the_lock_against_any_hub(shore: Shore, capsys: pytest.CaptureFixture[str]) -> None:
    assert shore.says(capsys, "lock", "--check", "--online")[0] == 0
    bert = shore.voyage.served["tiny/bert"]
    commit = read_lock(shore.lock).find("emb").commit
    make_bert(bert, seed=5)
    with FixtureHub(Served("tiny/bert", bert, commit=commit), Served("tiny/t5", shore.voyage.served["tiny/t5"])) as hub:
        shore.set(HF_ENDPOINT=hub.url)
        code, out, _ = shore.says(capsys, "lock", "--check", "--online")
        assert code == 1
        assert "model.safetensors" in out
        assert "tiny/ranker" in out
        assert "classify" not in out
        assert {row["key"] for row in shore.json("lock", "--check", "--online")["drifts"]} == {"emb", "rerank"}  # type: ignore[attr-defined]
    assert shore.says(capsys, "lock", "--online")[0] == 2


def test_check_holds_the_policy(shore: Shore, capsys: pytest.CaptureFixture[str]) -> None:
    assert shore.says(capsys, "lock", "--check")[0] == 0
    manifest = shore.voyage.manifest
    manifest.write_text(manifest.read_text() + '\n[policy]\nallow-licenses = ["mit"]\n')
    code, _, err = shore.says(capsys, "lock", "--check")
    assert code == 1
    assert "policy does not allow" in err
    assert shore.says(capsys, "lock")[0] == 1


def test_a_dotenv_out_and_in(shore: Shore, capsys: pytest.CaptureFixture[str]) -> None:
    # two embedders, but one of them is a directory
    env = shore.voyage.root / ".env"
    env.write_text("SECRET=mine\nEMBED_COMMIT=old\n")
    assert shore.says(capsys, "lock", "--check", "--env", str(env))[0] == 1
    assert shore.says(capsys, "lock", "--env", str(env), "-q")[0] == 0
    lock = read_lock(shore.lock)
    assert env.read_text().splitlines()[:3] == [
        "SECRET=mine", f"EMBED_COMMIT={lock.find('emb').commit}", "EMBED_REPO=tiny/bert",
    ]  # fmt: skip
    assert shore.says(capsys, "lock", "--check", "--env", str(env))[0] == 0
    fresh = shore.voyage.root / "fresh"
    assert shore.says(capsys, "init", str(fresh), "--env", str(env), "-q")[0] == 0
    shore.patch.chdir(fresh)
    assert shore.says(capsys, "lock", "-q")[0] == 0
    again = read_lock(fresh / "hardtack.lock")
    assert [(m.key, m.repo, m.commit) for m in again.models] == [
        (m.key, m.repo, m.commit) for m in lock.models if m.source == "hub"
    ]
    env.write_text("A=1\n")
    assert shore.says(capsys, "init", str(shore.voyage.root / "other"), "--env", str(env))[0] == 2


def test_a_list_is_a_tree_or_a_table_for_a_readme(shore: Shore) -> None:
    out = shore.run("list", "--files").stdout
    assert "emb (embed): tiny/bert@" in out
    assert "  model.safetensors" in out
    assert "└─ labels priority: high, medium, low" in out
    rows = shore.run("list", "--format", "markdown").stdout.splitlines()
    assert rows[0].startswith("| key | task |")
    assert any("[tiny/bert](https://huggingface.co/tiny/bert)" in row for row in rows)
    assert len({row.count("|") for row in rows}) == 1


def test_pull_from_a_directory_asks_nobody(shore: Shore, capsys: pytest.CaptureFixture[str]) -> None:
    shore.set(HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=shore.voyage.root / "other")
    code, out, _ = shore.says(capsys, "pull", "--from", str(shore.voyage.served["tiny/bert"]))
    assert code == 1
    assert "tiny/ranker: model.safetensors" in out
    assert shore.says(capsys, "pull", "--from", str(shore.voyage.root))[0] == 0
    assert shore.says(capsys, "verify", "-q")[0] == 0
    assert shore.says(capsys, "pull", "--from", "/nowhere")[0] == 2


def test_any_directory_is_held_against_the_lock(shore: Shore, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shore.voyage.root / "by-hand"
    shutil.copytree(shore.voyage.served["tiny/bert"], folder)
    for name in {path.name for path in folder.iterdir()} - {f.path for f in read_lock(shore.lock).find("emb").files}:
        if (folder / name).is_file():
            (folder / name).unlink()
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x").write_text("another tool's")
    shore.set(HF_ENDPOINT="http://127.0.0.1:9")
    code, out, _ = shore.says(capsys, "verify", str(folder), "--model", "tiny/bert")
    assert (code, "as locked" in out) == (0, True), out
    (folder / "extra.py").write_text("")
    weights = folder / "model.safetensors"
    weights.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n")
    (folder / "config.json").unlink()
    (checked,) = shore_checked(shore, "verify", str(folder), "--model", "emb")
    assert {(row["kind"], row["path"]) for row in checked["findings"]} == {
        ("extra", "extra.py"), ("missing", "config.json"), ("pointer", "model.safetensors"),
    }  # fmt: skip
    assert shore.says(capsys, "verify", "--model", "emb")[0] == 2
    assert shore.says(capsys, "verify", "/nowhere", "--model", "emb")[0] == 2


def shore_checked(shore: Shore, *arguments: str) -> list[dict[str, list[dict[str, str]]]]:
    checked = shore.json(*arguments)["checked"]
    assert isinstance(checked, dict)
    return list(checked.values())


def test_models_to_download_selects_and_an_unknown_name_is_an_error(
    shore: Shore, capsys: pytest.CaptureFixture[str]
) -> None:
    shore.set(MODELS_TO_DOWNLOAD="emb,nobody")
    code, _, err = shore.says(capsys, "pull")
    assert code == 2
    assert "nobody" in err
    assert not list((shore.voyage.root / "hf" / "hub").rglob("*safetensors"))
    shore.set(MODELS_TO_DOWNLOAD="tiny/bert ranker")
    assert shore.says(capsys, "pull", "-q")[0] == 0
    assert len(list((shore.voyage.root / "hf" / "hub").rglob("*safetensors"))) == 2


def test_the_cache_says_who_keeps_what_and_prunes_only_when_told(
    shore: Shore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shore.says(capsys, "pull", "-q")[0] == 0
    rows = shore.json("cache")["snapshots"]
    assert {row["repo"] for row in rows} == {"tiny/bert", "tiny/ranker", "tiny/t5"}  # type: ignore[attr-defined]
    assert all("project" in row["keepers"][0] for row in rows)  # type: ignore[attr-defined]
    assert "kept by" in shore.says(capsys, "cache")[1]
    with moved(shore.voyage) as hub:
        shore.set(HF_ENDPOINT=hub.url)
        assert shore.says(capsys, "lock", "--upgrade", "-q")[0] == 0
        assert shore.says(capsys, "pull", "-q")[0] == 0
    for arguments in ((), ("--dry-run",), ("--dry-run", "--yes")):
        code, out, err = shore.says(capsys, "cache", "prune", *arguments)
        assert (code, out.count("tiny/bert")) == (0, 1)
        assert "hardtack cache prune --yes" in err
    assert len(shore.json("cache")["snapshots"]) == 4  # type: ignore[arg-type]
    assert shore.json("cache", "prune", "--yes")["removed"] is True
    assert len(shore.json("cache")["snapshots"]) == 3  # type: ignore[arg-type]
    assert "nothing to prune" in shore.says(capsys, "cache", "prune", "--yes")[2]
    assert shore.says(capsys, "verify", "-q")[0] == 0


def test_the_cache_moves_and_serves(shore: Shore, capsys: pytest.CaptureFixture[str]) -> None:
    assert shore.says(capsys, "pull", "-q")[0] == 0
    disk = shore.voyage.root / "disk"
    code, out, _ = shore.says(capsys, "cache", "move", str(disk))
    assert (code, out) == (0, f"export HF_HUB_CACHE={disk / 'hub'}\n")
    assert shore.says(capsys, "verify", "-q")[0] == 1
    shore.set(HF_HUB_CACHE=disk / "hub", HF_ENDPOINT="http://127.0.0.1:9")
    assert shore.says(capsys, "verify", "-q")[0] == 0
    assert shore.says(capsys, "pull", "-q")[0] == 0


def test_a_token_goes_to_another_hub_only_when_told(shore: Shore, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shore.voyage.served["tiny/bert"]
    with FixtureHub(Served("tiny/bert", folder, private=True), token="secret") as hub:
        shore.set(HF_ENDPOINT=hub.url, HF_TOKEN="secret")
        code, _, err = shore.says(capsys, "add", "tiny/bert", "--as", "mine")
        assert code != 0
        assert "not the default Hub" in err
        assert "secret" not in err
        fresh = shore.voyage.root / "fresh"
        assert shore.says(capsys, "init", str(fresh), "-q")[0] == 0
        shore.patch.chdir(fresh)
        assert shore.says(capsys, "add", "tiny/bert", "--task", "embed", "-q")[0] == 0
        assert shore.says(capsys, "lock")[0] != 0
        code, _, err = shore.says(capsys, "lock", "--send-token")
        assert (code, hub.url in err) == (0, True)
        assert shore.says(capsys, "pull", "--send-token", "-q")[0] == 0
