"""``hardtack mirror``: serve models as a read-only Hub."""

from __future__ import annotations

import click

from hardtack.cli.output import Talk


@click.command("mirror")
@click.option("--model", "models", multiple=True, required=True, metavar="ID=DIR[@COMMIT]", help="A model to serve.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; loopback unless you say so.")
@click.option("--port", default=8090, show_default=True, help="0 takes a free one.")
@click.option("--token", envvar="HARDTACK_MIRROR_TOKEN", help="Ask clients for this bearer token.")
@click.option("--quiet", "-q", is_flag=True, help="No line for each request.")
def command(models: tuple[str, ...], host: str, port: int, token: str | None, quiet: bool) -> None:
    """Serve directories as a Hub that any Hugging Face client downloads from, with HF_ENDPOINT set to it.

    Without a commit, a deterministic one is made from the content. It reads, it never writes, it never calls out.
    """
    from hardtack.mirror import MirrorServer, parse_model_argument, scan

    talk = Talk(quiet=False)
    talk.say("hashing what will be served")
    content = scan(parse_model_argument(argument) for argument in models)
    with MirrorServer(content, host=host, port=port, token=token, log=None if quiet else talk.say) as server:
        for repo in content.repos:
            talk.say(f"  {repo}")
        talk.say(f"serving; clients need only:  export HF_ENDPOINT={server.url}")
        server.wait()
