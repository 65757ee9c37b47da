"""``hardtack classify``: labels of texts."""

from __future__ import annotations

import json

import click

from hardtack.cli.output import print_json, texts_from
from hardtack.loaders import load_classifier


@click.command("classify")
@click.argument("texts", nargs=-1)
@click.option("--model", "which", metavar="WHICH", help="A key, a repository, or a path. Default: the only classifier.")
@click.option("--json", "as_json", is_flag=True, help="One document: labels and every score.")
def command(texts: tuple[str, ...], which: str | None, as_json: bool) -> None:
    """Print the labels of each of TEXTS (or of each line of stdin) as a line of JSON."""
    given = texts_from(texts)
    answers = load_classifier(which).classify(given)
    if as_json:
        rows = [{"text": t, "labels": dict(a), "scores": a.scores} for t, a in zip(given, answers, strict=True)]
        print_json({"classified": rows})
        return
    for answer in answers:
        click.echo(json.dumps(dict(answer), ensure_ascii=False))
