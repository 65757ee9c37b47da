from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hardtack.errors import Misused
from hardtack.settings import DEFAULT_ENDPOINT, Pin, Policy, Verify, is_on, read_settings
from hardtack.spec.words import EngineName

HOME = {"HOME": "/home/me"}


def read(**env: str) -> Any:
    return read_settings({**HOME, **env})


def test_an_empty_environment() -> None:
    got = read()
    assert (got.lock, got.manifest, got.pantry, got.pantry_named) == (None, None, Path("/models"), False)
    assert (got.policy, got.verify, got.engine, got.device, got.threads) == (
        None, Verify.FULL, EngineName.AUTO, "cpu", None,
    )  # fmt: skip
    assert (got.expect, got.allow_code, got.api_keys) == ("", frozenset(), frozenset())
    assert got.hub_cache == Path("/home/me/.cache/huggingface/hub")
    assert got.own == Path("/home/me/.cache/huggingface/hardtack")
    assert (got.endpoint, got.endpoint_is_default, got.token) == (DEFAULT_ENDPOINT, True, None)
    assert (got.offline, got.timeout, got.no_color, got.ci) == (False, 10.0, False, False)
    assert (got.model_paths, got.pins, got.dimension, got.selected, got.legacy_caches) == ({}, {}, None, (), ())


def test_a_set_but_empty_variable_is_an_unset_one() -> None:
    names = (
        "HARDTACK_LOCK", "HARDTACK_MANIFEST", "HARDTACK_PANTRY", "HARDTACK_POLICY", "HARDTACK_VERIFY",
        "HARDTACK_ENGINE",
        "HARDTACK_DEVICE", "HARDTACK_THREADS", "HARDTACK_EXPECT", "HARDTACK_ALLOW_CODE", "HARDTACK_API_KEYS", "HF_HOME",
        "HF_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DOWNLOAD_TIMEOUT",
        "SENTENCE_TRANSFORMERS_HOME", "XDG_CACHE_HOME", "NO_COLOR", "CI", "EMBED_MODEL_PATH", "EMBED_REPO",
        "EMBED_COMMIT", "EMBEDDING_MODEL", "EMBEDDING_DIM", "MODELS_TO_DOWNLOAD", "TRANSFORMERS_CACHE",
    )  # fmt: skip
    for blank in ("", "  "):
        got = read(**{name: blank for name in names if (name, blank) != ("NO_COLOR", "  ")})
        assert got == read()


