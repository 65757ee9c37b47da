"""The environment, read in one place, when asked and never at import.

Every variable is parsed here, once, into a frozen :class:`Settings`; no other room looks at ``os.environ`` for what
hardtack is to do. Huggingface_hub reads its own at import, which is why supply passes roots and tokens explicitly.

Where several variables say one thing, the first that is set and not empty wins:

===============  =======================================================================================================
what             in this order
===============  =======================================================================================================
``hub_cache``    ``HF_HUB_CACHE``, ``HUGGINGFACE_HUB_CACHE``, ``HF_HOME``/hub, ``SENTENCE_TRANSFORMERS_HOME``,
                 ``XDG_CACHE_HOME``/huggingface/hub, ~/.cache/huggingface/hub
``token``        ``HF_TOKEN``, ``HUGGING_FACE_HUB_TOKEN``, the file ``HF_TOKEN_PATH``, the file ``HF_HOME``/token
``pins[embed]``  ``EMBED_REPO``, ``EMBEDDING_MODEL``
``offline``      on if either of ``HF_HUB_OFFLINE`` and ``TRANSFORMERS_OFFLINE`` is on
===============  =======================================================================================================

Proxies, ``SSL_CERT_FILE`` and the like are the transport's own and are left to it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from hardtack.errors import Misused
from hardtack.spec.words import EngineName

DEFAULT_ENDPOINT = "https://huggingface.co"
E = TypeVar("E", bound=StrEnum)
_COUNT = re.compile(r"0*[1-9][0-9]{0,8}\Z", re.ASCII)
_ENDPOINT = re.compile(r"https?://[^\s/]+(?:/\S*)?\Z", re.IGNORECASE)
_NAME = re.compile(r"\$(?:(\w+)|\{([^}]*)\})", re.ASCII)
_OFF = frozenset({"", "0", "false", "no", "off"})


class Policy(StrEnum):
    """Whether loading may reach for the Hub."""

    STRICT = "strict"
    ONLINE = "online"


class Verify(StrEnum):
    """How a load checks bytes: all hashes, or sizes only."""

    FULL = "full"
    STAT = "stat"


@dataclass(frozen=True)
class Pin:
    """A model named by the environment alone, as the 2024-era guides do: ``EMBED_REPO`` and ``EMBED_COMMIT``."""

    repo: str
    commit: str


@dataclass(frozen=True)
class Settings:
    """What the environment says; see DESIGN §4 for the variables.

    Attributes:
        lock, manifest: explicit files, or None.
        pantry: where a pantry would lie; ``pantry_named`` where somebody said so.
        policy: as said, or None where the places decide (strict wherever a pantry exists or ``offline``).
        verify, engine, device, threads: for loading.
        golden: ``HARDTACK_VERIFY=full`` is said outright: every load also asks the golden answers. All hashes are
            compared without that, too; unsaid, no load pays for sixteen texts.
        expect: the digest a pantry must have, or empty.
        allow_code: keys whose remote code may run.
        hub_cache: the standard Hugging Face cache (the folder with ``models--…``).
        own: hardtack's own folder beside it (builds).
        endpoint, endpoint_is_default, token, offline, timeout: for supply. ``timeout`` is in seconds of silence.
        model_paths: ``EMBED_MODEL_PATH`` and ``RERANK_MODEL_PATH`` by task.
        pins: ``EMBED_REPO``/``COMMIT`` and kin by task; ``EMBEDDING_MODEL`` counts as an embed repo without commit.
        dimension: ``EMBEDDING_DIM``, checked against the model, or None.
        selected: ``MODELS_TO_DOWNLOAD``, or empty for all.
        legacy_caches: folders that old variables point at; read from, never written to.
        api_keys: ``HARDTACK_API_KEYS``, any of which a server takes; empty where it asks for none.
        no_color: ``NO_COLOR`` is set, to whatever.
        ci: ``CI`` is on.
    """

    lock: Path | None
    manifest: Path | None
    pantry: Path
    pantry_named: bool
    policy: Policy | None
    verify: Verify
    engine: EngineName
    device: str
    threads: int | None
    expect: str
    allow_code: frozenset[str]
    hub_cache: Path
    own: Path
    endpoint: str
    endpoint_is_default: bool
    token: str | None = field(repr=False)
    offline: bool
    timeout: float
    model_paths: Mapping[str, Path]
    pins: Mapping[str, Pin]
    dimension: int | None
    selected: tuple[str, ...]
    legacy_caches: tuple[Path, ...]
    api_keys: frozenset[str] = field(default=frozenset(), repr=False)
    no_color: bool = False
    ci: bool = False
    golden: bool = False


def is_on(value: str | None) -> bool:
    """Whether a flag variable is on: unset, empty, ``0``, ``false``, ``no`` and ``off`` are off."""
    return value is not None and value.strip().lower() not in _OFF


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment as it is now.

    Args:
        environ: instead of the process's own.

    Raises:
        Misused: a variable holds what it cannot; named, with what was expected.
    """
    env = os.environ if environ is None else environ

    def text(name: str, default: str = "") -> str:
        return env.get(name, "").strip() or default

    def path(name: str) -> Path | None:
        return Path(_expanded(text(name), env)) if text(name) else None

    home = path("HF_HOME") or (path("XDG_CACHE_HOME") or Path(_expanded("~/.cache", env))) / "huggingface"
    # sentence-transformers takes its home for the hub cache itself; the Hub's own variables are the more exact word
    cache = path("HF_HUB_CACHE") or path("HUGGINGFACE_HUB_CACHE")
    if cache is None:
        cache = home / "hub" if path("HF_HOME") else path("SENTENCE_TRANSFORMERS_HOME") or home / "hub"
    legacy = [found for name in ("TRANSFORMERS_CACHE", "PYTORCH_TRANSFORMERS_CACHE") if (found := path(name))]
    endpoint = text("HF_ENDPOINT", DEFAULT_ENDPOINT).rstrip("/")
    if not _ENDPOINT.match(endpoint):
        raise _misused("HF_ENDPOINT", "is no address", "https://host, or http://host", endpoint)
    pins: dict[str, Pin] = {}
    for task in ("embed", "rerank", "classify"):
        repo = text(f"{task.upper()}_REPO") or (text("EMBEDDING_MODEL") if task == "embed" else "")
        if repo:
            pins[task] = Pin(repo, text(f"{task.upper()}_COMMIT"))
    return Settings(
        lock=path("HARDTACK_LOCK"),
        manifest=path("HARDTACK_MANIFEST"),
        pantry=path("HARDTACK_PANTRY") or Path("/models"),
        pantry_named=path("HARDTACK_PANTRY") is not None,
        policy=_word(Policy, "HARDTACK_POLICY", text("HARDTACK_POLICY")),
        verify=_word(Verify, "HARDTACK_VERIFY", text("HARDTACK_VERIFY")) or Verify.FULL,
        engine=_word(EngineName, "HARDTACK_ENGINE", text("HARDTACK_ENGINE")) or EngineName.AUTO,
        device=text("HARDTACK_DEVICE", "cpu"),
        threads=_number("HARDTACK_THREADS", text("HARDTACK_THREADS")),
        expect=text("HARDTACK_EXPECT"),
        allow_code=frozenset(text("HARDTACK_ALLOW_CODE").replace(",", " ").split()),
        hub_cache=cache,
        own=cache.parent / "hardtack",
        endpoint=endpoint,
        endpoint_is_default=endpoint == DEFAULT_ENDPOINT,
        token=text("HF_TOKEN")
        or text("HUGGING_FACE_HUB_TOKEN")
        or _token_file(path("HF_TOKEN_PATH") or home / "token"),
        offline=is_on(env.get("HF_HUB_OFFLINE")) or is_on(env.get("TRANSFORMERS_OFFLINE")),
        timeout=float(_number("HF_HUB_DOWNLOAD_TIMEOUT", text("HF_HUB_DOWNLOAD_TIMEOUT")) or 10),
        model_paths={
            task: found
            for task, name in (("embed", "EMBED_MODEL_PATH"), ("rerank", "RERANK_MODEL_PATH"))
            if (found := path(name))
        },
        pins=pins,
        dimension=_number("EMBEDDING_DIM", text("EMBEDDING_DIM")),
        selected=tuple(text("MODELS_TO_DOWNLOAD").replace(",", " ").split()),
        legacy_caches=tuple(folder for folder in dict.fromkeys(legacy) if folder != cache),
        api_keys=frozenset(text("HARDTACK_API_KEYS").replace(",", " ").split()),
        no_color=bool(env.get("NO_COLOR")),
        ci=is_on(env.get("CI")),
        golden=_word(Verify, "HARDTACK_VERIFY", text("HARDTACK_VERIFY")) is Verify.FULL,
    )


