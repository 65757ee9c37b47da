"""Where the kernel cannot guard, nothing runs and the answer is 'not proven'. Made real with an outer filter."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

import pytest

from hardtack.offline import syscalls
from hardtack.offline.guard import Guarding, can_guard

from .conftest import Run

PRCTL = {"x86_64": 157, "aarch64": 167}

# An outer filter that gives one system call the verdict `answer`, then all three ways to ask for the guard.
UNDER = """
    import socket
    from hardtack.errors import NotProven
    from hardtack.offline import bpf, syscalls
    from hardtack.offline.guard import can_guard, run_guarded, seal
    syscalls.install_everywhere(bpf.assemble([
        bpf.Load(0), bpf.Jump({number}, "it"), bpf.Return(bpf.ALLOW), bpf.Label("it"), bpf.Return({answer}),
    ]))
    print(can_guard().able, can_guard().why_not)
    for ask in (lambda: run_guarded(["touch", "{witness}"]), seal):
        try:
            ask()
        except NotProven as error:
            print(type(error).__name__, error.exit_code, error.found == can_guard().why_not)
    socket.socket().close()
"""


@pytest.mark.parametrize(
    ("call", "answer", "why"),
    [
        ("seccomp", errno.ENOSYS, "it has no seccomp(2), or an outer filter hides it"),
        ("seccomp", errno.EPERM, "it does not permit seccomp(2)"),
        ("seccomp", errno.EINVAL, "it has no seccomp filters"),
        ("prctl", errno.EPERM, "prctl("),
    ],
)
def test_refused(
    call: str, answer: int, why: str, beside: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    witness = tmp_path_factory.mktemp("cannot") / "ran"
    abi = syscalls.abi()
    number = abi.seccomp if call == "seccomp" else PRCTL[abi.machine]
    printed = beside(UNDER.format(number=number, answer=f"bpf.refuse_with({answer})", witness=witness))
    first, run, sealed = printed.splitlines()
    assert first.startswith("False ")
    assert why in first
    assert run == "NotProven 1 True"
    assert sealed.startswith("NotProven 1 ")
    assert not witness.exists()


def test_taken_and_forgotten(beside: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """seccomp(2) says yes and does nothing, as an emulator might: found out before anything runs."""
    witness = tmp_path_factory.mktemp("cannot") / "ran"
    printed = beside(UNDER.format(number=syscalls.abi().seccomp, answer="bpf.refuse_with(0)", witness=witness))
    first, run, sealed = printed.splitlines()
    assert first.startswith("False ")
    assert run.startswith("NotProven 1 ")
    assert sealed.startswith("NotProven 1 ")
    assert not witness.exists()


def test_guard_in_a_guard(guarded: Callable[..., Run]) -> None:
    """The kernel gives a process one listener. The inner guard says so; the outer one goes on."""
    run = guarded("""
        from hardtack.offline.guard import can_guard
        print(can_guard().why_not)
        """)
    assert "already listens" in run.printed
    assert run.watched.returncode == 0


def test_before_linux_5_19(beside: Callable[[str], str]) -> None:
    """Without the flag of that version, the guard works all the same."""
    number = syscalls.abi().seccomp
    wanted = syscalls._FLAG_NEW_LISTENER | syscalls._FLAG_WAIT_KILLABLE_RECV | syscalls._FLAG_SPEC_ALLOW
    printed = beside(f"""
        import sys
        from hardtack.offline import bpf, syscalls
        from hardtack.offline.guard import run_guarded
        syscalls.install_everywhere(bpf.assemble([
            bpf.Load(0), bpf.Jump({number}, "it"), bpf.Return(bpf.ALLOW),
            bpf.Label("it"), bpf.Load(24), bpf.Jump({wanted}, "new"), bpf.Return(bpf.ALLOW),
            bpf.Label("new"), bpf.Return(bpf.refuse_with({errno.EINVAL})),
        ]))
        watched = run_guarded([sys.executable, "-c", "import socket; socket.socket()"], stderr=open("/dev/null", "w"))
        print(watched.returncode, watched.attempts[0].count)
        """)
    assert printed == "1 1\n"


def test_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(OSError, match="this is darwin"):
        syscalls.abi()


def test_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(OSError, match="no table of system calls for riscv64"):
        syscalls.abi()


def test_interpreter_that_cannot_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    found: Guarding = can_guard()
    assert not found.able
    assert "/nonexistent/python" in found.why_not


def test_warden_that_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert can_guard().why_not == "the guard's own process ended early, with status 1"


def test_a_file_that_is_missing_is_named() -> None:
    """Without /proc, say: which file it is tells what to mount."""
    assert syscalls.reason(FileNotFoundError(errno.ENOENT, "No such file or directory", "/proc/self/fd")) == (
        "/proc/self/fd: No such file or directory"
    )
    assert syscalls.reason(OSError(errno.EPERM, "seccomp: no")) == "seccomp: no"
    assert syscalls.reason(OSError("odd")) == "odd"
