"""From a directory to a model that answers, with every byte checked on the way.

The order is what makes it safe and quick: sizes; the hashes of what decides (JSON); the layout; then the weights are
mapped and three things go on at once: the mapping is hashed, the tokenizer is made, the graph is compiled. Nothing is
given back before all hashes are in. Where a model lies is not decided here, and nothing here reaches the network.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from hardtack.runtime.admission import PICKLES, check, mended, refuse_pickles
from hardtack.runtime.builds import wanted_build, wanted_tiles
from hardtack.runtime.checking import Files
from hardtack.runtime.choosing import Chosen, Wish, choose
from hardtack.runtime.engines.interface import Engine
from hardtack.runtime.layout import Layout
from hardtack.runtime.native.shelf import Shelf, shelf_of
from hardtack.runtime.weights import Weights, mappings_of, open_weights, vocabulary
from hardtack.settings import Verify
from hardtack.spec.lock import LockedFile, LockedModel
from hardtack.spec.words import EngineName, Precision, Task, WeightsKind

if TYPE_CHECKING:
    from hardtack.runtime.classifier import Classifier
    from hardtack.runtime.embedder import Embedder
    from hardtack.runtime.reranker import Reranker
    from hardtack.runtime.tokens import Tokens

log = logging.getLogger("hardtack")
P = ParamSpec("P")
T = TypeVar("T")

_MENDS = {
    "pantry": "hardtack bake",
    "local": "hardtack lock",
    **dict.fromkeys(("store", "legacy", "hub"), "hardtack pull"),
}


@dataclass(frozen=True)
class Options:
    """How to load.

    Attributes:
        engine, precision: as asked for by whoever runs this; ``auto`` leaves it to the lock, then to the engine.
        verify: ``full`` hashes everything, ``stat`` looks at sizes only.
        golden: ask the golden answers, where the model's folder has them, and refuse a model that drifted past them.
        strict: refuse what no lock names.
        threads: CPUs to use; None: those this process may use.
        device: ``cpu``, or what another engine knows.
        allow_code: the caller's leave for code that the lock carries.
        code_folders: where code of other repositories lies, by repository; a pantry's is found without.
    """

    engine: EngineName = EngineName.AUTO
    precision: Precision = Precision.AUTO
    verify: Verify = Verify.FULL
    golden: bool = False
    strict: bool = False
    threads: int | None = None
    device: str = "cpu"
    allow_code: bool = False
    code_folders: Mapping[str, Path] = field(default_factory=dict)


OpenEngine = Callable[[Layout, Weights, Options], Engine]


def load_model(
    directory: Path,
    task: Task,
    *,
    locked: LockedModel | None,
    source: str,
    options: Options | None = None,
    builds: Path | None = None,
    open_engine: OpenEngine | None = None,
) -> Embedder | Reranker | Classifier:
    """Load a model from the directory it lies in.

    Args:
        directory: the model's own files, under their repository's names.
        task: what it is wanted for.
        locked: what the lock says of it; None where no lock names it.
        source: ``path``, ``pantry``, ``store``, ``legacy``, ``local`` or ``hub``; decides the mend of a mismatch too.
        options: how to load.
        builds: the store's folder of builds; a pantry carries its own.
        open_engine: instead of the engines there are.

    Returns:
        An Embedder, Reranker or Classifier, as the task says.

    Raises:
        ModelNotFound: the directory is not there, or the build that the lock wants run.
        GateMissed: a precision is asked for that takes a build, and none was accepted.
        Mismatch: a file is missing, or is not what the lock says; or the golden answers are others on this CPU.
        Unverified: no lock names the model, and that is refused.
        UnsupportedModel: its files ask for what no engine here does.
        Misused: the lock has it for another task.
        DiskError: a file cannot be read.
    """
    options = options or Options()
    began, before = time.perf_counter(), _resident()
    directory = directory.absolute()
    check(directory, task, locked, strict=options.strict)
    if locked is not None:
        options = replace(
            options,
            engine=locked.engine if options.engine is EngineName.AUTO else options.engine,
            precision=locked.precision if options.precision is Precision.AUTO else options.precision,
            code_folders={code.repo: directory / code.folder for code in locked.code} | dict(options.code_folders),
        )
    expected = None if locked is None else _files_of(locked, source)
    mend = _MENDS.get(source, "hardtack verify")
    build = None
    if options.engine in (EngineName.AUTO, EngineName.OPENVINO) and options.device == "cpu":  # graphs are openvino's
        build = wanted_build(locked, options.precision, directory, source, builds)
    with ExitStack() as stack:
        stack.enter_context(mended(locked))
        files = stack.enter_context(Files(directory, expected, options.verify, mend))
        beside = stack.enter_context(ThreadPoolExecutor(1))
        files.look()
        refuse_pickles(directory, locked)
        packs = shelf_of(locked, source, builds, hashed=options.verify is Verify.FULL)
        chosen = _choose(directory, task, locked, options, open_engine, packs, built=build is not None)
        layout = chosen.layout
        if chosen.native:
            build = wanted_tiles(locked, directory, source, builds)
        shelf = stack.enter_context(build.files(options.verify)) if build else None
        if shelf:
            shelf.look()
        if layout.stored is WeightsKind.PICKLE:
            files.insist(path for path in files.paths if path.endswith(PICKLES))
        weights = build.open(shelf) if build and shelf else open_weights(layout)
        idle = (*layout.weights, *(dense.weights for dense in layout.dense)) if build else ()
        files.start(mappings_of(weights, directory), () if locked else _files_read(layout), idle)
        compiling = Event()  # once the engine lets go of the interpreter, which making a tokenizer holds
        tokenizer = beside.submit(_after, compiling, _tokens, layout, vocabulary(layout, weights), files)
        try:
            engine = chosen.open(weights, compiling.set)
        finally:
            compiling.set()
        try:
            tokens = tokenizer.result()
            for each in filter(None, (files, shelf)):
                each.finish()
            chosen.verified()
            from hardtack.runtime.kinds import make_model
            from hardtack.runtime.loaded import Identity

            identity = Identity(
                key=locked.key if locked else directory.name,
                repo=locked.repo if locked else "",
                commit=locked.commit if locked else "",
                digest=locked.digest if locked else files.digest(),
                directory=directory,
                source=source,
                verified=options.verify.value if locked else "no",
                seconds=time.perf_counter() - began,
                megabytes=max(0.0, (_resident() - before) / 2**20),
                loss=weights.graph.loss if weights.graph else {},
            )
            model = make_model(identity, layout, engine, tokens, locked)
            if options.golden and locked is not None:
                from hardtack.runtime import golden  # it is asked for seldom

                golden.check(model, directory, locked)
        except BaseException:
            engine.close()
            raise
    _say(model)
    return model


def _files_of(locked: LockedModel, source: str) -> tuple[LockedFile, ...]:
    # only a pantry holds golden answers in the model's own folder; a build's files are held to the lock beside these
    return (*locked.files, *locked.added) if source == "pantry" else locked.files


def _files_read(layout: Layout) -> list[str]:
    """What decides the answers of a model that no lock names: its JSON files; weights and tokenizer count anyhow."""
    found = (*layout.directory.glob("*.json"), *layout.directory.glob("*/*.json"))
    names = {str(file.relative_to(layout.directory)) for file in found if file.is_file()}
    return sorted(names.union(layout.weights))


def _tokens(layout: Layout, rows: int | None, files: Files) -> Tokens:
    from hardtack.runtime.kinds import make_tokens  # here, beside the compilation

    return make_tokens(layout, files.read(layout.tokenizing.file), rows)


def _after(event: Event, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    event.wait()
    return act(*args, **kwargs)


def _choose(
    directory: Path, task: Task, locked: LockedModel | None, options: Options, open_engine: OpenEngine | None,
    packs: Shelf | None, *, built: bool,
) -> Chosen:  # fmt: skip
    wish = Wish(
        options.engine, options.precision, options.threads, options.device, options.allow_code, options.code_folders,
        built, packs,
    )  # fmt: skip
    if open_engine is None:
        return choose(directory, task, locked, wish)
    layout = choose(directory, task, locked, replace(wish, engine=EngineName.AUTO, device="cpu")).layout
    return Chosen(layout, lambda weights, _: open_engine(layout, weights, options))


def _say(model: Embedder | Reranker | Classifier) -> None:
    who = model.identity
    if who.verified == "no":
        log.warning("%s is unverified: no lock names it (%s)", who.key, who.directory)
    elif who.verified == Verify.STAT:
        log.warning("%s: only the sizes of its files were checked, as HARDTACK_VERIFY=stat says", who.key)
    log.info(
        "%s: %s from %s (%s)%s, %s %s on %s, verified %s, %.2f s, %.0f MB",
        who.key,
        f"{who.repo or who.directory.name}{'@' + who.commit if who.commit else ''}",
        who.directory,
        who.source,
        f", dim {model.engine.width}" if model.layout.task is Task.EMBED else "",
        model.engine.name,
        model.engine.precision,
        model.device,
        who.verified,
        who.seconds,
        who.megabytes,
    )


def _resident() -> int:
    """Bytes of memory that this process holds; 0 where the kernel does not say so."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
