"""Signatures over a lock, made and checked: who holds the key says that this lock is meant, to the byte.

What is signed is the text of a lock and nothing else. A lock decides every byte of an archive and of a pantry, so its
signature stands for those, too; and the same key gives the same lock the same signature, always (RFC 8032), wherever
the lock lies. A signature is kept beside what it is of: ``hardtack.lock.sig``, ``models.tar.sig``.

A signature says who, never which: an older lock that was signed is signed still. That the archive is the one wanted is
for a digest or a lock to say. Trusted keys come from outside, never from beside the signature.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hardtack.errors import Untrusted
from hardtack.spec.lock import SIGNATURE_SUFFIX
from hardtack.spec.text_file import unreadable
from hardtack.trust.keys import PublicKey, read_public
from hardtack.trust.sshsig import NAMESPACE, Envelope, parse, render, statement

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_BEGINNING = b"-----BEGIN SSH SIGNATURE"
_LARGEST = 4096  # bytes: all of them are of one size, a tenth of this
_MEND = "hardtack sign FILE --key KEY  # where it came from"


def beside(path: Path) -> Path:
    """Where the signature of a file is looked for."""
    return path.with_name(path.name + SIGNATURE_SUFFIX)


def sign(lock_text: bytes, key: Ed25519PrivateKey) -> bytes:
    """The signature of a lock, as it is written to a file; the same for the same lock and key.

    Args:
        lock_text: the lock's very bytes.
        key: see :func:`~hardtack.trust.keys.read_private`.
    """
    return render(Envelope(key.public_key().public_bytes_raw(), key.sign(statement(lock_text))))


def read_signature(path: Path) -> bytes:
    """The bytes of a signature's file, not yet checked.

    Raises:
        Untrusted: there is no such file.
        DiskError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except FileNotFoundError:
        raise Untrusted(
            "there is no signature", where=str(path), expected="a signature by a trusted key", found="no such file",
            mend=_MEND,
        ) from None  # fmt: skip
    except OSError as problem:
        raise unreadable(path, problem) from problem


@dataclass(frozen=True)
class Trusted:
    """A signature, and the keys of which one must have made it.

    Attributes:
        keys: those that are trusted.
        signature: the bytes of the signature's file.
        where: that file, for messages.
    """

    keys: tuple[PublicKey, ...]
    signature: bytes
    where: str

    @classmethod
    def read(cls, keys: Iterable[Path], signature: Path) -> Self:
        """Both out of files; nothing is checked yet.

        Raises:
            Misused: a file is no public key, or the extra ``[sign]`` is not installed.
            Untrusted: there is no signature.
            DiskError: a file cannot be read.
        """
        return cls(tuple(map(read_public, keys)), read_signature(signature), str(signature))

    def vouch(self, lock_text: bytes) -> str:
        """Who signed a lock, in words; see :meth:`signer`."""
        return f"the key {self.signer(lock_text)}"

    def signer(self, lock_text: bytes) -> PublicKey:
        """The trusted key that signed a lock.

        Args:
            lock_text: the lock's very bytes.

        Raises:
            Untrusted: this is no signature, not by a trusted key, or not of this lock.
        """
        envelope = parse(self.signature)
        if envelope is None:
            raise Untrusted(
                "this is no signature of a lock", where=self.where,
                expected=f"what `hardtack sign` or `ssh-keygen -Y sign -n {NAMESPACE}` write, by an Ed25519 key",
                found="a signature of another form, or a damaged one" if self.signature.startswith(_BEGINNING)
                else "something else", mend=_MEND,
            )  # fmt: skip
        signer = next((key for key in self.keys if key.raw == envelope.key), None)
        if signer is None:
            raise Untrusted(
                "the signature is by a key that is not trusted", where=self.where,
                expected=" or ".join(map(str, self.keys)), found=PublicKey(envelope.key).fingerprint,
                mend="hardtack sign FILE --key KEY  # with the private half of a trusted key",
            )  # fmt: skip
        if not signer.verifies(envelope.signature, statement(lock_text)):
            raise Untrusted(
                "the signature does not hold for this lock", where=self.where,
                expected=f"a signature of this very lock by {signer}", found="one of another lock, or a damaged one",
                mend=_MEND,
            )  # fmt: skip
        return signer


def holds(lock_text: bytes, signature: bytes) -> bool:
    """Whether a signature is of this lock, whoever made it: worth carrying along, and no reason to trust."""
    envelope = parse(signature)
    return envelope is not None and PublicKey(envelope.key).verifies(envelope.signature, statement(lock_text))
