"""Weights in tile order as a build: packed where they are locked, mapped wherever the native engine runs.

Packing is the same arithmetic on any machine, to the byte, so that a machine without AMX builds for those that have it.
What it cannot do is measure: the loss is then said to be not measured, and is no part of the bytes.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from hardtack.build.ask import ask
from hardtack.build.recipe import TILES_WAY, Recipe, build_key, build_text
from hardtack.build.texts import Texts
from hardtack.build.variant import check_build, lock_build, make, record_loss_beside, record_speed
from hardtack.build.workshop import Chosen, Tried, Workshop, gate_missed, verdict_on
from hardtack.errors import Mismatch, NotDrawn
from hardtack.runtime.admission import check
from hardtack.runtime.builds import TILES, tiles_of
from hardtack.runtime.checking import Files
from hardtack.runtime.engines import native
from hardtack.runtime.layout import Layout
from hardtack.runtime.load import Options, load_model
from hardtack.runtime.manager import Model
from hardtack.runtime.native import library
from hardtack.runtime.native.packed import VERSION, pack, write_packed
from hardtack.runtime.native.reading import read_arrays, read_shape
from hardtack.runtime.native.tiling import NUMPY
from hardtack.runtime.read_layout import read_layout
from hardtack.runtime.weights import mappings_of, open_weights
from hardtack.settings import Verify
from hardtack.spec.lock import LockedBuild, LockedModel
from hardtack.spec.words import EngineName, Precision

_VARIANT = f"{Precision.BF16} {TILES_WAY}"


def runs_from_tiles(model: LockedModel, source: Path, *, again: bool = False) -> bool:
    """Whether a model is to have such a build: the native engine is asked for, or would run it here unasked.

    Args:
        model: from the lock; a build that it has is kept, whichever it is.
        source: where its files lie.
        again: the lock's build is left aside.
    """
    if model.engine is EngineName.NATIVE:
        return True
    if model.engine is not EngineName.AUTO or model.precision not in (Precision.AUTO, Precision.BF16):
        return False
    if model.builds and not again:
        return tiles_of(model) is not None
    if library.ability().library is None:
        return False
    try:
        layout = read_layout(source, model.task, overrides=model.overrides, weights=model.weights)
    except NotDrawn:
        return False
    return native.unfit(layout, model.precision) is None


def choose_tiles(model: LockedModel, source: Path, texts: Texts, shop: Workshop, *, again: bool = False) -> Chosen:
    """Pack a model, and measure what bf16 loses where the engine can run.

    Args:
        model: from the lock; the build that it has is kept where it is whole.
        source: where its files lie.
        texts: to measure the loss on.
        shop: what builds are made with.
        again: leave the lock's build aside.

    Raises:
        UnsupportedModel: the native engine is asked for, and runs this model nowhere.
        GateMissed: bf16 or that engine is asked for, and loses too much.
        Mismatch: the model's files are not the lock's; or the lock's build was made here again, and is not the same.
        DiskError: it could not be written.
    """
    shop.tell(f"{model.key}: weights in tile order")
    build = packed_build(model, source, shop.builds, again=again)
    built = replace(model, builds=(build,))
    able = library.ability()
    if able.library is None:
        why = f"on CPUs with AMX; its loss is not measured, as here {able.why_not}"
        tried = Tried(model.key, _VARIANT, (), _size(build), 1.0, True, why)
        shop.note(tried)
        return Chosen(built, "bf16", why, (tried,))
    tried = _measured(model, source, build, texts, shop)
    shop.note(tried)
    if tried.accepted:
        return Chosen(built, "bf16", tried.why, (tried,))
    if model.engine is EngineName.NATIVE or model.precision is Precision.BF16:
        problem = gate_missed(model, tried)
        if model.engine is EngineName.NATIVE:  # it has no other precision
            problem.mend = f"hardtack lock  # after another engine, or another gate, for {model.key}"
        raise problem
    why = f'{tried.why}: no build is locked; bf16 runs all the same, unless the manifest says precision = "fp32"'
    return Chosen(replace(model, builds=()), "bf16", why, (tried,))


def packed_build(model: LockedModel, source: Path, builds: Path, *, again: bool = False) -> LockedBuild:
    """The build of a model: the one that the lock has, if it is whole in the store, or packed now.

    Args:
        model: from the lock.
        source: where its files lie.
        builds: the store's folder of builds.
        again: leave the lock's build aside.

    Raises:
        UnsupportedModel: the native engine runs this model nowhere.
        ModelNotFound: its directory is not there.
        Mismatch: the model's files are not the lock's; or the lock's build comes out otherwise.
        DiskError: it could not be written.
    """
    locked = None if again else tiles_of(model)
    if locked is not None and check_build(locked, builds).good:
        return locked
    check(source, model.task, model, strict=False)
    mend = "hardtack lock" if model.source == "local" else "hardtack pull"
    with Files(source, model.files, Verify.FULL, mend) as files:
        files.look()
        layout = read_layout(source, model.task, overrides=model.overrides, weights=model.weights)
        if (why := native.unfit(layout, model.precision)) is not None:
            raise native.refuse(layout, why, f"hardtack lock  # after another engine or precision for {model.key}")
        recipe = Recipe(TILES_WAY, VERSION)
        text = build_text(model, layout, Precision.BF16, recipe)
        # what lies there and no lock names is not asked: packing takes a second
        place = make(
            builds, build_key(text, Precision.BF16), text, lambda out: _pack(layout, files, out / TILES, model.digest)
        )
    build = lock_build(place, str(recipe), Precision.BF16)
    if locked is not None and build != locked:
        raise Mismatch(
            f"the build of {model.key!r}, made again, is not the one that is locked", where=locked.name,
            expected=f"{locked.digest}, {locked.recipe}", found=f"{build.digest}, {build.recipe}",
            mend=f"hardtack build --again {model.key}",
        )  # fmt: skip
    return build


def _pack(layout: Layout, files: Files, out: Path, digest: str) -> None:
    """Write a model's pack once all of its files were found to be the lock's."""
    functions = library.ability().library
    shape, weights = read_shape(layout), open_weights(layout)
    files.start(mappings_of(weights, layout.directory))
    packed = pack(shape, read_arrays(layout, weights, shape, NUMPY if functions is None else functions.tiler))
    files.finish()
    write_packed(out, packed, digest)


def _measured(model: LockedModel, source: Path, build: LockedBuild, texts: Texts, shop: Workshop) -> Tried:
    plain = replace(model, builds=(build,), precision=Precision.AUTO, engine=EngineName.AUTO)

    def load(options: Options) -> Model:
        return load_model(source, model.task, locked=plain, source=model.source, builds=shop.builds, options=options)

    shop.tell(f"{model.key}: asking {len(texts.texts)} texts in fp32 and in bf16")
    with (
        closing(load(Options(EngineName.OPENVINO, Precision.FP32))) as fp32,
        closing(load(Options(EngineName.NATIVE, Precision.BF16))) as ours,
    ):
        verdict = verdict_on(model, ours, fp32, ask(fp32, texts), texts)
        times = shop.race({"fp32": lambda: ask(fp32, texts), "build": lambda: ask(ours, texts)})
    speed = times["fp32"] / times["build"]
    why = f"{speed:.2f} times as fast as fp32 here"
    if not verdict.good:
        why = "missed the gate: " + ", ".join(map(str, verdict.missed))
    place = shop.builds / build.name
    record_loss_beside(place, {figure.name: figure.value for figure in verdict.figures})
    record_speed(place, {"fp32": times["fp32"], "bf16": times["build"]})
    return Tried(model.key, _VARIANT, verdict.figures, _size(build), speed, verdict.good, why)


def _size(build: LockedBuild) -> int:
    return sum(file.size for file in build.files)
