"""``hardtack serve``: the models over HTTP."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import click

from hardtack.cli.output import Talk
from hardtack.errors import Unable, UnknownModel
from hardtack.finding import is_path
from hardtack.loaders import make_manager
from hardtack.offline.sealed import refuse_rings, seal_and_count
from hardtack.places import find_lock, is_pantry
from hardtack.settings import Settings, read_settings
from hardtack.spec.lock_text import read_lock
from hardtack.spec.words import Task

_PACKAGES = ("uvicorn", "httptools", "uvloop", "orjson")


@click.command("serve")
@click.argument("which", nargs=-1)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; loopback unless you say so.")
@click.option("--port", default=8080, show_default=True, help="0 takes a free one.")
@click.option("--lazy", is_flag=True, help="Load a model when it is first asked for.")
@click.option("--idle", type=click.FloatRange(min=1), metavar="SECONDS", help="With --lazy: let go of a model after.")
@click.option("--sealed", is_flag=True, help="Once loaded, have the kernel refuse this process every network.")
@click.option("--accept-token-ids", is_flag=True, help="Take token ids for text; they must be this model's own.")
@click.option("--max-body", default=8 * 2**20, show_default=True, metavar="BYTES", help="Of one request.")
@click.option("--max-texts", default=2048, show_default=True, help="Texts or pairs in one request.")
@click.option("--max-wait", default=10.0, show_default=True, metavar="SECONDS", help="What would wait longer gets 429.")
@click.option("--log", "style", type=click.Choice(["plain", "json", "off"]), default="plain", show_default=True)
@click.option("--quiet", "-q", is_flag=True, help="No line for each request, no talk.")
def command(
    which: tuple[str, ...],
    host: str,
    port: int,
    lazy: bool,
    idle: float | None,
    sealed: bool,
    accept_token_ids: bool,
    max_body: int,
    max_texts: int,
    max_wait: float,
    style: str,
    quiet: bool,
) -> None:
    """Serve the models of a pantry (a directory), of the lock, or only those that WHICH names.

    It speaks as OpenAI, text-embeddings-inference, Cohere and Jina do, so that their clients work as they are; what it
    can be asked is at /openapi.json. HARDTACK_API_KEYS holds the keys it takes; without, everybody who reaches it may
    ask. SIGTERM ends it once it has answered what it took.
    """
    began = time.perf_counter()
    _check_packages()
    from hardtack.serve.limits import Limits
    from hardtack.serve.logs import Style
    from hardtack.serve.server import Setup, serve
    from hardtack.serve.shelf import Offer

    talk = Talk(quiet=quiet)
    settings, keys = _where(which, read_settings())
    manager = make_manager(settings)
    path = find_lock(settings, Path.cwd())
    lock = read_lock(path) if path is not None else None
    wanted = [lock.find(each).key if lock is not None and each not in manager.tasks else each for each in keys]
    offers = []
    for key, task in manager.tasks.items():
        locked = lock.get(key) if lock is not None else None
        if not wanted or key in wanted:
            offers.append(Offer(key, Task(task), locked.repo if locked else "", locked.commit if locked else ""))
    if not offers:
        raise UnknownModel(
            "there is no model to serve", where=str(path or Path.cwd()), expected="a lock with a model, or a pantry",
            found=", ".join(keys) or "none", mend="hardtack add REPO",
        )  # fmt: skip
    setup = Setup(
        host=host,
        port=port,
        keys=settings.api_keys,
        limits=Limits(body=max_body, texts=max_texts, wait=max_wait),
        lazy=lazy,
        idle=idle,
        accept_token_ids=accept_token_ids,
        log=Style.OFF if quiet else Style(style),
    )

    def ready(url: str) -> None:
        models = ", ".join(offer.key for offer in offers)
        talk.say(f"serving {models} on {url}, ready after {time.perf_counter() - began:.2f} s")

    def seal() -> Callable[[], Mapping[str, int]]:
        done = seal_and_count()
        count = "and counts what it tries" if done.counted else f"but cannot count what it tries: {done.why_not}"
        talk.say(f"sealed: the kernel refuses this process every network from here on, {count}")
        return done.denied

    if sealed:
        refuse_rings()  # before there is a loop, which would have one
    serve(offers, manager, setup, seal=seal if sealed else None, ready=ready)


def _where(which: tuple[str, ...], settings: Settings) -> tuple[Settings, list[str]]:
    """The settings with a pantry that is named as a directory, and the names that are left."""
    keys = []
    for each in which:
        folder = Path(each).expanduser()
        if is_path(each) and is_pantry(folder):
            settings = replace(settings, pantry=folder.absolute(), pantry_named=True, lock=None)
        else:
            keys.append(each)
    return settings, keys


def _check_packages() -> None:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise Unable(
            "the packages that serve over HTTP are not installed", where="hardtack serve",
            expected=", ".join(_PACKAGES), found=f"no {', '.join(missing)}", mend="pip install 'hardtack[serve]'",
        )  # fmt: skip
