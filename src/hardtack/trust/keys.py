"""Keys out of files: Ed25519, as ``ssh-keygen -t ed25519`` or ``openssl genpkey -algorithm ed25519`` write them.

It makes no keys, keeps none, and asks for no passphrase: a key that has one stays with the agent, and ``ssh-keygen -Y
sign`` signs with it what hardtack takes as its own (:mod:`~hardtack.trust.sshsig`).
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from hardtack.errors import Misused
from hardtack.spec.text_file import read_text
from hardtack.trust.sshsig import NAMESPACE, key_blob

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

INSTALL = "pip install 'hardtack[sign]'"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One that may be trusted.

    Attributes:
        raw: its 32 bytes.
        name: the file that it came from; empty for one that a signature brought along.
    """

    raw: bytes
    name: str = ""

    def __str__(self) -> str:
        return f"{self.fingerprint} ({self.name})" if self.name else self.fingerprint

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -l`` prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(key_blob(self.raw)).digest()).decode().rstrip("=")

    def verifies(self, signature: bytes, statement: bytes) -> bool:
        """Whether the signature over these bytes was made with its private half."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, statement)
        except InvalidSignature:
            return False
        return True


def able() -> bool:
    """Whether what signs and checks is installed."""
    return importlib.util.find_spec("cryptography") is not None


def read_public(path: Path) -> PublicKey:
    """A public key: OpenSSH's one line, or PEM.

    Raises:
        Misused: there is none in this file, or the extra is not installed.
        DiskError: the file cannot be read.
    """
    _need()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    mend = "ssh-keygen -y -f KEY > KEY.pub  # the public half of a private key"
    data = read_text(path, Misused, "public key", mend).encode()
    if b" PRIVATE KEY-----" in data:
        found = "a private key, which should not leave its machine"
        raise _no_key("public", path, found, f"ssh-keygen -y -f {quote(str(path))} > KEY.pub")
    pem = data.startswith(b"-----BEGIN")
    try:
        key = serialization.load_pem_public_key(data) if pem else serialization.load_ssh_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise _no_key("public", path, "something else", mend) from None
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key("public", path, "a key of another kind", "ssh-keygen -t ed25519 -f KEY")
    return PublicKey(key.public_bytes_raw(), path.name)


def read_private(path: Path) -> Ed25519PrivateKey:
    """A private key without a passphrase: OpenSSH's form, or PEM.

    Raises:
        Misused: there is none in this file, it has a passphrase, or the extra is not installed.
        DiskError: the file cannot be read.
    """
    _need()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    mend = f"ssh-keygen -t ed25519 -f {quote(str(path))}"
    data = read_text(path, Misused, "private key", mend).encode()
    openssh = b"-----BEGIN OPENSSH PRIVATE KEY-----" in data
    load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    try:
        key = load(data, password=None)
    except TypeError:  # what the package raises where a passphrase is missing, and for nothing else that is given here
        raise Misused(
            "the private key has a passphrase", where=str(path),
            expected="a key without one, or `ssh-keygen`, which asks for it or its agent, and signs the same",
            found="an encrypted key",
            mend=f"ssh-keygen -Y sign -n {NAMESPACE} -f {quote(str(path))} hardtack.lock" if openssh
            else f"openssl pkey -in {quote(str(path))} -out KEY",
        ) from None  # fmt: skip
    except (ValueError, UnsupportedAlgorithm):
        raise _no_key("private", path, "something else", "ssh-keygen -t ed25519 -f KEY") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key("private", path, "a key of another kind", "ssh-keygen -t ed25519 -f KEY")
    return key


def _need() -> None:
    if not able():
        raise Misused(
            "signatures are made and checked with `cryptography`, which is not installed", where="the extra [sign]",
            expected="cryptography", found="no such package", mend=INSTALL,
        )  # fmt: skip


def _no_key(half: str, path: Path, found: str, mend: str) -> Misused:
    return Misused(
        f"this is no {half} key for signatures", where=str(path),
        expected=f"an Ed25519 {half} key, OpenSSH's or PEM", found=found, mend=mend,
    )  # fmt: skip
