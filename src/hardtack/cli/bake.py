"""``hardtack bake``: lay the locked models out as a pantry, or as an image."""

from __future__ import annotations

from pathlib import Path

import click

from hardtack.bake.oci import Image, push_image
from hardtack.bake.oci_base import find_base
from hardtack.bake.reference import Reference
from hardtack.bake.registry import Registry
from hardtack.bake.stock import Arrangement, Shape, Stock
from hardtack.cli.output import Talk, print_json, reporting, size
from hardtack.cli.progress import Bar
from hardtack.project import Project
from hardtack.runtime.builds import left_ashore
from hardtack.runtime.native import library
from hardtack.settings import read_settings
from hardtack.spec.lock import Lock


@click.command("bake")
@click.argument("pantry", type=click.Path(path_type=Path), required=False)
@click.option("--root", type=click.Path(path_type=Path), metavar="DIR",
              help="DIR is the root of an image: every `path` of the manifest is laid beneath it.")  # fmt: skip
@click.option("--only", multiple=True, metavar="MODEL",
              help="Just this model; may be given again. Default: all, or $MODELS_TO_DOWNLOAD.")  # fmt: skip
@click.option("--slim", is_flag=True, help="Only what the engine reads; other libraries cannot load it then.")
@click.option("--layout", type=click.Choice([each.value for each in Arrangement]), default="pantry", show_default=True,
              help="hub: a standard cache without links, from which programs load by name, too.")  # fmt: skip
@click.option("--link", is_flag=True, help="Hard links to the store instead of copies: no space, but never edit them.")
@click.option("--oci", type=click.Path(path_type=Path), metavar="OUT",
              help="An image instead: an OCI layout, or a .tar that `docker load` takes. No daemon.")  # fmt: skip
@click.option("-t", "--tag", default="", metavar="NAME:TAG", help="A name for the image.")
@click.option("--base", default="scratch", metavar="REF", show_default=True,
              help="What the image lies on: HOST/NAME@sha256:…, or ./folder of an OCI layout.")  # fmt: skip
@click.option("--platform", default="linux/amd64", metavar="OS/ARCH", show_default=True, help="Of the image.")
@click.option("--push", is_flag=True, help="Push the image to the registry that its name begins with.")
@reporting
def command(
    pantry: Path | None, root: Path | None, only: tuple[str, ...], slim: bool, layout: str, link: bool,
    oci: Path | None, tag: str, base: str, platform: str, push: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Bake the locked models into PANTRY (default: ./pantry): self-contained, read-only, with golden answers.

    Every file is hashed on its way. The digest that is printed stands for the whole; HARDTACK_EXPECT holds a process to
    it. With --oci it is an image, one layer for each model, and its digest is printed. Golden answers are kept in
    hardtack.golden beside the lock: committed, they make every bake the same on any machine.
    """
    if sum(place is not None for place in (pantry, root, oci)) > 1:
        raise click.UsageError("one of PANTRY, --root and --oci")
    if oci is None and (tag or push or base != "scratch"):
        raise click.UsageError("--tag, --base and --push are for an image: --oci OUT")
    if push and not tag:
        raise click.UsageError("--push needs a name: -t HOST/NAME:TAG")
    talk = Talk(quiet=quiet or as_json)
    project = Project.here(progress=Bar(talk))
    shape = Shape(slim=slim, arrangement=Arrangement(layout), whole_image=root is not None)
    select = only or read_settings().selected
    if oci is not None:
        _bake_image(project, oci, shape, select, tag, base, platform, push, talk, as_json)
        return
    baked = project.bake(root or pantry or Path("pantry"), shape, link=link, select=select)
    talk.done()
    _say_unseen(baked.lock, talk)
    if as_json:
        print_json({"pantry": str(baked.directory), "digest": baked.digest, "files": baked.files, "bytes": baked.bytes})
    else:
        talk.say(f"{baked.directory}: {baked.files} files, {size(baked.bytes)}")
        click.echo(baked.digest)


def _bake_image(
    project: Project, out: Path, shape: Shape, select: tuple[str, ...], tag: str, base: str, platform: str, push: bool,
    talk: Talk, as_json: bool,
) -> None:  # fmt: skip
    target = Reference.parse(tag) if tag else None
    found = find_base(base, platform)
    stock, image = project.image(out, shape, base=found, platform=platform, tag=tag, select=select)
    talk.done()
    talk.say(f"{image.out}: {len(image.layers)} layers, {size(image.size)}; the models are in {stock.home}")
    _say_unseen(stock.lock, talk)
    pushed = None
    if push and target is not None:
        pushed = push_image(image, target, Registry(target))
        talk.say(f"{target}: {size(pushed[0])} sent, {size(pushed[1])} were there")
    if as_json:
        print_json(_plain(stock, image, pushed))
    else:
        click.echo(image.digest)


def _say_unseen(lock: Lock, talk: Talk) -> None:
    """Say which models were laid down without anybody loading them: what alone reads them does not run here."""
    for model in filter(left_ashore, lock.models):
        able = library.ability()
        if able.library is None:
            talk.say(f"{model.key}: not loaded, since only the native engine reads it, and here {able.why_not}; "
                     "on a CPU with AMX: hardtack prove")  # fmt: skip


def _plain(stock: Stock, image: Image, pushed: tuple[int, int] | None) -> dict[str, object]:
    layers = [{"what": each.what, "digest": each.digest, "size": each.size} for each in image.layers]
    report: dict[str, object] = {
        "image": str(image.out),
        "digest": image.digest,
        "pantry_digest": stock.digest,
        "layers": layers,
    }
    return report if pushed is None else report | {"sent": pushed[0], "there": pushed[1]}
