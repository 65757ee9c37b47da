"""Signatures over a lock: made, checked, and refused for every reason there is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hardtack.errors import DiskError, Misused, Untrusted
from hardtack.trust.keys import PublicKey, read_private
from hardtack.trust.sign import Trusted, beside, holds, sign
from hardtack.trust.sshsig import Envelope, render
from tests.trust.conftest import LOCK, Pair

needs_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PublicKey(KEY.public_key().public_bytes_raw(), "ours.pub")
SIGNATURE = sign(LOCK, KEY)


def signed(folder: Path, pair: Pair) -> Path:
    """A lock, and its signature beside it."""
    lock = folder / "hardtack.lock"
    lock.write_bytes(LOCK)
    beside(lock).write_bytes(sign(LOCK, read_private(pair.private)))
    return beside(lock)


def test_who_signed(tmp_path: Path, ours: Pair, theirs: Pair) -> None:
    trusted = Trusted.read([theirs.public, ours.public], signed(tmp_path, ours))
    assert trusted.signer(LOCK).name == "ours.pub"
    assert trusted.vouch(LOCK).endswith("(ours.pub)")


def test_the_same_key_says_the_same_of_the_same_lock() -> None:
    assert sign(LOCK, KEY) == SIGNATURE
    assert sign(LOCK + b"\n", KEY) != SIGNATURE


def test_no_signature(tmp_path: Path, ours: Pair) -> None:
    with pytest.raises(Untrusted, match="there is no signature") as caught:
        Trusted.read([ours.public], tmp_path / "hardtack.lock.sig")
    assert caught.value.where.endswith("hardtack.lock.sig")
    assert caught.value.mend.startswith("hardtack sign ")


def test_a_signature_that_cannot_be_read(tmp_path: Path, ours: Pair) -> None:
    with pytest.raises(DiskError):
        Trusted.read([ours.public], tmp_path)


def test_a_key_that_is_not_trusted(tmp_path: Path, ours: Pair, theirs: Pair) -> None:
    trusted = Trusted.read([ours.public], signed(tmp_path, theirs))
    with pytest.raises(Untrusted, match="by a key that is not trusted") as caught:
        trusted.signer(LOCK)
    assert caught.value.expected == str(trusted.keys[0])
    assert caught.value.found.startswith("SHA256:")


def test_a_trusted_name_over_another_hand(ours: Pair) -> None:
    """The key that a file names is not believed: it says only which of the trusted to ask."""
    other = Ed25519PrivateKey.generate()
    forged = render(Envelope(PUBLIC.raw, other.sign(b"anything")))
    with pytest.raises(Untrusted, match="does not hold"):
        Trusted((PUBLIC,), forged, "x.sig").signer(LOCK)


def test_a_signature_of_another_lock() -> None:
    with pytest.raises(Untrusted, match="does not hold for this lock") as caught:
        Trusted((PUBLIC,), sign(b"another", KEY), "x.sig").signer(LOCK)
    assert caught.value.where == "x.sig"


@pytest.mark.parametrize("data", [b"", b"x", SIGNATURE[:-1], SIGNATURE + b"x", SIGNATURE * 2, bytes(4096)])
def test_a_damaged_signature(data: bytes) -> None:
    with pytest.raises(Untrusted, match="no signature of a lock"):
        Trusted((PUBLIC,), data, "x.sig").signer(LOCK)


def test_a_huge_file_is_not_read(tmp_path: Path, ours: Pair) -> None:
    path = tmp_path / "huge.sig"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert len(Trusted.read([ours.public], path).signature) == 4096


def test_without_keys_nobody_is_trusted() -> None:
    with pytest.raises(Untrusted):
        Trusted((), SIGNATURE, "x.sig").signer(LOCK)


@given(st.data())
def test_no_changed_byte_of_lock_or_signature_is_taken(data: st.DataObject) -> None:
    pieces = [bytearray(LOCK), bytearray(SIGNATURE)]
    piece = data.draw(st.sampled_from(pieces))
    place = data.draw(st.integers(0, len(piece) - 1))
    piece[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Untrusted):
        Trusted((PUBLIC,), bytes(pieces[1]), "x.sig").signer(bytes(pieces[0]))
    assert not holds(bytes(pieces[0]), bytes(pieces[1]))


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_keys_and_signatures_out_of_thin_air_hold_for_nothing(key: bytes, signature: bytes) -> None:
    assert not holds(LOCK, render(Envelope(key, signature)))


def test_it_holds_whoever_made_it() -> None:
    assert holds(LOCK, sign(LOCK, Ed25519PrivateKey.generate()))


@needs_ssh_keygen
class TestWithSshKeygen:
    """The same key, file and words, in the hands of OpenSSH."""

    @pytest.fixture
    def made(self, tmp_path: Path) -> Pair:
        key = tmp_path / "made"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a b", "-f", key], check=True)
        (tmp_path / "hardtack.lock").write_bytes(LOCK)
        return Pair(key, key.with_name("made.pub"))

    def test_it_signs_the_same_to_the_byte(self, made: Pair, tmp_path: Path) -> None:
        lock = tmp_path / "hardtack.lock"
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "hardtack", "-f", str(made.private), str(lock)]
        subprocess.run(command, check=True, capture_output=True)
        assert beside(lock).read_bytes() == sign(LOCK, read_private(made.private))
        assert Trusted.read([made.public], beside(lock)).signer(LOCK).name == "made.pub"

    def test_it_takes_what_we_sign(self, made: Pair, tmp_path: Path) -> None:
        signature = signed(tmp_path, made)
        allowed = tmp_path / "allowed"
        allowed.write_text(f"release {made.public.read_text()}")
        command = ["ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", "release", "-n", "hardtack", "-s"]
        for text, good in ((LOCK, True), (LOCK + b"x", False)):
            done = subprocess.run([*command, str(signature)], input=text, capture_output=True, check=False)
            assert (done.returncode == 0) is good

    def test_what_it_signs_for_another_use_is_refused(self, made: Pair, tmp_path: Path) -> None:
        lock = tmp_path / "hardtack.lock"
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", str(made.private), str(lock)]
        subprocess.run(command, check=True, capture_output=True)
        with pytest.raises(Untrusted, match="no signature of a lock"):
            Trusted.read([made.public], beside(lock)).signer(LOCK)

    def test_a_key_with_a_passphrase_is_left_to_it(self, tmp_path: Path) -> None:
        key = tmp_path / "locked"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", key], check=True)
        with pytest.raises(Misused) as caught:
            read_private(key)
        assert caught.value.mend == f"ssh-keygen -Y sign -n hardtack -f {key} hardtack.lock"
