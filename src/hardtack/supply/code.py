"""Code that lies in other repositories than the model's own: which ones its files name, and each one locked.

transformers takes such code from the other repository's ``main`` even where the model is pinned to a commit, or is a
local directory; so it has to be locked for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hardtack.errors import UnsupportedModel
from hardtack.spec.lock import LockedCode
from hardtack.spec.names import is_repo
from hardtack.supply.choosing import MODULES
from hardtack.supply.desk import Desk, Supplies

_MAY_NAME_CODE = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")


def code_repos(paths: Iterable[str], read_json: Callable[[str], Any]) -> tuple[str, ...]:
    """The repositories whose code a model's files name, as ``org/code--module.Class``; sorted.

    Args:
        paths: the model's files.
        read_json: the content of one of them.
    """
    names = (name for path in paths for name in _references(path, read_json))
    return tuple(sorted({name.split("--", 1)[0] for name in names if isinstance(name, str) and "--" in name}))


def lock_code(repos: Iterable[str], supplies: Supplies, at: Mapping[str, str]) -> tuple[LockedCode, ...]:
    """Lock all Python files of each of these repositories.

    Args:
        repos: their names.
        supplies: Hub and store.
        at: the commits of those that stay as they are locked; any other is taken at ``main``.

    Raises:
        UnsupportedModel: a name cannot be a repository's.
        HardtackError: as the Hub answered.
    """
    return tuple(_locked(repo, at.get(repo, "main"), supplies) for repo in repos)


def _locked(repo: str, revision: str, supplies: Supplies) -> LockedCode:
    if not is_repo(repo):
        raise UnsupportedModel(
            "the model's auto_map names code in what cannot be a repository", where=repo, expected="namespace/name",
            found=repo, mend="hardtack add REPO",
        )  # fmt: skip
    listing = supplies.hub.list(repo, revision)
    paths = [file.path for file in listing.files if file.path.endswith(".py")]
    # under the name that the auto_map has: transformers looks for it there, renamed or not
    return LockedCode(repo, listing.commit, Desk(supplies, listing).lock(paths))


def _references(path: str, read_json: Callable[[str], Any]) -> list[Any]:
    if path == MODULES:
        return [row.get("type") for row in read_json(path)]
    if path.rsplit("/", 1)[-1] not in _MAY_NAME_CODE:
        return []
    data = read_json(path)
    auto_map = data.get("auto_map") if isinstance(data, dict) else None
    values = auto_map.values() if isinstance(auto_map, dict) else [auto_map]
    return [name for value in values for name in (value if isinstance(value, list) else [value])]
