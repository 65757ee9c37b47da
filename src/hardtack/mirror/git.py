"""Object ids as git and git-LFS make them, for files that lie in no git repository.

The formats: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects and
https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def blob_id(data: bytes) -> str:
    """The id of a blob with this content, 40 hexadecimal digits."""
    return _object_id(b"blob", data)


def lfs_pointer(sha256: str, size: int) -> bytes:
    """The text that stands in git for a file whose ``size`` bytes are kept by LFS."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def tree_ids(blobs: Mapping[str, str]) -> dict[str, str]:
    """The ids of all folders, from the paths and blob ids of all files.

    Every file is taken as not executable, since a mode says nothing on the Hub.

    Args:
        blobs: by path (``a/b.json``), the blob id.

    Returns:
        By path, the tree id; the root is ``""``. Folders come in sorted order.
    """
    children: dict[str, dict[str, tuple[bytes, str]]] = {"": {}}
    for path, blob in blobs.items():
        folder, _, name = path.rpartition("/")
        children.setdefault(folder, {})[name] = (b"100644", blob)
        while folder:
            folder = folder.rpartition("/")[0]
            children.setdefault(folder, {})
    ids: dict[str, str] = {}
    for folder in sorted(children, reverse=True):  # a folder sorts before what is in it, so this is children first
        ids[folder] = _tree_id(children[folder])
        parent, _, name = folder.rpartition("/")
        if folder:
            children[parent][name] = (b"40000", ids[folder])
    return dict(sorted(ids.items()))


def _tree_id(entries: Mapping[str, tuple[bytes, str]]) -> str:
    rows = [(name.encode() + (b"/" if mode == b"40000" else b""), mode, oid) for name, (mode, oid) in entries.items()]
    # git sorts a folder as if its name ended in a slash, and does not write that slash.
    return _object_id(
        b"tree",
        b"".join(
            mode + b" " + name.removesuffix(b"/") + b"\0" + bytes.fromhex(oid) for name, mode, oid in sorted(rows)
        ),
    )


def _object_id(kind: bytes, data: bytes) -> str:
    return hashlib.sha1(kind + b" %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
