"""Which variant a model runs in: made or taken from the store, measured, raced, and accepted or not.

``fp32`` is the reference and needs nothing. ``bf16`` is drawn from the snapshot and only measured; for the native
engine it is packed, see :mod:`hardtack.build.tiles`. ``int8`` takes the first way whose loss keeps to the gate.
``auto`` asks the CPU whether int8 is worth trying, and takes it only where it keeps to the gate *and* is faster here
than what would run otherwise, by :data:`MARGIN`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from hardtack.build.ask import Answers, ask
from hardtack.build.export import PARITY, exported, is_drawn
from hardtack.build.gate import Verdict, hold
from hardtack.build.quantize import quantize
from hardtack.build.recipe import WAYS, build_key, build_text, parse_recipe
from hardtack.build.texts import Texts
from hardtack.build.tiles import choose_tiles, runs_from_tiles
from hardtack.build.variant import check_build, is_whole, lock_build, make, record_loss, record_speed
from hardtack.build.workshop import Chosen, Tried, Workshop, gate_missed, verdict_on
from hardtack.errors import GateMissed, Mismatch, Misused, Unable
from hardtack.runtime.builds import is_tiles
from hardtack.runtime.instructions import Native
from hardtack.runtime.load import Options, load_model
from hardtack.runtime.manager import Model
from hardtack.spec.lock import LockedBuild, LockedModel
from hardtack.spec.words import EngineName, Precision, WeightsKind

MARGIN = 1.15
"""How many times as fast int8 must be under ``auto``: for less, the loss and the second copy are not worth it."""

_BUILT = (Precision.AUTO, Precision.INT8)


def choose(
    model: LockedModel, source: Path, calibration: Texts, gate_texts: Texts, shop: Workshop, *, again: bool = False
) -> Chosen:
    """Find out what a model runs in.

    Args:
        model: from the lock; a build that it has is kept while it keeps to the gate.
        source: where its files lie.
        calibration: texts to calibrate on.
        gate_texts: others, to measure the loss on.
        shop: what builds are made with.
        again: leave the lock's build aside and choose anew.

    Raises:
        GateMissed: the precision that was asked for loses too much.
        Mismatch: the lock's build was made here again, and is not the same.
        Misused: NNCF is wanted and not installed.
        UnsupportedModel: the native engine is asked for, and runs this model nowhere.
    """
    exports = model.engine is not EngineName.TORCH and model.precision in (Precision.AUTO, Precision.FP32)
    if runs_from_tiles(model, source, again=again):
        return choose_tiles(model, source, gate_texts, shop, again=again)
    if exports and not is_drawn(model, source):
        return _export(model, source, gate_texts, shop, again)
    bench = _Bench(model, source, calibration, gate_texts, shop, again)
    if model.precision is Precision.FP32:
        return Chosen(replace(model, builds=()), "fp32", "as asked: fp32 is the reference", ())
    with ExitStack() as stack:
        bench.open(stack)
        if not bench.drawn and (model.precision in _BUILT or bench.usual.engine.precision == "int8"):
            return bench.take_shipped()
        locked = None if again else next((build for build in model.builds if not is_tiles(build)), None)
        if locked is not None:
            return bench.keep(locked)
        if model.precision not in _BUILT:
            return bench.measure_plain()
        return bench.pick()


def _export(model: LockedModel, source: Path, texts: Texts, shop: Workshop, again: bool) -> Chosen:
    """Have torch export what no family draws; under ``auto``, what it cannot export stays with torch."""
    shop.tell(f"{model.key}: no family draws it: exporting it by torch")
    try:
        build, loss = exported(model, source, texts, shop.builds, shop.run, again=again)
    except Unable as problem:
        if model.engine is not EngineName.AUTO:
            raise
        return Chosen(replace(model, builds=()), "fp32", f"the torch engine runs it: {problem.found}", ())
    figures = hold(model.task, loss, PARITY[model.task])
    why = "exported by torch, whose answers it gives"
    size = sum(file.size for file in build.files)
    tried = Tried(model.key, "export", figures, size, 1.0, True, why)
    shop.note(tried)
    return Chosen(replace(model, builds=(build,)), "fp32", why, (tried,))


class _Bench:
    """The models that are compared, and their answers."""

    def __init__(
        self, model: LockedModel, source: Path, calibration: Texts, gate_texts: Texts, shop: Workshop, again: bool
    ) -> None:
        self.model = model
        self.plain = replace(model, builds=(), precision=Precision.AUTO)
        self.source = source
        self.calibration = calibration
        self.texts = gate_texts
        self.shop = shop
        self.again = again
        self.tried: list[Tried] = []
        self.fp32: Model
        self.usual: Model
        self.reference: Answers

    def open(self, stack: ExitStack) -> None:
        """Load what every variant is compared with: fp32 for the loss, and the usual precision for the speed."""
        self.shop.tell(f"{self.model.key}: asking {len(self.texts.texts)} texts in fp32")
        self.fp32 = stack.enter_context(closing(self._load(Precision.FP32)))
        self.reference = ask(self.fp32, self.texts)
        wanted = self.model.precision
        plain = wanted if wanted in (Precision.BF16, Precision.FP16) else Precision.AUTO
        self.usual = stack.enter_context(closing(self._load(plain)))

    @property
    def drawn(self) -> bool:
        """Whether a family draws products: only then is there something to quantise, and an fp32 reference for sure."""
        layout = self.fp32.layout
        return (
            self.fp32.engine.name == "openvino"
            and layout.stored is WeightsKind.SAFETENSORS
            and layout.family != "static"  # a table of vectors, and no product
        )

    def take_shipped(self) -> Chosen:
        """Take a graph that the repository ships, or torch, as it is.

        Raises:
            Misused: int8 is asked for, and cannot be made.
        """
        here = self.usual.engine
        if here.precision == "int8":
            return self._chosen(self.model, "int8", "shipped in int8 without an fp32 reference: not measured")
        if self.model.precision is Precision.INT8:
            raise Misused(
                "int8 is made of models that a family draws from safetensors", where=self.model.key,
                expected="another precision, or the repository's int8 graph", found=here.why,
                mend=f"hardtack lock  # after another precision for {self.model.key}",
            )  # fmt: skip
        return self._chosen(self.model, here.precision, here.why)

    def measure_plain(self) -> Chosen:
        """Measure a precision that needs no build."""
        verdict = self._judge(self.usual)
        times = self.shop.race({"fp32": self._work(self.fp32), "usual": self._work(self.usual)})
        tried = Tried(self.model.key, self.usual.engine.precision, verdict.figures, self.model.size,
                      times["fp32"] / times["usual"], verdict.good, "as asked; speed against fp32")  # fmt: skip
        self._note(tried)
        if not verdict.good:
            raise self._missed()
        return self._chosen(replace(self.model, builds=()), tried.variant, "as asked")

    def keep(self, locked: LockedBuild) -> Chosen:
        """Hold the build that the lock has to its bytes and to the gate; make it again where it is not here."""
        way = parse_recipe(locked.recipe, self.model.key).way
        here = check_build(locked, self.shop.builds).good
        tried, build = self._try(way, locked if here else self._make(way, again=True), held=True)
        if build != locked:
            raise Mismatch(
                f"the build of {self.model.key!r}, made again, is not the one that is locked", where=locked.name,
                expected=f"{locked.digest}, {locked.recipe}", found=f"{build.digest}, {build.recipe}",
                mend=f"hardtack build --again {self.model.key}",
            )  # fmt: skip
        if not tried.accepted:
            raise self._missed()
        return self._chosen(replace(self.model, builds=(build,)), build.precision.value, "the lock has this build")

    def pick(self) -> Chosen:
        """Try the ways in order, the fastest first."""
        usual = self.usual.engine.precision
        auto = self.model.precision is Precision.AUTO
        if auto and (cpu := self.shop.cpu()) is not Native.VNNI:
            has = "multiplies bf16 in tiles" if cpu is Native.AMX else "has no eight-bit dot product"
            return self._chosen(replace(self.model, builds=()), usual, f"this CPU {has}: int8 is not worth its loss")
        for way in WAYS:
            tried, build = self._try(way, self._make(way, again=self.again), held=not auto)
            if tried.accepted:
                return self._chosen(replace(self.model, builds=(build,)), build.precision.value, tried.why)
            if all(figure.good for figure in tried.figures):
                break  # it was only too slow, and the next ways are slower
        if not auto:
            raise self._missed()
        return self._chosen(replace(self.model, builds=()), usual, f"{self.tried[-1].why}: falling back to {usual}")

    def _make(self, way: str, *, again: bool) -> LockedBuild:
        recipe = self.shop.recipe(way, self.calibration)
        text = build_text(self.model, self.fp32.layout, Precision.INT8, recipe, self.texts.digest)
        key = build_key(text, Precision.INT8)
        if again or not is_whole(self.shop.builds / key):
            self.shop.tell(f"{self.model.key}: quantising, {way}")
            make(
                self.shop.builds, key, text,
                lambda out: quantize(self.plain, self.source, way, self.calibration, out, self.shop.run),
            )  # fmt: skip
        return lock_build(self.shop.builds / key, str(recipe), Precision.INT8)

    def _try(self, way: str, build: LockedBuild, *, held: bool) -> tuple[Tried, LockedBuild]:
        """Measure a build and write down what it came to; ``held``: its loss alone decides, not its speed."""
        self.shop.tell(f"{self.model.key}: measuring int8 {way}")
        with closing(self._load(Precision.INT8, build)) as loaded:
            verdict = self._judge(loaded)
            work = {"fp32": self.fp32, "usual": self.usual, "build": loaded}
            times = self.shop.race({name: self._work(each) for name, each in work.items()})
        speed, usual = times["usual"] / times["build"], self.usual.engine.precision
        accepted = verdict.good and (held or speed >= MARGIN)
        why = f"{speed:.2f} times as fast as {usual} here"
        if not verdict.good:
            why = "missed the gate: " + ", ".join(map(str, verdict.missed))
        elif not accepted:
            why += f", and less than {MARGIN} is not worth a build"
        size = sum(file.size for file in build.files)
        tried = Tried(self.model.key, f"int8 {way}", verdict.figures, size, speed, accepted, why)
        place = self.shop.builds / build.name
        record_loss(place, {figure.name: figure.value for figure in verdict.figures})
        record_speed(place, {"fp32": times["fp32"], usual: times["usual"], "int8": times["build"]})
        self._note(tried)
        return tried, lock_build(place, build.recipe, build.precision)

    def _judge(self, loaded: Model) -> Verdict:
        return verdict_on(self.model, loaded, self.fp32, self.reference, self.texts)

    def _load(self, precision: Precision, build: LockedBuild | None = None) -> Model:
        model = replace(self.plain, builds=(build,) if build else ())
        return load_model(self.source, model.task, locked=model, source=model.source, builds=self.shop.builds,
                          options=Options(precision=precision))  # fmt: skip

    def _work(self, loaded: Model) -> Callable[[], object]:
        return lambda: ask(loaded, self.texts)

    def _note(self, tried: Tried) -> None:
        self.tried.append(tried)
        self.shop.note(tried)

    def _chosen(self, model: LockedModel, precision: str, why: str) -> Chosen:
        return Chosen(model, precision, why, tuple(self.tried))

    def _missed(self) -> GateMissed:
        return gate_missed(self.model, self.tried[-1])
