"""The small process beside a sealed one: it answers every refused call with a no, and keeps the count.

Run by :func:`hardtack.offline.sealed.seal_and_count` as a fresh interpreter, for a thread of the sealed process itself
could not: native code may ask for a socket while it holds the interpreter, and would wait for an answer that only the
interpreter can give. Imports the standard library only, and lives until the sealed process has ended.

On the channel the sealed process sends the listener first, then ``count`` to be told the attempts so far as JSON,
``[[what, program, count], …]``, or ``forget`` to have them dropped, which is answered likewise.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from collections.abc import Sequence

from hardtack.offline import syscalls
from hardtack.offline.descriptors import close_all_but
from hardtack.offline.supervisor import Supervisor

COUNT, FORGET = b"count", b"forget"
_MESSAGE = 65536


def main(arguments: Sequence[str]) -> None:
    """``DESCRIPTOR``: of the channel to the process that is about to be sealed."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_IGN)  # sent to a whole group, they are for the sealed process to act upon
    if os.fork():
        os._exit(0)  # the sealed process waits for this one, and for none that has to outlive it
    channel = socket.socket(fileno=int(arguments[0]))
    _, listeners, *_ = socket.recv_fds(channel, _MESSAGE, 1)
    if not listeners:
        return  # it was not sealed after all
    close_all_but({2, channel.fileno(), *listeners})
    _answer(Supervisor(listeners[0], syscalls.abi()), listeners[0], channel)


def _answer(supervisor: Supervisor, listener: int, channel: socket.socket) -> None:
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(channel, select.POLLIN)
    while True:
        for descriptor, event in poll.poll():
            if descriptor == listener:
                if not event & select.POLLIN:
                    return  # hung up: the last process under the filter has ended
                supervisor.answer()
            else:
                asked = channel.recv(_MESSAGE)
                if not asked:
                    poll.unregister(channel)  # it has ended, or closed this end: its children are refused nevertheless
                    continue
                if asked == FORGET:
                    supervisor.attempts.clear()
                counts = [[what, program, count] for (what, program), count in supervisor.attempts.items()]
                channel.send(json.dumps(counts).encode()[:_MESSAGE])
