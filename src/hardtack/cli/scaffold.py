"""``hardtack scaffold``: files that the user then owns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from hardtack.bake.oci_base import digest_of
from hardtack.bake.reference import Reference
from hardtack.bake.registry import Registry
from hardtack.bake.scaffold import Kind, Memory, Plan, estimated_memory, put, rounded, scaffold
from hardtack.cli.output import Talk, print_json, reporting
from hardtack.errors import HardtackError
from hardtack.offline.prove import prove
from hardtack.places import is_pantry
from hardtack.project import Project
from hardtack.spec.lock import Lock

_SPARE = 1.25  # of what was measured: requests are larger than the texts of a proof


@click.command("scaffold")
@click.argument("kind", type=click.Choice([kind.value for kind in Kind]))
@click.option("--base", default="python:3.12-slim", show_default=True, metavar="REF",
              help="What images are built on. A tag is looked up and written as its digest.")  # fmt: skip
@click.option("--no-pin", is_flag=True, help="Leave a tag a tag, and ask no registry.")
@click.option("--image", default="models:1", show_default=True, metavar="NAME:TAG", help="What the image is called.")
@click.option("--memory", type=click.IntRange(min=64), metavar="MIB",
              help="The memory limit; default: measured on ./pantry, or estimated where there is none.")  # fmt: skip
@click.option("--force", is_flag=True, help="Write over files that are there.")
@reporting
def command(
    kind: str, base: str, no_pin: bool, image: str, memory: int | None, force: bool, as_json: bool, quiet: bool
) -> None:
    """Write files for docker, compose, kubernetes or ci beside the lock; they are yours from there on.

    docker: a Dockerfile for one service (without OpenVINO where the native engine is to run every model of the lock),
    Dockerfile.base for many on one base, Dockerfile.model-prep for a volume, .dockerignore and dev.sh. compose: prod,
    dev, and several services that share a volume. kubernetes: Deployments, a Job that fills a volume, a NetworkPolicy
    that denies egress. ci: a workflow that restores, verifies and proves, and two tests. Files that were changed by
    hand are never written over without --force.
    """
    talk = Talk(quiet=quiet or as_json)
    project = Project.here()
    lock = project.current()
    pinned = base if no_pin or kind in (Kind.KUBERNETES, Kind.CI) else pin(base, talk.say)
    need = estimated_memory(lock)
    if kind in (Kind.COMPOSE, Kind.KUBERNETES):
        need = needed_memory(lock, project.folder / "pantry", memory, talk.say)
    plan = Plan(lock, need, base=pinned, image=image)
    written = put(scaffold(Kind(kind), plan), project.folder, force=force)
    if as_json:
        print_json({"written": list(written), "base": pinned, "memory_mib": need.mebibytes})
        return
    for path in written:
        click.echo(path)
    if not written:
        talk.say("every file was there, as it would be written")


def pin(base: str, tell: Callable[[str], None], open_registry: Callable[[Reference], Registry] | None = None) -> str:
    """An image's name with its digest; as it is where its registry cannot be asked, which is said."""
    reference = Reference.parse(base)
    if reference.digest:
        return base
    try:
        registry = (open_registry or _quickly)(reference)
        return f"{base}@{digest_of(registry.manifest(reference.tag or 'latest'))}"
    except HardtackError as problem:
        tell(f"{base} is not pinned: {problem.what}. Later: hardtack scaffold docker --base {base}@sha256:…")
        return base


def _quickly(reference: Reference) -> Registry:
    return Registry(reference, timeout=10, pause=lambda _: None)


def needed_memory(lock: Lock, pantry: Path, said: int | None, tell: Callable[[str], None]) -> Memory:
    """What a service of these models needs: as said, else measured by running them, else estimated."""
    if said is not None:
        return Memory(said, "as you said: hardtack scaffold --memory")
    if not is_pantry(pantry):
        tell(f"no pantry to measure at {pantry}: the memory limit is an estimate")
        return estimated_memory(lock)
    peak = sum(model.memory_mb for model in prove(pantry).models)
    return Memory(rounded(_SPARE * peak), f"measured: {peak:.0f} MiB at the most, each model by itself; and a quarter")
