"""``hardtack mirror``: serve what is locked as a read-only Hub."""

from __future__ import annotations

import signal
import socket
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import click

from hardtack.cli.output import Talk
from hardtack.errors import LockError, Misused, NotProven
from hardtack.mirror import LOOPBACK, PORT, Served, from_locks, from_pantry, parse_model_argument, serve
from hardtack.offline.guard import seal
from hardtack.places import find_upward, store_of
from hardtack.settings import read_settings
from hardtack.spec.lock import LOCK_NAME
from hardtack.spec.lock_text import read_lock


@click.command("mirror")
@click.option("--lock", "locks", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="Serve what this lock names, from the store. Default: the project's lock.")  # fmt: skip
@click.option("--pantry", "pantries", multiple=True, type=click.Path(path_type=Path), metavar="DIR",
              help="Serve a pantry's models.")  # fmt: skip
@click.option("--model", "models", multiple=True, metavar="ID=DIR[@COMMIT]", help="Serve a directory, locked or not.")
@click.option("--gated", multiple=True, metavar="ID",
              help="Give its files only with the token; so it is with what the lock calls gated.")  # fmt: skip
@click.option("--host", default=LOOPBACK, show_default=True, help="Where to listen; loopback unless you say so.")
@click.option("--port", default=PORT, show_default=True, help="0 takes a free one.")
@click.option("--token", envvar="HARDTACK_MIRROR_TOKEN", help="Answer only to clients that show this bearer token.")
@click.option("--gated-only", is_flag=True, help="Ask for the token only where a repository is gated.")
@click.option("--quiet", "-q", is_flag=True, help="No line for each request.")
def command(
    locks: tuple[Path, ...],
    pantries: tuple[Path, ...],
    models: tuple[str, ...],
    gated: tuple[str, ...],
    host: str,
    port: int,
    token: str | None,
    gated_only: bool,
    quiet: bool,
) -> None:
    """Serve locked models as a Hub that any Hugging Face client downloads from, with HF_ENDPOINT set to it.

    Only what a lock names is served, at the locked commit, once its hashes are checked; of a directory given with
    --model, everything, at a commit made from the content where none is given. It reads, it never writes, and once it
    listens the kernel keeps it from calling out.
    """
    talk = Talk(quiet=False)
    served = [replace(each, gated=each.repo in gated) for each in map(parse_model_argument, models)]
    for pantry in pantries:
        served += from_pantry(pantry, gated)
    if locks or not served:
        store = store_of(read_settings())
        served += from_locks([read_lock(path) for path in locks or (_project_lock(),)], store, gated)
    if strangers := set(gated) - {each.repo for each in served}:
        raise Misused(
            "a gated repository is not among those served", where=f"--gated {min(strangers)}",
            expected=", ".join(sorted({each.repo for each in served})) or "at least one model", found=min(strangers),
            mend="hardtack list",
        )  # fmt: skip
    closed = sorted({each.repo for each in served if each.gated})
    if token is None and (closed or gated_only):
        raise Misused(
            "what is gated could be opened by nobody", where=", ".join(closed) or "--gated-only",
            expected="--token, or HARDTACK_MIRROR_TOKEN", found="neither", mend="hardtack mirror --token TOKEN",
        )  # fmt: skip
    talk.say(f"hashing {_shown(served)}")

    def ready(url: str) -> None:
        talk.say(f"serving; all a client needs:  export HF_ENDPOINT={_reachable(url)}")
        if token is None and not ip_address(urlsplit(url).hostname or "").is_loopback:
            talk.say("whoever reaches this address may read what is served; --token asks for one")
        try:
            seal()  # it listens already, and needs no other socket
        except NotProven as problem:
            talk.say(f"the kernel cannot keep it from calling out: {problem.found}")

    # a container's manager ends it with SIGTERM, which the first process of a container ignores unless it is handled
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):  # the way to end it
        serve(served, host=host, port=port, token=token, gated_only=gated_only, log=None if quiet else talk.say,
              ready=ready)  # fmt: skip


def _project_lock() -> Path:
    path = read_settings().lock or find_upward(Path.cwd(), LOCK_NAME)
    if path is None:
        raise LockError(
            "there is nothing to serve", where=str(Path.cwd()), expected=f"{LOCK_NAME} here or above, or --lock, "
            "--pantry or --model", found="none of them", mend="hardtack mirror --model namespace/name=DIR",
        )  # fmt: skip
    return path


def _reachable(url: str) -> str:
    """The address for those who are elsewhere: one that means "every address of this machine" is none to connect to."""
    parts = urlsplit(url)
    if not ip_address(parts.hostname or "").is_unspecified:
        return url
    return f"http://{socket.gethostname()}:{parts.port}"


def _shown(served: list[Served]) -> str:
    return ", ".join(f"{each.repo}@{each.commit[:12]}" if each.commit else each.repo for each in served) or "nothing"
