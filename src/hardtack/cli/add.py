"""``hardtack add``: put a model into the manifest."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hardtack.cli.output import Talk, print_json, reporting
from hardtack.errors import Misused
from hardtack.project import Project
from hardtack.spec.guess import guess_task
from hardtack.spec.lock_text import write_atomically
from hardtack.spec.manifest import Manifest, read_manifest
from hardtack.spec.names import is_key, is_local, is_repo
from hardtack.spec.words import Precision, Task
from hardtack.supply.bare_names import full_name

_KEYS = {Task.EMBED: "emb", Task.RERANK: "rerank", Task.CLASSIFY: "classify"}


@click.command("add")
@click.argument("repo")
@click.option("--as", "key", metavar="KEY", help="Its name in this project; default: by its task, else by its repo.")
@click.option("--task", type=click.Choice([t.value for t in Task if t.pulls]), help="Default: what the Hub says it is.")
@click.option("--revision", help="Branch, tag, refs/pr/N or commit. Default: main.")
@click.option("--precision", type=click.Choice([p.value for p in Precision]), help="Default: auto.")
@reporting
def command(
    repo: str,
    key: str | None,
    task: str | None,
    revision: str | None,
    precision: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Put REPO (namespace/name, a bare name, or ./directory) into hardtack.toml."""
    from hardtack.spec.manifest_edit import NEW_MANIFEST, add_model

    project = Project.here(new=True)
    path = project.manifest_path
    text = path.read_text(encoding="utf-8") if path.exists() else NEW_MANIFEST
    if not is_local(repo) and not is_repo(repo):
        raise Misused(
            "this is neither a repository nor a directory", where=str(path), expected="namespace/name or ./directory",
            found=repo, mend="hardtack add sentence-transformers/all-MiniLM-L6-v2",
        )  # fmt: skip
    meant = Task(task) if task else _guess(project, repo, revision or "main")
    key = key or _free_key(read_manifest(path) if path.exists() else Manifest(()), meant, repo)
    values: dict[str, object] = {"task": meant.value, "repo": repo}
    if revision:
        values["revision"] = revision
    if precision:
        values["precision"] = precision
    write_atomically(path, add_model(text, key, values, str(path)).encode())
    Talk(quiet=quiet or as_json).say(f"added {key} ({meant.value}): {repo}; next: hardtack lock")
    if as_json:
        print_json({"added": {"key": key, **values}})


def _free_key(manifest: Manifest, task: Task, repo: str) -> str:
    taken = {model.key for model in manifest.models}
    name = Path(repo).name
    for key in (_KEYS.get(task, ""), name, f"{name}-{task.value}"):
        if key and is_key(key) and key not in taken:
            return key
    raise Misused(
        "no free name for this model", where="hardtack.toml", expected="a name of your choice", found=name,
        mend=f"hardtack add {repo} --as KEY",
    )  # fmt: skip


def _guess(project: Project, repo: str, revision: str) -> Task:
    if is_local(repo):
        config = project.folder / repo / "config.json"
        known = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else None
        task = guess_task(repo, (), known)
    else:
        # a bare name is first of all an embedder's: that is where sentence-transformers allows them
        task = guess_task(repo, project.hub.list(full_name(repo, Task.EMBED), revision).tags)
    if task is None:
        raise Misused(
            "it does not say what it is for", where=repo, expected="a task", found="no tag that tells",
            mend=f"hardtack add {repo} --task embed",
        )  # fmt: skip
    return task
