"""An archive that a key vouches for: nothing is written before the signature holds, and none holds for another."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hardtack.errors import HardtackError, Untrusted
from hardtack.spec.lock_text import render_lock
from hardtack.supply.archive import Trust
from hardtack.supply.archive_unpack import Unpacked, unpack
from hardtack.trust.keys import PublicKey
from hardtack.trust.sign import Trusted, sign
from tests.supply.test_archive_hostile import CONTENTS, GOOD, Ship, archive, lock_of

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEYS = (PublicKey(KEY.public_key().public_bytes_raw(), "ours.pub"),)
SIGNATURE = sign(render_lock(lock_of(CONTENTS)).encode(), KEY)


def take(ship: Ship, data: bytes, signature: bytes) -> Unpacked:
    trust = Trust(signed=Trusted(KEYS, signature, "models.tar.sig").vouch)
    return unpack(io.BytesIO(data), ship.store, ship.here / "hardtack.lock", trust)


def test_the_good_one_is_taken(tmp_path: Path) -> None:
    ship = Ship(tmp_path)
    done = take(ship, GOOD, SIGNATURE)
    assert done.vouched == f"the key {KEYS[0].fingerprint} (ours.pub)"
    ship.check()


def test_the_signature_of_another_archive(tmp_path: Path) -> None:
    ship = Ship(tmp_path)
    other = {**CONTENTS, "config.json": b"{ }"}
    with pytest.raises(Untrusted):
        take(ship, archive(lock_of(other), other), SIGNATURE)
    assert ship.files() == set()


@settings(max_examples=60, deadline=None)
@example(place=0, flip=1)
@example(place=len(GOOD) - 1, flip=1)
@example(place=len(GOOD), flip=1)
@given(place=st.integers(0, len(GOOD) + len(SIGNATURE) - 1), flip=st.integers(1, 255))
def test_no_changed_byte_of_archive_or_signature_is_taken(place: int, flip: int) -> None:
    both = bytearray(GOOD + SIGNATURE)
    both[place] ^= flip
    with tempfile.TemporaryDirectory() as root:
        ship = Ship(Path(root))
        with pytest.raises(HardtackError) as caught:
            take(ship, bytes(both[: len(GOOD)]), bytes(both[len(GOOD) :]))
        assert caught.value.exit_code in (1, 2)  # 2: the lock in it cannot even be read
        assert ship.files() == set()
