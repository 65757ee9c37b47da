"""Files held against a lock wherever they lie, store or any directory; asks no network and changes nothing."""

from __future__ import annotations

from pathlib import Path

from hardtack.errors import Misused
from hardtack.places import Store
from hardtack.spec.lock import Lock, LockedModel
from hardtack.spec.verify import Checked, Kind, check_files


def check_store(lock: Lock, store: Store, folder: Path) -> dict[str, Checked]:
    """Compare what a store holds with a lock: each model by its key, and the code that it needs by its repository.

    Args:
        lock: what should be there.
        store: where models of the Hub lie.
        folder: what local models are relative to.

    Raises:
        DiskError: a folder cannot be listed.
    """
    found: dict[str, Checked] = {}
    for model in lock.models:
        if not model.task.pulls:
            continue
        own = folder / model.repo if model.source == "local" else store.snapshot(model.repo, model.commit)
        found[model.key] = check_files(own, model.files)
        for code in model.code:
            found[f"{model.key}: code of {code.repo}"] = check_files(store.snapshot(code.repo, code.commit), code.files)
    return found


def check_directory(directory: Path, model: LockedModel) -> Checked:
    """Compare a directory, copied or fetched by hand, with a model's files; what the lock does not name is found too.

    Names that begin with a dot belong to other tools (``.git``, the ``.cache`` of ``hf download --local-dir``) and are
    not looked at.

    Raises:
        Misused: there is no such directory.
        DiskError: a folder cannot be listed.
    """
    if not directory.is_dir():
        raise Misused(
            "there is no such directory", where=str(directory), expected=f"a directory with the files of {model.key}",
            found="nothing", mend="hardtack verify",
        )  # fmt: skip
    checked = check_files(directory, model.files, extra=True)
    findings = tuple(
        finding
        for finding in checked.findings
        if finding.kind is not Kind.EXTRA or not any(part.startswith(".") for part in finding.path.split("/"))
    )
    return Checked(findings, checked.files, checked.bytes)
