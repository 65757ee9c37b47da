"""``hardtack rerank``: documents by how well they answer a query."""

from __future__ import annotations

import click

from hardtack.cli.output import print_json, texts_from
from hardtack.loaders import load_reranker


@click.command("rerank")
@click.argument("query")
@click.argument("documents", nargs=-1)
@click.option("--model", "which", metavar="WHICH", help="A key, a repository, or a path. Default: the only reranker.")
@click.option("--top-k", type=click.IntRange(min=1), help="Only the best K.")
@click.option("--json", "as_json", is_flag=True, help="One document: scores and places.")
def command(query: str, documents: tuple[str, ...], which: str | None, top_k: int | None, as_json: bool) -> None:
    """Print DOCUMENTS (or the lines of stdin), the best answer to QUERY first, with score and place."""
    texts = texts_from(documents)
    ranked = load_reranker(which).rank(query, texts, top_k=top_k)
    rows = [
        {"corpus_id": row["corpus_id"], "score": float(row["score"]), "text": texts[row["corpus_id"]]} for row in ranked
    ]
    if as_json:
        print_json({"query": query, "ranked": rows})
        return
    for row in rows:
        click.echo(f"{row['score']:.4f}\t{row['corpus_id']}\t{row['text']}")