@pytest.mark.parametrize(
    ("env", "field", "value"),
    [
        ({"HARDTACK_LOCK": "/x/hardtack.lock"}, "lock", Path("/x/hardtack.lock")),
        ({"HARDTACK_MANIFEST": "~/m.toml"}, "manifest", Path("/home/me/m.toml")),
        ({"HARDTACK_PANTRY": "$HOME/pantry"}, "pantry", Path("/home/me/pantry")),
        ({"HARDTACK_PANTRY": "/models"}, "pantry_named", True),
        ({"HARDTACK_POLICY": "strict"}, "policy", Policy.STRICT),
        ({"HARDTACK_POLICY": "ONLINE"}, "policy", Policy.ONLINE),
        ({"HARDTACK_VERIFY": "stat"}, "verify", Verify.STAT),
        ({"HARDTACK_ENGINE": "openvino"}, "engine", EngineName.OPENVINO),
        ({"HARDTACK_DEVICE": "cuda:1"}, "device", "cuda:1"),
        ({"HARDTACK_THREADS": " 4 "}, "threads", 4),
        ({"HARDTACK_EXPECT": "sha256:ab"}, "expect", "sha256:ab"),
        ({"HARDTACK_ALLOW_CODE": "emb, rerank x"}, "allow_code", frozenset({"emb", "rerank", "x"})),
        ({"HARDTACK_API_KEYS": "one,two"}, "api_keys", frozenset({"one", "two"})),
        ({"HF_ENDPOINT": "http://127.0.0.1:8000/"}, "endpoint", "http://127.0.0.1:8000"),
        ({"HF_ENDPOINT": "https://mirror.example/hub"}, "endpoint_is_default", False),
        ({"HF_ENDPOINT": DEFAULT_ENDPOINT + "/"}, "endpoint_is_default", True),
        ({"HF_TOKEN": "t1", "HUGGING_FACE_HUB_TOKEN": "t2"}, "token", "t1"),
        ({"HUGGING_FACE_HUB_TOKEN": "t2\n"}, "token", "t2"),
        ({"HF_HUB_OFFLINE": "1"}, "offline", True),
        ({"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "yes"}, "offline", True),
        ({"HF_HUB_OFFLINE": "false", "TRANSFORMERS_OFFLINE": "0"}, "offline", False),
        ({"HF_HUB_DOWNLOAD_TIMEOUT": "30"}, "timeout", 30.0),
        ({"EMBED_MODEL_PATH": "/m/e", "RERANK_MODEL_PATH": "/m/r"}, "model_paths",
         {"embed": Path("/m/e"), "rerank": Path("/m/r")}),
        ({"EMBED_REPO": "o/r", "EMBED_COMMIT": "c" * 40}, "pins", {"embed": Pin("o/r", "c" * 40)}),
        ({"RERANK_REPO": "o/r"}, "pins", {"rerank": Pin("o/r", "")}),
        ({"CLASSIFY_REPO": "o/c"}, "pins", {"classify": Pin("o/c", "")}),
        ({"EMBEDDING_MODEL": "minilm"}, "pins", {"embed": Pin("minilm", "")}),
        ({"EMBEDDING_MODEL": "minilm", "EMBED_REPO": "o/r"}, "pins", {"embed": Pin("o/r", "")}),
        ({"EMBEDDING_DIM": "384"}, "dimension", 384),
        ({"MODELS_TO_DOWNLOAD": "emb,org/name  x"}, "selected", ("emb", "org/name", "x")),
        ({"TRANSFORMERS_CACHE": "/t", "PYTORCH_TRANSFORMERS_CACHE": "/p"}, "legacy_caches", (Path("/t"), Path("/p"))),
        ({"TRANSFORMERS_CACHE": "/t", "HF_HUB_CACHE": "/t"}, "legacy_caches", ()),
        ({"NO_COLOR": "0"}, "no_color", True),
        ({"CI": "true"}, "ci", True),
        ({"CI": "false"}, "ci", False),
    ],
)  # fmt: skip
def test_each_variable(env: dict[str, str], field: str, value: object) -> None:
    assert getattr(read(**env), field) == value


@pytest.mark.parametrize(
    ("env", "cache"),
    [
        ({"HF_HUB_CACHE": "/a", "HUGGINGFACE_HUB_CACHE": "/b", "HF_HOME": "/c"}, "/a"),
        ({"HUGGINGFACE_HUB_CACHE": "/b", "HF_HOME": "/c"}, "/b"),
        ({"HF_HOME": "/c", "SENTENCE_TRANSFORMERS_HOME": "/d", "XDG_CACHE_HOME": "/e"}, "/c/hub"),
        ({"SENTENCE_TRANSFORMERS_HOME": "/d", "XDG_CACHE_HOME": "/e"}, "/d"),
        ({"XDG_CACHE_HOME": "/e"}, "/e/huggingface/hub"),
        ({"HF_HOME": "~"}, "/home/me/hub"),
        ({"HF_HOME": "${DATA}/hf", "DATA": "/data"}, "/data/hf/hub"),
        ({"HF_HOME": "/x/$UNKNOWN"}, "/x/$UNKNOWN/hub"),
    ],
)
def test_precedence_of_caches(env: dict[str, str], cache: str) -> None:
    got = read(**env)
    assert got.hub_cache == Path(cache)
    assert got.own == Path(cache).parent / "hardtack"


def test_the_cache_is_the_one_that_huggingface_hub_means(monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    source = Path(constants.__file__)
    for env in ({}, {"HF_HOME": "~/x"}, {"HF_HOME": "$HOME/y"}, {"HF_HUB_CACHE": "/z"}, {"XDG_CACHE_HOME": "/e"}):
        for name in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        fresh: dict[str, Any] = {
            "__name__": "fresh_constants",
            "__package__": "huggingface_hub",
            "__file__": str(source),
        }
        exec(compile(source.read_text(), source, "exec"), fresh)
        assert str(read_settings().hub_cache) == fresh["HF_HUB_CACHE"]


def test_token_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(" secret\n")
    (tmp_path / "other").write_text("other")
    (tmp_path / "blank").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    home = str(tmp_path)
    assert read(HF_HOME=home).token == "secret"
    assert read(HF_HOME=home, HF_TOKEN_PATH=str(tmp_path / "other")).token == "other"
    assert read(HF_HOME=home, HF_TOKEN="said").token == "said"
    for none in ("blank", "binary", "missing", "."):
        assert read(HF_TOKEN_PATH=str(tmp_path / none)).token is None


def test_secrets_are_not_shown() -> None:
    text = repr(read(HF_TOKEN="hf_secret", HARDTACK_API_KEYS="sk_secret"))
    assert "secret" not in text


def test_a_user_without_a_home_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it does for a user in no passwd file
    assert read_settings({}).pantry == Path("/models")


@pytest.mark.parametrize("word", [None, "", " ", "0", "false", "False", "NO", "off", " 0 "])
def test_off_words(word: str | None) -> None:
    assert not is_on(word)


@pytest.mark.parametrize("word", ["1", "true", "YES", "on", "2", "offline", "strict"])
def test_on_words(word: str) -> None:
    assert is_on(word)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("HARDTACK_POLICY", "lax", "strict, online"),
        ("HARDTACK_VERIFY", "none", "full, stat"),
        ("HARDTACK_ENGINE", "onnx", "auto, openvino, native, torch"),
        ("HARDTACK_THREADS", "0", "a whole number from 1 to 999999999"),
        ("HARDTACK_THREADS", "two", "a whole number from 1 to 999999999"),
        ("HARDTACK_THREADS", "-1", "a whole number from 1 to 999999999"),
        ("HARDTACK_THREADS", "²", "a whole number from 1 to 999999999"),
        ("EMBEDDING_DIM", "9" * 5000, "a whole number from 1 to 999999999"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "0.5", "a whole number from 1 to 999999999"),
        ("HF_ENDPOINT", "mirror.example", "https://host, or http://host"),
        ("HF_ENDPOINT", "ftp://mirror.example", "https://host, or http://host"),
        ("HF_ENDPOINT", "https://", "https://host, or http://host"),
    ],
)
def test_what_cannot_be_is_refused_by_name(name: str, value: str, expected: str) -> None:
    with pytest.raises(Misused) as caught:
        read(**{name: value})
    assert caught.value.where == f"the environment variable {name}"
    assert caught.value.what.startswith(f"{name} ")
    assert caught.value.expected == expected
    assert caught.value.found == value.rstrip("/")
    assert caught.value.mend == f"unset {name}"


def test_the_process_environment_is_read_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDTACK_THREADS", "3")
    assert read_settings().threads == 3
    monkeypatch.setenv("HARDTACK_THREADS", "5")
    assert read_settings().threads == 5
