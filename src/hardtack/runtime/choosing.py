"""Which engine runs a model, and why: our own where CPU and model allow, else OpenVINO, else torch.

OpenVINO runs what a family draws, and IR and ONNX that a repository ships; torch runs anything.
``auto`` never leaves a model that OpenVINO runs to torch unless the device is not a CPU. Where only torch would do and
it is not installed, the error says what stood in OpenVINO's way and how torch is had. A build in tile order is our own
engine's: where another runs the model, it is as if it were not there, and that is said.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from hardtack.errors import HardtackError, NotDrawn, UnsupportedModel
from hardtack.runtime.builds import left_ashore, tiles_of
from hardtack.runtime.engines.interface import Engine
from hardtack.runtime.layout import Layout
from hardtack.runtime.native.shelf import Shelf, missing
from hardtack.runtime.read_layout import read_layout
from hardtack.runtime.weights import Weights
from hardtack.spec.lock import LockedModel
from hardtack.spec.words import EngineName, Precision, Task, WeightsKind

log = logging.getLogger("hardtack")

INSTALL = "pip install 'hardtack[torch]'"


@dataclass(frozen=True)
class Wish:
    """What is wanted of an engine.

    Attributes:
        engine, precision: ``auto`` leaves it to this module and to the engine.
        threads: CPUs to use; None: those this process may use.
        device: ``cpu``, or torch's name of another.
        allow_code: the caller's leave for code that the lock carries.
        code: where that of other repositories lies, by repository.
        built: a build holds the graph: no family need draw it.
        shelf: where the native engine's packed weights are kept; None: nowhere.
    """

    engine: EngineName = EngineName.AUTO
    precision: Precision = Precision.AUTO
    threads: int | None = None
    device: str = "cpu"
    allow_code: bool = False
    code: Mapping[str, Path] = field(default_factory=dict)
    built: bool = False
    shelf: Shelf | None = None


@dataclass(frozen=True)
class Chosen:
    """A layout, and what opens an engine for it.

    Attributes:
        layout: the model, as the engine takes it.
        open: makes the engine of the model's mapped weights. What it is handed besides is called once the interpreter
            is no longer needed for it: what goes on beside the compilation may begin then.
        verified: to be called once every file of the model was found to be what it should be.
        native: whether it is our own engine, which takes a build's tiles instead of weights.
    """

    layout: Layout
    open: Callable[[Weights, Callable[[], object]], Engine]
    verified: Callable[[], None] = lambda: None
    native: bool = False


def choose(directory: Path, task: Task, locked: LockedModel | None, wish: Wish) -> Chosen:
    """Choose the engine of a model and read its directory the way that engine needs.

    Raises:
        UnsupportedModel: no engine that is wanted and installed runs the model.
        Mismatch, DiskError: as :func:`~hardtack.runtime.read_layout.read_layout`.
    """
    overrides = None if locked is None else locked.overrides
    weights = None if locked is None else locked.weights
    if wish.engine in (EngineName.NATIVE, EngineName.OPENVINO) and wish.device != "cpu":
        raise UnsupportedModel(
            "no engine here runs that", where=str(directory),
            expected="engine openvino or native on device cpu, or engine torch",
            found=f"engine {wish.engine.value} on device {wish.device}", mend="unset HARDTACK_ENGINE HARDTACK_DEVICE",
        )  # fmt: skip
    ashore = left_ashore(locked)
    if ashore and wish.engine is not EngineName.NATIVE:
        raise UnsupportedModel(
            "this model was baked slim for the native engine, and no other reads it", where=str(directory),
            expected="engine native", found=f"engine {wish.engine.value}", mend="hardtack bake  # without --slim",
        )  # fmt: skip

    def by_torch(why: str) -> Chosen:
        layout = read_layout(directory, task, overrides=overrides, weights=weights, foreign=True)
        return Chosen(layout, lambda *_: _open_torch(layout, locked, wish, why))

    if wish.engine is EngineName.TORCH:
        return by_torch("engine torch, as asked")
    if wish.device != "cpu":
        return by_torch(f"only torch runs on {wish.device}")
    try:
        if weights is WeightsKind.PICKLE and not wish.built:
            raise NotDrawn(
                "Only torch reads pickled weights.", where=str(directory), expected="safetensors, IR or ONNX",
                found="pickle, as the lock says", mend=INSTALL,
            )  # fmt: skip
        layout = read_layout(directory, task, overrides=overrides, weights=weights, ashore=ashore)
    except NotDrawn as problem:
        if not wish.built:
            _need_torch(problem, wish)
            return by_torch(_because(problem))
        layout = read_layout(directory, task, overrides=overrides, weights=weights, foreign=True)

    if wish.engine is EngineName.NATIVE or (wish.engine is EngineName.AUTO and not wish.built):
        why_not = _why_not_native(layout, wish)
        if why_not is None:
            return _by_native(layout, wish)
        tiles = tiles_of(locked)
        if wish.engine is EngineName.NATIVE:
            raise _refused(layout, locked, why_not)
        if locked is not None and tiles is not None:
            log.info("%s: its build %s is for the native engine: running the snapshot, as here %s", locked.key,
                     tiles.name, why_not)  # fmt: skip

    def opened(mapped: Weights, compiling: Callable[[], object]) -> Engine:
        from hardtack.runtime.engines.openvino import open_engine

        try:
            return open_engine(layout, mapped, precision=wish.precision, threads=wish.threads, compiling=compiling)
        except NotDrawn as problem:
            _need_torch(problem, wish)
            return _open_torch(layout, locked, wish, _because(problem))

    return Chosen(layout, opened)


def _why_not_native(layout: Layout, wish: Wish) -> str | None:
    """Why our own engine does not run the model here; None: it does."""
    if wish.engine is EngineName.AUTO and (lack := missing()) is not None:
        return lack
    # this is imported only where it may be of use
    from hardtack.runtime.engines import native
    from hardtack.runtime.native import library

    return native.why_not(layout, wish.precision, library.ability())


def _by_native(layout: Layout, wish: Wish) -> Chosen:
    """By our own engine, which runs the model here."""
    from hardtack.runtime.engines import native
    from hardtack.runtime.native import library
    from hardtack.runtime.native.cache import packed_weights

    functions = library.ability().library
    assert functions is not None, "it was asked for before"
    why = "engine native, as asked" if wish.engine is EngineName.NATIVE else "this CPU has AMX"
    keeping: list[Callable[[], None]] = []

    def opened(mapped: Weights, compiling: Callable[[], object]) -> Engine:
        compiling()  # the library lets go of the interpreter while it packs
        packed, keep = packed_weights(layout, mapped, wish.shelf, functions.tiler)
        keeping.append(keep)
        said = why if mapped.tiles is None else f"{why}; the lock has this build: {mapped.tiles.recipe}"
        return native.open_engine(layout, packed, functions, threads=wish.threads, why=said)

    def verified() -> None:
        while keeping:
            keeping.pop()()

    return Chosen(layout, opened, verified, native=True)


def _refused(layout: Layout, locked: LockedModel | None, why: str) -> UnsupportedModel:
    from hardtack.runtime.engines import native

    if left_ashore(locked):
        return native.refuse(layout, why, "hardtack bake  # without --slim; then HARDTACK_ENGINE=openvino runs it here")
    insists = locked is not None and locked.engine is EngineName.NATIVE
    return native.refuse(layout, why, "HARDTACK_ENGINE=openvino …" if insists else "unset HARDTACK_ENGINE")


def _need_torch(problem: HardtackError, wish: Wish) -> None:
    """Let a refusal stand where torch may not, or cannot, take its place."""
    if wish.engine is not EngineName.AUTO:
        raise problem
    if find_spec("torch") is None or find_spec("transformers") is None:
        problem.mend = problem.mend or f"{INSTALL}  # torch may know it"
        raise problem


def _because(problem: HardtackError) -> str:
    return f"no family, IR or ONNX serves: {Path(problem.where).name}: {problem.found}"


def _open_torch(layout: Layout, locked: LockedModel | None, wish: Wish, why: str) -> Engine:
    if find_spec("torch") is None or find_spec("transformers") is None:
        raise UnsupportedModel(
            "the torch engine is not installed", where=str(layout.directory), expected="torch and transformers",
            found="neither" if find_spec("torch") is None else "torch alone", mend=INSTALL,
        )  # fmt: skip
    from hardtack.runtime.engines.torch import open_engine

    code = None
    if locked is not None and locked.trust_remote_code and wish.allow_code:
        from hardtack.runtime.remote_code import Carried

        code = Carried(locked.files, tuple((each, wish.code[each.repo]) for each in locked.code))
    return open_engine(layout, code=code, precision=wish.precision, threads=wish.threads, device=wish.device, why=why)
