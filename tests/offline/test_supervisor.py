from __future__ import annotations

import pytest

from hardtack.offline import supervisor
from hardtack.offline.bpf import ABIS
from hardtack.offline.supervisor import describe

X86, ARM = ABIS


def test_ioctl_numbers_are_the_published_ones() -> None:
    # seccomp_unotify(2): _IOWR('!', 0, struct seccomp_notif), _IOWR('!', 1, …_resp), _IOW('!', 2, __u64)
    assert supervisor._RECEIVE == 0xC0502100
    assert supervisor._SEND == 0xC0182101
    assert supervisor._STILL_THERE == 0x40082102


@pytest.mark.parametrize(
    ("number", "arguments", "words"),
    [
        (41, [2, 1, 0], "socket(AF_INET, SOCK_STREAM)"),
        (41, [2, 1 | 0o2000000 | 0o4000, 6], "socket(AF_INET, SOCK_STREAM, protocol 6)"),
        (41, [10, 2, 17], "socket(AF_INET6, SOCK_DGRAM, protocol 17)"),
        (41, [7 << 32 | 16, 3, 0], "socket(AF_NETLINK, SOCK_RAW)"),
        (41, [250, 9, 0], "socket(250, 9)"),
        (53, [30, 5, 0], "socketpair(AF_TIPC, SOCK_SEQPACKET)"),
        (425, [8, 0, 0], "io_uring_setup()"),
        (0x40000029, [2, 1, 0], "system call 0x40000029 of a foreign ABI (0xc000003e)"),
        (-1, [0, 0, 0], "system call 0xffffffff of a foreign ABI (0xc000003e)"),
    ],
)
def test_words(number: int, arguments: list[int], words: str) -> None:
    assert describe(X86, number, X86.audit, [*arguments, 0, 0, 0]) == words


def test_words_of_another_machine() -> None:
    assert describe(ARM, 198, ARM.audit, [2, 2, 0, 0, 0, 0]) == "socket(AF_INET, SOCK_DGRAM)"
    assert describe(ARM, 281, 0x40000028, [2, 2, 0, 0, 0, 0]) == "system call 0x119 of a foreign ABI (0x40000028)"
