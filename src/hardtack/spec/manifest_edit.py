"""Adding and removing entries of ``hardtack.toml`` without touching the rest: comments, order and spacing stay.

It edits text and returns text; writing it down is the caller's.
"""

from __future__ import annotations

import tomlkit
from tomlkit.container import OutOfOrderTableProxy
from tomlkit.items import Table

from hardtack.errors import ManifestError
from hardtack.spec.manifest import parse_manifest

NEW_MANIFEST = """\
# What this project's models are. `hardtack lock` finds out what that is to the byte.

[models]
"""


def add_model(text: str, key: str, values: dict[str, object], name: str = "hardtack.toml") -> str:
    """The manifest with a new ``[models.KEY]``.

    Raises:
        ManifestError: the manifest cannot be understood, has that key already, or would not be understood afterwards.
    """
    before = parse_manifest(text, name)
    if any(model.key == key for model in before.models):
        raise ManifestError(
            f"the manifest has a model {key!r} already", where=name, expected="a new key", found=key,
            mend=f"hardtack add REPO --as {key}-2",
        )  # fmt: skip
    document = tomlkit.parse(text)
    models = document.get("models")
    if models is None:
        models = tomlkit.table(is_super_table=True)
        document["models"] = models
    entry = tomlkit.table()
    for field, value in values.items():
        entry.add(field, value)
    models[key] = entry
    return _checked(tomlkit.dumps(document), name)


def remove_model(text: str, key: str, name: str = "hardtack.toml") -> str:
    """The manifest without ``[models.KEY]``.

    Raises:
        ManifestError: the manifest cannot be understood, or has no such key.
    """
    before = parse_manifest(text, name)
    if not any(model.key == key for model in before.models):
        raise ManifestError(
            f"the manifest has no model {key!r}", where=name,
            expected=", ".join(model.key for model in before.models) or "a model", found=key, mend="hardtack list",
        )  # fmt: skip
    document = tomlkit.parse(text)
    models = document["models"]
    assert isinstance(models, Table | OutOfOrderTableProxy)
    models.pop(key)
    return _checked(tomlkit.dumps(document), name)


def _checked(text: str, name: str) -> str:
    parse_manifest(text, name)
    return text
