"""``hardtack init``: start a manifest."""

from __future__ import annotations

from pathlib import Path

import click

from hardtack.cli.output import Talk, print_json, reporting
from hardtack.errors import Misused
from hardtack.settings import read_settings
from hardtack.spec.dotenv import USUAL_KEYS, parse_env
from hardtack.spec.lock import MANIFEST_NAME
from hardtack.spec.lock_text import write_atomically
from hardtack.spec.text_file import read_text
from hardtack.spec.words import Task


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
@click.option(
    "--env", type=click.Path(dir_okay=False, path_type=Path),
    help="Take the models of a .env with EMBED_REPO, EMBED_COMMIT, RERANK_… and CLASSIFY_….",
)  # fmt: skip
@reporting
def command(folder: Path, env: Path | None, as_json: bool, quiet: bool) -> None:
    """Write hardtack.toml into FOLDER (default: here): empty, or with the models of an environment file."""
    from hardtack.spec.manifest_edit import NEW_MANIFEST

    path = folder / MANIFEST_NAME
    if path.exists():
        raise Misused(
            "there is a manifest already", where=str(path), expected="none", found=MANIFEST_NAME,
            mend="hardtack add REPO",
        )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    text = _with_models_of(env, NEW_MANIFEST) if env else NEW_MANIFEST
    write_atomically(path, text.encode())
    next_step = "lock" if env else "add sentence-transformers/all-MiniLM-L6-v2"
    Talk(quiet=quiet or as_json).say(f"wrote {path}; next: hardtack {next_step}")
    if as_json:
        print_json({"manifest": str(path)})


def _with_models_of(env: Path, text: str) -> str:
    """A manifest with the models that an environment file names, under their tasks' usual keys."""
    from hardtack.spec.manifest_edit import add_model

    pins = read_settings(parse_env(read_text(env, Misused, "environment file", f"ls -l {env}"), str(env))).pins
    if not pins:
        raise Misused(
            "the environment file names no model", where=str(env), expected="EMBED_REPO, RERANK_REPO or CLASSIFY_REPO",
            found="none of them", mend="hardtack init",
        )  # fmt: skip
    for task, pin in pins.items():
        values: dict[str, object] = {"task": task, "repo": pin.repo}
        if pin.commit:
            values["revision"] = pin.commit
        text = add_model(text, USUAL_KEYS[Task(task)], values)
    return text
