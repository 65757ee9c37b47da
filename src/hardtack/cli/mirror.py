"""``hardtack mirror``: serve models as a read-only Hub."""

from __future__ import annotations

from contextlib import suppress

import click

from hardtack.cli.output import Talk
from hardtack.mirror import LOOPBACK, PORT, parse_model_argument, serve


@click.command("mirror")
@click.option("--model", "models", multiple=True, required=True, metavar="ID=DIR[@COMMIT]", help="A model to serve.")
@click.option("--host", default=LOOPBACK, show_default=True, help="Where to listen; loopback unless you say so.")
@click.option("--port", default=PORT, show_default=True, help="0 takes a free one.")
@click.option("--token", envvar="HARDTACK_MIRROR_TOKEN", help="Answer only to clients that show this bearer token.")
@click.option("--quiet", "-q", is_flag=True, help="No line for each request.")
def command(models: tuple[str, ...], host: str, port: int, token: str | None, quiet: bool) -> None:
    """Serve directories as a Hub that any Hugging Face client downloads from, with HF_ENDPOINT set to it.

    Without a commit, a deterministic one is made from the content. It reads, it never writes, it never calls out.
    """
    talk = Talk(quiet=False)
    served = [parse_model_argument(argument) for argument in models]
    talk.say(f"hashing {len(served)} director{'y' if len(served) == 1 else 'ies'}")

    def ready(url: str) -> None:
        talk.say(f"serving; all a client needs:  export HF_ENDPOINT={url}")

    with suppress(KeyboardInterrupt):  # the way to end it
        serve(served, host=host, port=port, token=token, log=None if quiet else talk.say, ready=ready)
