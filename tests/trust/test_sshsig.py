"""The form of a signature: what ssh-keygen writes, to the byte, and nothing else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardtack.trust.sshsig import Envelope, parse, render, statement

# made once with OpenSSH 9.2: ssh-keygen -Y sign -n hardtack, over "hello\n"
BY_SSH_KEYGEN = b"""\
-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAg8Fe4Bas6rKT1hYx8qDBWwalycw
mgiQlktumK58rbAdQAAAAIaGFyZHRhY2sAAAAAAAAABnNoYTUxMgAAAFMAAAALc3NoLWVk
MjU1MTkAAABAZ2tK1TFmWfGhRbRgmDVlkDCtJLmfSua+w4w6Oczd35zuG1kjXCeLELo6/i
QvQO/BYH/yQomKxtEr+yPllmNwDA==
-----END SSH SIGNATURE-----
"""


def test_what_ssh_keygen_wrote_is_read_and_written_the_same() -> None:
    envelope = parse(BY_SSH_KEYGEN)
    assert envelope is not None
    assert (envelope.key[:2].hex(), envelope.signature[-2:].hex()) == ("f057", "700c")
    assert render(envelope) == BY_SSH_KEYGEN


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_there_and_back(key: bytes, signature: bytes) -> None:
    assert parse(render(Envelope(key, signature))) == Envelope(key, signature)


@given(st.binary(max_size=300))
def test_anything_else_is_nothing(data: bytes) -> None:
    assert parse(data) is None


def told(old: bytes, new: bytes) -> bytes:
    """The same file with other bytes in its binary part."""
    first, *lines, last = BY_SSH_KEYGEN.splitlines()
    blob = base64.b64decode(b"".join(lines))
    assert blob.count(old) == 1
    text = base64.b64encode(blob.replace(old, new))
    return b"\n".join([first, *(text[at : at + 70] for at in range(0, len(text), 70)), last, b""])


def test_told_nothing_new_it_is_the_same() -> None:
    """The next tests change one thing each; without it, what they make is the good one."""
    assert told(b"hardtack", b"hardtack") == BY_SSH_KEYGEN


@pytest.mark.parametrize(
    "changed",
    [
        told(b"hardtack", b"git-code"),
        told(b"sha512", b"sha256"),
        told(b"SSHSIG\0\0\0\x01", b"SSHSIG\0\0\0\x02"),
        told(b"\0\0\0\x08hardtack\0\0\0\0", b"\0\0\0\x08hardtack\0\0\0\x01x"),
        told(b"\0\0\0\x08hardtack", b"\0\0\0\x04file"),
        BY_SSH_KEYGEN.replace(b"\n", b"\r\n"),
        BY_SSH_KEYGEN[:-1],
        BY_SSH_KEYGEN + b"\n",
        b" " + BY_SSH_KEYGEN,
        BY_SSH_KEYGEN.replace(b"DA==", b"DB=="),  # bits of base64 that say nothing
        BY_SSH_KEYGEN.replace(b"DA==", b"DA="),
        BY_SSH_KEYGEN.replace(b"\nMjU", b"MjU"),
        b"-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
    ],
)
def test_another_form_is_nothing(changed: bytes) -> None:
    assert changed != BY_SSH_KEYGEN
    assert parse(changed) is None


def test_what_is_signed_is_of_one_message_only() -> None:
    assert statement(b"a") != statement(b"b")
    assert b"hardtack" in statement(b"a")
