"""Keys as OpenSSH writes them, made anew for each test, and a lock to sign."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

LOCK = b'version = 1\nmanifest = ""\n'


@dataclass(frozen=True)
class Pair:
    """The two files of a key."""

    private: Path
    public: Path

    @classmethod
    def make(cls, folder: Path, name: str) -> Pair:
        key = Ed25519PrivateKey.generate()
        pair = cls(folder / name, folder / f"{name}.pub")
        pair.private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        pair.private.chmod(0o600)  # ssh-keygen takes no other
        pair.public.write_bytes(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b" someone\n")
        return pair


@pytest.fixture
def ours(tmp_path: Path) -> Pair:
    return Pair.make(tmp_path, "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Pair:
    return Pair.make(tmp_path, "theirs")
