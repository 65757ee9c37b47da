"""What the standard Hugging Face cache holds besides a snapshot's files: names and bytes, as values.

The layout is huggingface_hub's (``models--namespace--name/{snapshots,refs,trees,.no_exist}``). Where a pantry is laid
out as such a cache, all of this follows from its lock, so that it is verified like every other file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from hardtack.spec.digest import POINTER_PREFIX, hash_bytes
from hardtack.spec.lock import Lock, LockedFile, LockedModel
from hardtack.spec.names import is_commit

# What transformers and sentence-transformers ask for without knowing whether it is there; a marker saves the question.
PROBED = (
    "adapter_config.json", "added_tokens.json", "chat_template.jinja", "config_sentence_transformers.json",
    "generation_config.json", "modules.json", "preprocessor_config.json", "processor_config.json",
    "sentence_bert_config.json", "special_tokens_map.json", "video_preprocessor_config.json", "vocab.txt",
)  # fmt: skip
CACHE_TAG = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n# This directory holds downloaded models and can be made again.\n"
    b"# See https://bford.info/cachedir/\n"
)
TREE_FORMAT = 1


def repo_folder(repo: str) -> str:
    """``models--namespace--name``."""
    return "models--" + repo.replace("/", "--")


def snapshot_folder(model: LockedModel) -> str:
    """Where a cache has the files of a model of the Hub, relative to the cache."""
    return f"{repo_folder(model.repo)}/snapshots/{model.commit}"


def tree_row(file: LockedFile) -> dict[str, Any]:
    """A file's row in ``trees/<commit>.json``."""
    if file.git:
        return {"size": file.size, "blob_id": file.git}
    # kept in LFS: git's blob id is that of the pointer, https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
    pointer = POINTER_PREFIX + f"oid sha256:{file.sha256}\nsize {file.size}\n".encode()
    return {
        "size": file.size, "blob_id": hash_bytes(pointer).git, "lfs_sha256": file.sha256, "lfs_size": file.size,
    }  # fmt: skip


def tree_text(rows: Mapping[str, Mapping[str, Any]]) -> bytes:
    """``trees/<commit>.json``."""
    return json.dumps({"format_version": TREE_FORMAT, "files": dict(sorted(rows.items()))}, indent=1).encode()


def cache_files(lock: Lock) -> dict[str, bytes]:
    """What goes by path beside the snapshots of a pantry that is laid out as a cache; empty where none is.

    The tree lists just what is there, since huggingface_hub takes a listed file that is not there for an interrupted
    download. A name that programs probe for is marked as absent: offline it cannot be had from anywhere else. A
    repository that is locked at one commit alone is found by its name without a revision, too.
    """
    models = [model for model in lock.models if model.commit and model.folder == snapshot_folder(model)]
    files = {"CACHEDIR.TAG": CACHE_TAG} if models else {}
    for model in models:
        home, there = repo_folder(model.repo), {file.path for file in model.files}
        files[f"{home}/trees/{model.commit}.json"] = tree_text({file.path: tree_row(file) for file in model.files})
        files |= {f"{home}/.no_exist/{model.commit}/{name}": b"" for name in PROBED if name not in there}
        alone = len({other.commit for other in models if other.repo == model.repo}) == 1
        for ref in _refs(model.requested, ["main"] if alone else []):
            # no newline: huggingface_hub reads it without stripping
            files[f"{home}/refs/{ref}"] = model.commit.encode()
    return files


def _refs(requested: str, besides: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*([] if not requested or is_commit(requested) else [requested]), *besides]))
