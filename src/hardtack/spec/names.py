"""Names that come from outside, checked once: file paths, keys, repository ids, revisions, commits.

A path that passes :func:`safe_path` stays inside whatever folder it is joined to, on every file system hardtack writes
to. Nothing here touches a disk.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_REPO = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?(?:/[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?)?\Z"
)
_KEY = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?\Z")
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_REVISION = re.compile(r"(?!-)[^\x00-\x20\x7f-\xa0~^:?*\[\\\ud800-\udfff\u2028\u2029]+\Z")
_DRIVE = re.compile(r"[A-Za-z]:")
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))})


class UnsafeName(ValueError):
    """A name that must not reach the disk; the message says why."""


def safe_path(path: str) -> str:
    """Return ``path`` if it is a plain relative POSIX path, else raise.

    Refused: empty, absolute, ``.`` and ``..`` parts, backslashes, drive letters and device names, control
    characters (a newline would also break ``sha256sum``'s format), parts that end in a dot or blank, and parts over
    255 bytes.

    Raises:
        UnsafeName: says what is wrong with it.
    """
    if not path:
        raise UnsafeName("an empty name")
    if path.startswith("/"):
        raise UnsafeName("an absolute path")
    if "\\" in path:
        raise UnsafeName("a backslash")
    if _DRIVE.match(path):
        raise UnsafeName("a drive letter")
    if _has_control(path):
        raise UnsafeName("a control character")
    for part in path.split("/"):
        if part in ("", ".", ".."):
            raise UnsafeName(f"a part {part!r}")
        if part[-1] in ". ":
            raise UnsafeName(f"a part that ends in a dot or blank: {part!r}")
        if len(part.encode()) > 255:
            raise UnsafeName("a part of more than 255 bytes")
        if part.split(".", 1)[0].lower() in _DEVICES:
            raise UnsafeName(f"a device name: {part!r}")
    return path


def distinct_paths(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the paths, sorted, if no two of them could fall on one file.

    Two paths clash when they are equal but for case or Unicode form (file systems that fold either exist), or when one
    is a folder of the other.

    Raises:
        UnsafeName: names the two.
    """
    ordered = sorted(paths)
    seen: dict[str, str] = {}
    for path in ordered:
        folded = _folded(path)
        if folded in seen:
            same = seen[folded] == path
            raise UnsafeName(f"{path!r} twice" if same else f"two names for one file: {seen[folded]!r} and {path!r}")
        seen[folded] = path
    for folded, path in seen.items():
        parts = folded.split("/")
        for end in range(1, len(parts)):
            above = "/".join(parts[:end])
            if above in seen:
                raise UnsafeName(f"{path!r} would lie within {seen[above]!r}")
    return tuple(ordered)


def _has_control(text: str) -> bool:
    return any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text)


def _folded(path: str) -> str:
    # Unicode's canonical caseless matching (D145 in its chapter 3.13)
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def is_repo(text: str) -> bool:
    """Whether ``text`` can be a Hub repository id, ``namespace/name`` or a bare ``name``."""
    return bool(_REPO.match(text)) and ".." not in text and "--" not in text and not text.endswith(".git")


def is_key(text: str) -> bool:
    """Whether ``text`` can be the key of a model: it is also a folder name, so letters, digits, ``_``, ``-``, ``.``."""
    if not _KEY.match(text) or ".." in text or text.lower() == "hardtack.lock":
        return False
    return text.split(".", 1)[0].lower() not in _DEVICES


def is_commit(text: str) -> bool:
    """Whether ``text`` is a full commit id: 40 hexadecimal digits in lower case."""
    return bool(_COMMIT.match(text))


def is_revision(text: str) -> bool:
    """Whether ``text`` can be a branch, a tag, ``refs/pr/N`` or a commit, by the rules of ``git check-ref-format``."""
    if len(text.encode(errors="replace")) > 255 or not _REVISION.match(text) or ".." in text or "@{" in text:
        return False
    return all(part and part[0] != "." and not part.endswith((".", ".lock")) for part in text.split("/"))


def is_local(repo: str) -> bool:
    """Whether a manifest's ``repo`` names a directory beside the manifest (``./x``, ``../x``) and no Hub repository."""
    return (repo in (".", "..") or repo.startswith(("./", "../"))) and not _has_control(repo)
