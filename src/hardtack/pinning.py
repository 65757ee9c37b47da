"""A lock for models that the environment alone names (``EMBED_REPO``, ``EMBED_COMMIT``): no manifest, no lock.

The first use, which must be online, finds out what the repository is to the byte and writes that down in the store;
from then on that is enforced like any lock, online or not.
"""

from __future__ import annotations

from pathlib import Path

from hardtack.errors import UnknownModel
from hardtack.places import policy_of, store_of
from hardtack.settings import Pin, Policy, Settings
from hardtack.spec.lock import Lock
from hardtack.spec.lock_text import write_lock
from hardtack.spec.manifest import Manifest, WantedModel
from hardtack.spec.words import Task

_KEYS = {Task.EMBED: "emb", Task.RERANK: "rerank", Task.CLASSIFY: "classify"}


def pinned_lock(pin: Pin, task: Task, settings: Settings) -> Path:
    """The lock of a pin, made if this is its first use.

    Args:
        pin: repository and, if given, commit.
        task: what it is for.
        settings: where the store is, and whether the Hub may be asked.

    Raises:
        UnknownModel: there is none yet, and the policy is strict.
        HardtackError: as the Hub answered.
    """
    revision = pin.commit or "main"
    name = f"{task.value}--{pin.repo.replace('/', '--')}--{revision.replace('/', '--')}.lock"
    path = store_of(settings).own / "pins" / name
    if path.is_file():
        return path
    if policy_of(settings) is Policy.STRICT:
        raise UnknownModel(
            f"{task.value.upper()}_REPO names a model that no lock has, and the policy is strict", where=str(path),
            expected="a lock, made online once", found="no such file",
            mend=f"hardtack add {pin.repo} --task {task.value}",
        )  # fmt: skip
    from hardtack.supply.hub import Hub
    from hardtack.supply.resolve import resolve

    wanted = WantedModel(_KEYS[task], task, pin.repo, revision)
    model = resolve(wanted, Hub.of(settings), store_of(settings))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_lock(Lock(Manifest((wanted,)).digest, (model,)), path)
    return path
