from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from hardtack.offline.descriptors import open_rings, way_out


def test_sockets_that_lead_out() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inet,
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as net,
    ):
        assert way_out(inet.fileno()) == "socket(AF_INET, SOCK_DGRAM)"
        assert way_out(net.fileno()) == "socket(AF_NETLINK, SOCK_RAW)"
        assert inet.getsockname() == ("0.0.0.0", 0), "looking must not close it"


def test_things_that_do_not(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with socket.socket(socket.AF_UNIX) as local, (tmp_path / "file").open("w") as file:
        assert [way_out(it) for it in (reader, writer, local.fileno(), file.fileno())] == [""] * 4
    os.close(reader)
    os.close(writer)
    assert open_rings() == []


def test_closing_keeps_what_is_asked_and_fills_the_standard_streams(beside: Callable[[str], str]) -> None:
    printed = beside("""
        import os, socket
        from hardtack.offline.descriptors import close_all_but, close_ways_out
        gone = socket.socket()
        os.dup2(gone.fileno(), 0)
        kept = os.pipe()
        print(close_ways_out() == ["descriptor 0: socket(AF_INET, SOCK_STREAM)",
                                   f"descriptor {gone.fileno()}: socket(AF_INET, SOCK_STREAM)"], flush=True)
        close_all_but({1, kept[1]})
        print(sorted(os.readlink(f"/proc/self/fd/{name}").partition(":")[0] for name in (0, 2, kept[1])), flush=True)
        print([name for name in (gone.detach(), kept[0]) if os.path.exists(f"/proc/self/fd/{name}")], flush=True)
        """)
    assert printed.split("\n") == ["True", "['/dev/null', '/dev/null', 'pipe']", "[]", ""]
