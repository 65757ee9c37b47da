"""The manifest's word on licences held against what repositories say of themselves.

``[policy] allow-licenses`` speaks for all models, ``license`` of a model for that one. Names are the Hub's, which are
those of SPDX in lower case; case does not count. It is a check of words: whoever ships a model reads its terms.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection

from hardtack.errors import Refused
from hardtack.spec.lock import Lock
from hardtack.spec.manifest import Manifest

_OR = re.compile(r"\s+or\s+")
_AND = re.compile(r"\s+and\s+|\s*,\s*")


def is_allowed(license_name: str, allowed: Collection[str]) -> bool:
    """Whether a licence is one of a list, as SPDX expressions mean it.

    Args:
        license_name: one name, ``a OR b`` (one of them suffices), ``a AND b``, or the Hub's ``a, b`` (all are needed;
            AND binds closer than OR). Parentheses are not read: such an expression is allowed only when it is listed
            as it stands.
        allowed: names, or whole expressions.
    """
    known = {_plain(name) for name in allowed}
    said = _plain(license_name)
    if said in known:
        return True
    return any(all(name in known for name in _AND.split(way)) for way in _OR.split(said))


def refuse_licenses(lock: Lock, manifest: Manifest) -> None:
    """Hold every locked model's licence against the policy, and against what the manifest expects of that model.

    A local directory has only the manifest's own word for its licence.

    Raises:
        Refused: names the first model that does not hold.
    """
    wanted = {model.key: model for model in manifest.models}
    for model in lock.models:
        want = wanted.get(model.key)
        if not model.task.pulls:
            continue
        said = want.license if want and model.source == "local" else model.license
        if want and want.license and _plain(said) != _plain(want.license):
            raise Refused(
                "the licence is not the one that is expected", where=f"{manifest.name}: [models.{model.key}]",
                expected=want.license, found=said or "no licence said",
                mend=f"${{EDITOR:-vi}} {shlex.quote(manifest.name)}",
            )  # fmt: skip
        if manifest.allow_licenses and not is_allowed(said, manifest.allow_licenses):
            raise Refused(
                "the policy does not allow this model's licence", where=f"{manifest.name}: [models.{model.key}]",
                expected=", ".join(manifest.allow_licenses), found=said or "no licence said",
                mend=f"hardtack remove {model.key}",
            )  # fmt: skip


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())
