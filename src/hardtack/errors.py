"""Every way hardtack says no, each with what, where, expected, found and the command that mends it.

This module raises nothing and knows no other room. The tree::

    HardtackError
    ├── Refused            exit 1   the answer is no
    │   ├── StaleLock               the manifest changed after the lock was made
    │   ├── Mismatch                bytes are not what the lock says
    │   ├── Unverified              bytes that no lock names, where the policy is strict
    │   ├── Untrusted               a lock that no trusted key signed
    │   ├── GateMissed              a build loses more than its gate allows, or no build was accepted
    │   ├── NotProven               a proof did not hold, or the kernel cannot give one
    │   └── WrongSpace              vectors that would not fit the index they are meant for
    ├── Misused            exit 2   the caller asked for something that cannot be
    │   ├── ManifestError           hardtack.toml cannot be understood
    │   ├── LockError               hardtack.lock cannot be understood
    │   ├── UnknownModel            a name that is in no lock
    │   ├── UnknownRepo             the Hub has no such repository, revision or file
    │   └── UnsupportedModel        the model's own files ask for something no engine here does
    │       └── NotDrawn            … that no family draws; the torch engine may know it
    └── Unable             exit 3   network, disk or permission stood in the way
        ├── HubUnreachable          the Hub did not answer, or not with what its protocol promises
        ├── AccessDenied            the Hub wants a token, or other terms
        ├── DiskError               no space, no permission, a broken device
        └── ModelNotFound           locked, but in none of the places where it may lie

Expected outcomes of a check (a missing file, a changed one) are values in :mod:`hardtack.spec.verify`; they become a
:class:`Mismatch` only where someone relied on them.
"""

from __future__ import annotations

from typing import ClassVar


class HardtackError(Exception):
    """The base of all of them.

    Args:
        what: one sentence, what went wrong.
        where: the file (with line where known), repository or key it concerns.
        expected: what would have been right.
        found: what was there instead.
        mend: a command that mends it.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, what: str, *, where: str = "", expected: str = "", found: str = "", mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.expected = expected
        self.found = found
        self.mend = mend

    def fields(self) -> dict[str, str]:
        """The fields by name, empty ones too, as ``--json`` prints them; ``kind`` is the class."""
        return {
            "kind": type(self).__name__,
            "what": self.what,
            "where": self.where,
            "expected": self.expected,
            "found": self.found,
            "mend": self.mend,
        }

    def __str__(self) -> str:
        rows = [self.what]
        for name in ("where", "expected", "found", "mend"):
            value: str = getattr(self, name)
            if value:
                rows.append(f"  {name + ':':<9} {value}")
        return "\n".join(rows)


class Refused(HardtackError):
    """The answer is no: what was asked about does not hold."""

    exit_code = 1


class StaleLock(Refused):
    """The manifest changed in a way that decides bytes after the lock was made."""


class Mismatch(Refused):
    """Bytes are not what the lock, or a build the lock names, says they are."""


class Unverified(Refused):
    """Bytes that no lock names, where the policy is strict."""


class Untrusted(Refused):
    """A lock that no trusted key signed, where one must have."""


class GateMissed(Refused):
    """A precision that was asked for loses more than its gate allows, or no build in it was accepted."""


class NotProven(Refused):
    """A proof did not hold, or this kernel cannot give one."""


class WrongSpace(Refused):
    """The model's vectors would not fit the index they are meant for."""


class Misused(HardtackError):
    """The caller asked for something that cannot be."""

    exit_code = 2


class ManifestError(Misused):
    """``hardtack.toml`` cannot be understood."""


class LockError(Misused):
    """``hardtack.lock`` cannot be understood, or is not there."""


class UnknownModel(Misused):
    """A name that is in no lock, or names more than one model."""


class UnknownRepo(Misused):
    """The Hub has no such repository, revision or file."""


class UnsupportedModel(Misused):
    """The model's own files ask for something that no engine here does."""


class NotDrawn(UnsupportedModel):
    """What no family draws and no shipped graph serves; the torch engine may know it."""


class Unable(HardtackError):
    """Network, disk or permission stood in the way."""

    exit_code = 3


class HubUnreachable(Unable):
    """The Hub did not answer, or not with what its protocol promises."""


class AccessDenied(Unable):
    """The Hub wants a token, a different one, or its terms accepted first."""


class DiskError(Unable):
    """No space, no permission, or a broken device."""


class ModelNotFound(Unable):
    """Locked, but in none of the places where it may lie."""
