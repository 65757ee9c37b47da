"""``hardtack embed``: vectors of texts."""

from __future__ import annotations

import json

import click

from hardtack.cli.output import print_json, texts_from
from hardtack.loaders import load_embedder


@click.command("embed")
@click.argument("texts", nargs=-1)
@click.option("--model", "which", metavar="WHICH", help="A key, a repository, or a path. Default: the only embedder.")
@click.option("--prompt-name", help="One of the model's prompts.")
@click.option("--json", "as_json", is_flag=True, help="One document: model, space, vectors.")
def command(texts: tuple[str, ...], which: str | None, prompt_name: str | None, as_json: bool) -> None:
    """Print the vector of each of TEXTS (or of each line of stdin) as a line of JSON."""
    embedder = load_embedder(which)
    vectors = embedder.encode(texts_from(texts), prompt_name=prompt_name)
    if as_json:
        print_json({"digest": embedder.digest, "space": embedder.space, "vectors": vectors.tolist()})
        return
    for vector in vectors:
        click.echo(json.dumps([round(value, 7) for value in vector.tolist()]))
