"""A signature as a file: OpenSSH's form (SSHSIG version 1), so that ``ssh-keygen -Y`` makes and checks the same.

Source: ``PROTOCOL.sshsig`` in OpenSSH's sources. Of all that the form can say, one thing is said here: Ed25519, the
namespace ``hardtack`` (a signature for git or mail never passes for one of a lock), SHA-512 as ``ssh-keygen`` has it.
So two fields are free and the rest is constant, and reading is comparing: no byte of a file can be changed unnoticed.

It knows bytes only; whether a signature holds is :mod:`~hardtack.trust.sign`'s to say.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass

NAMESPACE = "hardtack"
_MAGIC = b"SSHSIG"
_KIND = b"ssh-ed25519"
_HASH = b"sha512"
_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"
_LINE = 70  # characters, as ssh-keygen breaks them


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is free in a file.

    Attributes:
        key: the signer's public key, 32 bytes.
        signature: over :func:`statement`, 64 bytes (RFC 8032).
    """

    key: bytes
    signature: bytes


def statement(message: bytes) -> bytes:
    """The bytes that are signed in a message's stead: its hash, and what it is signed for."""
    return _MAGIC + _strings(NAMESPACE.encode(), b"", _HASH, hashlib.sha512(message).digest())


def key_blob(key: bytes) -> bytes:
    """A public key as OpenSSH writes it in binary (RFC 8709); what fingerprints are of."""
    return _strings(_KIND, key)


def render(envelope: Envelope) -> bytes:
    """The file, to the byte as ``ssh-keygen -Y sign`` writes it."""
    blob = (
        _MAGIC
        + struct.pack(">I", 1)
        + _strings(key_blob(envelope.key), NAMESPACE.encode(), b"", _HASH, _strings(_KIND, envelope.signature))
    )
    text = base64.b64encode(blob)
    lines = b"".join(text[start : start + _LINE] + b"\n" for start in range(0, len(text), _LINE))
    return _BEGIN + lines + _END


_KEY_AT = slice(len(_MAGIC) + 4 + 4 + 4 + len(_KIND) + 4, len(_MAGIC) + 4 + 4 + 4 + len(_KIND) + 4 + 32)


def parse(data: bytes) -> Envelope | None:
    """The envelope of which a file is the rendering; None where there is no such."""
    if not (data.startswith(_BEGIN) and data.endswith(_END)):
        return None
    try:
        blob = base64.b64decode(data[len(_BEGIN) : -len(_END)])
    except binascii.Error:
        return None
    envelope = Envelope(blob[_KEY_AT], blob[-64:])
    return envelope if render(envelope) == data else None


def _strings(*values: bytes) -> bytes:
    """SSH's ``string`` (RFC 4251), one after another: the length in four bytes, and the bytes."""
    return b"".join(struct.pack(">I", len(value)) + value for value in values)
