"""Keys out of files: what is one, and what is said of all else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from hardtack.errors import Misused
from hardtack.trust.keys import PublicKey, read_private, read_public
from tests.trust.conftest import Pair


def test_openssh(ours: Pair) -> None:
    assert read_public(ours.public).raw == read_private(ours.private).public_key().public_bytes_raw()
    assert read_public(ours.public).name == "ours.pub"


def test_pem(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    private, public = tmp_path / "key.pem", tmp_path / "pub.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert read_private(private).private_bytes_raw() == key.private_bytes_raw()
    assert read_public(public).raw == key.public_key().public_bytes_raw()


def test_fingerprint_is_that_of_ssh_keygen() -> None:
    """``ssh-keygen -lf`` of the public key of RFC 8032's first test vector."""
    raw = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert PublicKey(raw).fingerprint == "SHA256:bbXpuKG6zhzdmnxq256TlqzFBzRl2f6OOg722cYNbU8"
    assert str(PublicKey(raw, "a.pub")) == f"{PublicKey(raw).fingerprint} (a.pub)"


@pytest.mark.parametrize(
    "content", [b"", b"ssh-ed25519", b"ssh-ed25519 AAAA x", b"\xff\xfe", b"-----BEGIN PUBLIC KEY-----\n"]
)
def test_what_is_no_public_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "k.pub"
    path.write_bytes(content)
    with pytest.raises(Misused) as caught:
        read_public(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"-----BEGIN OPENSSH PRIVATE KEY-----\n"])
def test_what_is_no_private_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "k"
    path.write_bytes(content)
    with pytest.raises(Misused) as caught:
        read_private(path)
    assert caught.value.where == str(path)


def test_the_wrong_half(ours: Pair) -> None:
    with pytest.raises(Misused) as caught:
        read_public(ours.private)
    assert "private key" in caught.value.found
    assert caught.value.mend == f"ssh-keygen -y -f {ours.private} > KEY.pub", "and never into the key itself"
    with pytest.raises(Misused):
        read_private(ours.public)


def test_keys_of_another_kind(tmp_path: Path) -> None:
    key = generate_private_key(SECP256R1())
    private, public = tmp_path / "k", tmp_path / "k.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
    for read, path in ((read_private, private), (read_public, public)):
        with pytest.raises(Misused) as caught:
            read(path)
        assert (caught.value.found, caught.value.mend) == ("a key of another kind", "ssh-keygen -t ed25519 -f KEY")


def test_a_key_with_a_passphrase_is_left_to_ssh_keygen(tmp_path: Path) -> None:
    path = tmp_path / "k.pem"
    secret = BestAvailableEncryption(b"secret")
    path.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))
    with pytest.raises(Misused) as caught:
        read_private(path)
    assert (caught.value.what, caught.value.found) == ("the private key has a passphrase", "an encrypted key")


def test_no_such_file(tmp_path: Path) -> None:
    for read in (read_private, read_public):
        with pytest.raises(Misused) as caught:
            read(tmp_path / "nothing")
        assert caught.value.mend.startswith("ssh-keygen ")


def test_without_the_extra_it_says_which(ours: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardtack.trust.keys.able", lambda: False)
    for read, path in ((read_private, ours.private), (read_public, ours.public)):
        with pytest.raises(Misused) as caught:
            read(path)
        assert caught.value.mend == "pip install 'hardtack[sign]'"


def test_it_is_imported_only_where_it_is_used() -> None:
    source = "import sys, hardtack.cli, hardtack.cli.sign, hardtack.cli.unpack; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == 0