def _expanded(value: str, env: Mapping[str, str]) -> str:
    """``~`` and ``$NAME`` put in, as huggingface_hub does for its paths, so that both mean one folder.

    A home that nobody knows stays ``~``: a container's nameless user needs none to load from a pantry.
    """
    if value == "~" or value.startswith("~/"):
        value = env["HOME"].rstrip("/") + value[1:] if "HOME" in env else os.path.expanduser(value)  # noqa: PTH111
    return _NAME.sub(lambda name: env.get(name[1] or name[2], name[0]), value)


def _word(kind: type[E], name: str, value: str) -> E | None:
    if not value:
        return None
    try:
        return kind(value.lower())
    except ValueError:
        known = ", ".join(word.value for word in kind)
        raise _misused(name, "holds a word that is not known", known, value) from None


def _number(name: str, value: str) -> int | None:
    if not value:
        return None
    if not _COUNT.match(value):
        raise _misused(name, "is not a number", "a whole number from 1 to 999999999", value)
    return int(value)


def _misused(name: str, what: str, expected: str, found: str) -> Misused:
    return Misused(
        f"{name} {what}", where=f"the environment variable {name}", expected=expected, found=found,
        mend=f"unset {name}",
    )  # fmt: skip


def _token_file(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None  # huggingface_hub treats a token file that cannot be read as no token, too
