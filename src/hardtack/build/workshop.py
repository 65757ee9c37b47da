"""What builds are made with, and what they come to: what every kind of build shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hardtack.build.ask import Answers, ask
from hardtack.build.child import Run
from hardtack.build.gate import Figure, Verdict, judge
from hardtack.build.quantize import recipe_here
from hardtack.build.recipe import Recipe
from hardtack.build.speed import race
from hardtack.build.texts import Texts
from hardtack.errors import GateMissed
from hardtack.runtime import golden
from hardtack.runtime.instructions import Native, read_instructions
from hardtack.runtime.manager import Model
from hardtack.spec.lock import LockedModel

Race = Callable[[Mapping[str, Callable[[], object]]], dict[str, float]]


@dataclass(frozen=True)
class Tried:
    """One variant and what it came to.

    Attributes:
        key: the model's.
        variant: ``bf16``, or int8 and the way: ``int8 static``.
        figures: its loss against fp32.
        size: bytes of what is read: the weights, or the build.
        speed: how many times as fast as the model in the precision that ``auto`` would take without a build.
        accepted: whether it is what the model will run in.
        why: one sentence.
    """

    key: str
    variant: str
    figures: tuple[Figure, ...]
    size: int
    speed: float
    accepted: bool
    why: str


@dataclass(frozen=True)
class Chosen:
    """What a model will run in.

    Attributes:
        model: as it is to be locked.
        precision: what it will be executed in on this machine.
        why: one sentence.
        tried: what was tried for that, in order.
    """

    model: LockedModel
    precision: str
    why: str
    tried: tuple[Tried, ...]


@dataclass(frozen=True)
class Workshop:
    """What builds are made with.

    Attributes:
        builds: the store's folder of builds.
        run: runs a process; a guarded one lets no network pass.
        race: how speeds are compared; see :func:`~hardtack.build.speed.race`.
        cpu: what this CPU multiplies natively.
        recipe: what a way comes to with the packages that are installed.
        tell: told what is being done, a line each.
        note: told of every variant as soon as it is judged.
    """

    builds: Path
    run: Run
    race: Race = race
    cpu: Callable[[], Native] = lambda: read_instructions().native
    recipe: Callable[[str, Texts], Recipe] = recipe_here
    tell: Callable[[str], None] = lambda _: None
    note: Callable[[Tried], None] = lambda _: None


def verdict_on(model: LockedModel, loaded: Model, fp32: Model, reference: Answers, texts: Texts) -> Verdict:
    """How far a variant's answers lie from those in fp32, held to the model's gate.

    Args:
        model: from the lock.
        loaded: the variant.
        fp32: the reference.
        reference: what that said to ``texts``.
        texts: to measure on.
    """
    drift = golden.compare(model.task, golden.ask(loaded), golden.ask(fp32), loaded.engine.precision, model.gate)
    return judge(model.task, ask(loaded, texts), reference, model.gate, drift)


def gate_missed(model: LockedModel, best: Tried) -> GateMissed:
    """The error for a variant that was asked for and loses too much."""
    missed = [figure for figure in best.figures if not figure.good]
    precision = best.variant.partition(" ")[0]
    return GateMissed(
        f"{model.key!r} loses more in {precision} than its gate allows", where=f"{model.key}: {best.variant}",
        expected=", ".join(f"{f.name} {'at most' if f.most else 'at least'} {f.limit:g}" for f in missed),
        found=", ".join(f"{f.name} {f.value:.4f}" for f in missed),
        mend=f'hardtack lock  # after precision = "auto", or another gate, for {model.key}',
    )  # fmt: skip
