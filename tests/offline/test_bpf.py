"""The filter, on every machine it is made for, in an interpreter of the few instructions it uses."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from hardtack.offline.bpf import ABIS, ALLOW, NOTIFY, REFUSAL, Abi, network_filter, refuse_with

BY_MACHINE = {abi.machine: abi for abi in ABIS}
I386, ARM = 0x40000003, 0x40000028
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_VSOCK = 1, 2, 10, 16, 40


def verdict(program: bytes, number: int, arch: int, *arguments: int) -> int:
    """What the kernel would say, see Documentation/networking/filter.rst."""
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, arch, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    code = list(struct.iter_unpack("=HBBI", program))
    at = word = 0
    while True:
        operation, if_true, if_false, k = code[at]
        at += 1
        match operation:
            case 0x20:
                (word,) = struct.unpack_from("=I", data, k)
            case 0x15:
                at += if_true if word == k else if_false
            case 0x35:
                at += if_true if word >= k else if_false
            case 0x06:
                return int(k)
            case _:
                pytest.fail(f"unknown instruction {operation:#x}")


@pytest.mark.parametrize("abi", ABIS, ids=lambda abi: abi.machine)
@pytest.mark.parametrize("refused", [NOTIFY, refuse_with(REFUSAL)], ids=["notify", "errno"])
class TestFilter:
    def test_only_local_sockets(self, abi: Abi, refused: int) -> None:
        program = network_filter(abi, refused)
        for call in (abi.socket, abi.socketpair):
            assert verdict(program, call, abi.audit, AF_UNIX) == ALLOW
            for domain in (0, AF_INET, AF_INET6, AF_NETLINK, AF_VSOCK, 0xFFFFFFFF):
                assert verdict(program, call, abi.audit, domain) == refused

    def test_high_half_of_domain_is_ignored_as_the_kernel_ignores_it(self, abi: Abi, refused: int) -> None:
        program = network_filter(abi, refused)
        assert verdict(program, abi.socket, abi.audit, 1 << 32 | AF_UNIX) == ALLOW
        assert verdict(program, abi.socket, abi.audit, 1 << 32 | AF_INET) == refused

    def test_rings(self, abi: Abi, refused: int) -> None:
        assert verdict(network_filter(abi, refused), abi.io_uring_setup, abi.audit) == refused

    def test_every_other_call_passes(self, abi: Abi, refused: int) -> None:
        program = network_filter(abi, refused)
        others = set(range(1000)) - {abi.socket, abi.socketpair, abi.io_uring_setup}
        assert {verdict(program, number, abi.audit, AF_INET) for number in others} == {ALLOW}

    def test_every_call_of_another_machine(self, abi: Abi, refused: int) -> None:
        program = network_filter(abi, refused)
        for foreign in {I386, ARM, *(other.audit for other in ABIS)} - {abi.audit}:
            assert {verdict(program, number, foreign, AF_UNIX) for number in range(1000)} == {refused}


def test_x32_is_foreign() -> None:
    abi = BY_MACHINE["x86_64"]
    program = network_filter(abi, NOTIFY)
    for number in (0x40000000, 0x40000000 + abi.socket, -1):
        assert verdict(program, number, abi.audit, AF_UNIX) == NOTIFY
    assert verdict(program, 0x3FFFFFFF, abi.audit) == ALLOW


def test_refusal_carries_its_errno() -> None:
    assert refuse_with(errno.EACCES) == 0x0005000D


# As the kernel publishes them: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h and
# include/uapi/linux/audit.h. aarch64 cannot be run where these tests were written; so its numbers are held to this.
@pytest.mark.parametrize(
    "expected",
    [
        Abi("x86_64", 62 | 0x80000000 | 0x40000000, 41, 53, 317, 425, 0x40000000),
        Abi("aarch64", 183 | 0x80000000 | 0x40000000, 198, 199, 277, 425, None),
    ],
    ids=lambda abi: abi.machine,
)
def test_numbers(expected: Abi) -> None:
    assert BY_MACHINE[expected.machine] == expected


@pytest.mark.parametrize(
    ("machine", "header"),
    [
        ("aarch64", "/usr/include/asm-generic/unistd.h"),
        ("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    ],
)
def test_numbers_in_the_headers_of_this_machine(machine: str, header: str) -> None:
    path = Path(header)
    if not path.exists():
        pytest.skip(f"no {header} here")
    abi = BY_MACHINE[machine]
    for call in ("socket", "socketpair", "seccomp", "io_uring_setup"):
        found = re.search(rf"^#define __NR_{call} (\d+)$", path.read_text(), re.MULTILINE)
        assert found
        assert int(found[1]) == getattr(abi, call)
