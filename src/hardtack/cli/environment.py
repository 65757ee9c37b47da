"""What the environment decides: of each thing its value and the variable that says so; and names of former days."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hardtack.places import find_lock, is_pantry, policy_of
from hardtack.settings import Settings, is_on
from hardtack.supply.health import Finding, Health

_CACHE = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "SENTENCE_TRANSFORMERS_HOME", "XDG_CACHE_HOME")
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_FORMER = {
    "TRANSFORMERS_CACHE": ("gone from transformers; hardtack still reads from it", "HF_HUB_CACHE"),
    "PYTORCH_TRANSFORMERS_CACHE": ("gone from transformers; hardtack still reads from it", "HF_HUB_CACHE"),
    "PYTORCH_PRETRAINED_BERT_CACHE": ("gone; read by nobody", "HF_HUB_CACHE"),
    "HUGGINGFACE_HUB_CACHE": ("deprecated, still read", "HF_HUB_CACHE"),
    "HUGGING_FACE_HUB_TOKEN": ("deprecated, still read", "HF_TOKEN"),
    "HF_HUB_ENABLE_HF_TRANSFER": ("ignored since huggingface_hub 1.0", ""),
    "EMBEDDING_MODEL": ("an embedder without a commit", "EMBED_REPO and EMBED_COMMIT"),
}
"""Former name → what it means now, and what to say instead."""


@dataclass(frozen=True)
class Decided:
    """One thing that was decided: what, how, and by which variable (``default`` where by none)."""

    what: str
    value: str
    source: str


def decisions(settings: Settings, environ: Mapping[str, str], start: Path) -> Iterator[Decided]:
    """Every decision that hardtack takes from the environment; tokens and keys are not shown.

    Args:
        settings: what was read of ``environ``.
        environ: the variables.
        start: where a lock is looked for upward.
    """

    def one(what: str, value: object, *names: str, nothing: str = "–") -> Decided:
        text = str(value) if value not in (None, "", (), frozenset()) else nothing
        return Decided(what, text, _first(environ, *names) or "default")

    lock = find_lock(settings, start)
    in_pantry = "the pantry's" if is_pantry(settings.pantry) else "found upward" if lock else "default"
    yield Decided("lock", str(lock or "none"), _first(environ, "HARDTACK_LOCK") or in_pantry)
    yield one("manifest", settings.manifest, "HARDTACK_MANIFEST", nothing="hardtack.toml, upward")
    yield one("pantry", settings.pantry, "HARDTACK_PANTRY")
    yield Decided("policy", policy_of(settings).value, _policy_source(settings, environ))
    yield one("verify", settings.verify.value, "HARDTACK_VERIFY")
    yield one("engine", settings.engine.value, "HARDTACK_ENGINE")
    yield one("device", settings.device, "HARDTACK_DEVICE")
    yield one("threads", settings.threads, "HARDTACK_THREADS", nothing="as many as are usable")
    yield one("expected digest", settings.expect, "HARDTACK_EXPECT", nothing="none")
    yield one("code may run of", ", ".join(sorted(settings.allow_code)), "HARDTACK_ALLOW_CODE", nothing="no model")
    yield one("API keys", f"{len(settings.api_keys)}" if settings.api_keys else "", "HARDTACK_API_KEYS", nothing="none")
    yield one("store", settings.hub_cache, *_CACHE)
    yield one("own folder", settings.own, *_CACHE)
    yield one("Hub", settings.endpoint, "HF_ENDPOINT")
    yield one("token", "set" if settings.token else "", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH",
              nothing="none")  # fmt: skip
    yield one("offline", "yes" if settings.offline else "no", *(n for n in _OFFLINE if is_on(environ.get(n))))
    yield one("silence allowed", f"{settings.timeout:g} s", "HF_HUB_DOWNLOAD_TIMEOUT")
    for task, path in settings.model_paths.items():
        yield one(f"{task} path", path, f"{task.upper()}_MODEL_PATH")
    for task, pin in settings.pins.items():
        names = (f"{task.upper()}_REPO", *(["EMBEDDING_MODEL"] if task == "embed" else []))
        yield one(f"{task} pin", f"{pin.repo}@{pin.commit or 'main'}", *names)
    yield one("dimension", settings.dimension, "EMBEDDING_DIM", nothing="the model's")
    yield one("pulled", ", ".join(settings.selected), "MODELS_TO_DOWNLOAD", nothing="all of the lock")
    yield one("read from, too", ", ".join(map(str, settings.legacy_caches)), "TRANSFORMERS_CACHE",
              "PYTORCH_TRANSFORMERS_CACHE", nothing="nothing else")  # fmt: skip
    yield one("colour", "no" if settings.no_color else "yes", "NO_COLOR")
    yield one("in CI", "yes" if settings.ci else "no", "CI")


def former_names(environ: Mapping[str, str]) -> Iterator[Finding]:
    """What names of former days that are set mean now."""
    for name, (meaning, now) in _FORMER.items():
        if environ.get(name):
            yield Finding("environment", Health.NOTE, f"{name}: {meaning}" + (f"; now {now}" if now else ""),
                          f"unset {name}")  # fmt: skip


def _first(environ: Mapping[str, str], *names: str) -> str:
    return next((name for name in names if environ.get(name, "").strip()), "")


def _policy_source(settings: Settings, environ: Mapping[str, str]) -> str:
    if settings.policy is not None:
        return "HARDTACK_POLICY"
    if settings.offline:
        return next(name for name in _OFFLINE if is_on(environ.get(name)))
    return "there is a pantry" if is_pantry(settings.pantry) else "default"
