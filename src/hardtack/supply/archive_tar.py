"""The few bytes of tar that an archive has, as a function of names and sizes alone. Reads nothing, writes nothing.

Form: POSIX.1-2001 (pax), which every tar of this century reads. A regular file of mode 0644, owner 0, dated 1980-01-01
(GNU tar calls 1970 implausible), so that no clock, umask or user leaves a trace. What the plain header cannot hold (a
name that is long or not ASCII, 8 GiB or more) stands in a pax record before it, and only then. The end is the two empty
blocks of the standard and nothing after them, not the 10 KiB that tars fill up to.

Since a header is a function, reading one is comparing it: :mod:`~hardtack.supply.archive_unpack` knows from the lock
which bytes must come next, so links, devices, sparse files, odd sizes and a second opinion on a name cannot be said.
"""

from __future__ import annotations

BLOCK = 512
END = bytes(2 * BLOCK)
_DATE = 315532800  # 1980-01-01
_NAME_MOST = 100  # bytes; the standard's second field for names is left alone: one way to write a long name is enough
_SIZE_LIMIT = 8**11
_SIZE_AT = slice(124, 136)
_PAX_NAME = "PaxHeaders/next"


def header(name: str, size: int) -> bytes:
    """All that stands before a file's bytes: one block, or three and more where a pax record is needed.

    Args:
        name: a plain relative path.
        size: of the file, in bytes.
    """
    raw = name.encode()
    records = b""
    if len(raw) > _NAME_MOST or not name.isascii():
        records += _record(b"path", raw)
    if size >= _SIZE_LIMIT:
        records += _record(b"size", b"%d" % size)
    plain = _block(raw[:_NAME_MOST], size if size < _SIZE_LIMIT else 0, b"0")
    if not records:
        return plain
    return _block(_PAX_NAME.encode(), len(records), b"x") + records + padding(len(records)) + plain


def padding(size: int) -> bytes:
    """What follows a file's bytes up to the next whole block."""
    return bytes(-size % BLOCK)


def first_size(block: bytes, name: str) -> int | None:
    """The size that a first header says, if the header is this name's and of the form above; else None."""
    digits = block[_SIZE_AT].removesuffix(b"\0")
    if not digits.isdigit() or any(digit > ord("7") for digit in digits):
        return None
    size = int(digits, 8)
    return size if header(name, size) == block else None


def _record(key: bytes, value: bytes) -> bytes:
    """``<length> <key>=<value>`` and a newline; the length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + 1
    while rest + len(str(length)) != length:
        length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _block(name: bytes, size: int, kind: bytes) -> bytes:
    fields = (
        name.ljust(100, b"\0"),
        b"0000644\0",
        b"0000000\0" * 2,  # owner and group
        b"%011o\0" % size,
        b"%011o\0" % _DATE,
        b" " * 8,  # the checksum counts as blanks in itself
        kind,
        bytes(100),
        b"ustar\x0000",  # and nothing after it: no names of owner and group, no device, no second field for the name
    )
    block = b"".join(fields).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
