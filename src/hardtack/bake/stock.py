"""What a pantry holds, decided before a byte of it is written: its lock, and where each file comes from.

Each model is loaded once from just the files that will be aboard, and answers the golden texts; where only the native
engine reads those, its snapshot answers, and they are loaded where that engine can run. A pantry on a disk and an image
are the same stock, laid down by two hands: :mod:`hardtack.bake.pantry` and :mod:`hardtack.bake.oci`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from hardtack.bake.answers import Answers
from hardtack.bake.berths import as_cache, berthed
from hardtack.bake.items import Item
from hardtack.bake.slim import slimmed
from hardtack.errors import Mismatch
from hardtack.runtime import golden
from hardtack.runtime.builds import FOLDER, carried_build, left_ashore, within
from hardtack.runtime.load import Options, load_model
from hardtack.runtime.manager import Model
from hardtack.runtime.native import library
from hardtack.spec.hub_cache import cache_files
from hardtack.spec.lock import Lock, LockedModel
from hardtack.spec.lock_text import render_lock
from hardtack.spec.pantry_digest import pantry_digest
from hardtack.spec.words import EngineName, Precision


class Arrangement(StrEnum):
    """How models lie in a pantry."""

    PANTRY = "pantry"  # a folder each
    HUB = "hub"  # as the standard Hugging Face cache has them, without links


@dataclass(frozen=True)
class Shape:
    """How a pantry is to be.

    Attributes:
        slim: only what the engine reads.
        arrangement: how models lie in it.
        whole_image: whether the root of an image is at hand, see :func:`~hardtack.bake.berths.berthed`.
    """

    slim: bool = False
    arrangement: Arrangement = Arrangement.PANTRY
    whole_image: bool = False


@dataclass(frozen=True)
class Origins:
    """Where the bytes lie before they are baked, and whose code may run for its golden answers.

    Attributes:
        files: key → the directory of the model's files.
        code: repository → the directory of its code, for code that other repositories' models reach.
        allow_code: keys of models whose own code may run.
        builds: the store's folder of builds, each in one by its key.
    """

    files: Mapping[str, Path]
    code: Mapping[str, Path] = field(default_factory=dict)
    allow_code: Collection[str] = ()
    builds: Path | None = None


@dataclass(frozen=True)
class Aboard:
    """A model as it will lie in the pantry, and its files."""

    model: LockedModel
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Stock:
    """Everything that a pantry holds.

    Attributes:
        lock: its lock, which names the golden answers too.
        text: the lock as bytes.
        home: where the pantry lies in an image: ``/models`` or ``/``.
        aboard: the models with their files, in the order of the lock.
        beside: path in the pantry → bytes: what makes it a cache, if it is one.
    """

    lock: Lock
    text: bytes
    home: str
    aboard: tuple[Aboard, ...]
    beside: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """The digest of the whole."""
        return pantry_digest(self.lock, self.text)

    @property
    def files(self) -> int:
        """How many files, with the lock."""
        return 1 + len(self.beside) + sum(len(each.items) for each in self.aboard)

    @property
    def bytes(self) -> int:
        """How many bytes, with the lock."""
        sizes = sum(item.file.size for each in self.aboard for item in each.items)
        return len(self.text) + sum(map(len, self.beside.values())) + sizes


def take_stock(lock: Lock, origins: Origins, shape: Shape, answers: Answers) -> Stock:
    """Decide what a pantry of this lock holds.

    Args:
        lock: what to bake.
        origins: where the bytes lie now.
        shape: how it is to be.
        answers: the project's golden answers; those of these models are in it afterwards.

    Raises:
        UnsupportedModel: a model needs code that may not run, or no engine here runs it.
        GateMissed: a model is to run in int8, and no build of it was accepted.
        ModelNotFound: a locked build is not on this machine.
        Misused: two models would lie in one folder.
        Mismatch: a file is not what the lock says.
        NotProven: a model answers otherwise than its kept golden answers say.
    """
    lock, home = berthed(lock, whole_image=shape.whole_image)
    if shape.arrangement is Arrangement.HUB:
        lock = as_cache(lock)
    aboard = tuple(_take(model, origins, shape, answers) for model in lock.models if model.task.pulls)
    taken = {each.model.key: each.model for each in aboard}
    stocked = replace(lock, models=tuple(taken.get(model.key, model) for model in lock.models))
    return Stock(stocked, render_lock(stocked).encode(), home, aboard, cache_files(stocked))


def _take(model: LockedModel, origins: Origins, shape: Shape, answers: Answers) -> Aboard:
    source = origins.files[model.key]
    for file in model.files:
        Item(file, source).look(model)
    kept = slimmed(model, source) if shape.slim else model
    beside = [Item(f, origins.code[code.repo], beneath=code.folder) for code in kept.code for f in code.files]
    build = carried_build(kept, origins.builds) if kept.task.loads else None
    if build is not None:
        beside += [Item(file, build.root, beneath=FOLDER, mend=build.mend) for file in within(build.locked)]
    items = [*(Item(file, source) for file in kept.files), *beside]
    if not kept.task.loads:
        return Aboard(kept, tuple(items))
    # what is slim for the native engine alone has nothing to answer with in fp32; its snapshot has
    ashore = left_ashore(kept)
    asked, whole = (model, [*(Item(f, source) for f in model.files), *beside]) if ashore else (kept, items)
    # in fp32 whatever the model will be executed in: the reference is what precision is held against
    engine = EngineName.OPENVINO if model.engine is EngineName.NATIVE else EngineName.AUTO
    plain = Options(engine, Precision.FP32, allow_code=model.key in origins.allow_code)
    with _loaded(whole, asked, "store", plain) as loaded:
        # by the whole model, so that a slim pantry has the answers of the full one
        made = Item.made(golden.GOLDEN_NAME, answers.settle(model, loaded))
    if ashore and library.ability().library is not None:
        with _loaded(items, kept, "pantry", Options()):
            pass
    return Aboard(replace(kept, added=(made.file,)), (*items, made))


@contextmanager
def _loaded(items: list[Item], model: LockedModel, source: str, options: Options) -> Iterator[Model]:
    """A model, loaded from just these files."""
    with _staged(items) as folder:
        try:
            with closing(load_model(folder, model.task, locked=model, source=source, options=options)) as loaded:
                yield loaded
        except Mismatch:
            for item in items:  # said of the file itself, not of the link
                item.look(model, hashes=True)
            raise


@contextmanager
def _staged(items: list[Item]) -> Iterator[Path]:
    """A folder with just these files, as links: what loads from it loads from the pantry."""
    with tempfile.TemporaryDirectory(prefix="hardtack-stock-") as folder:
        for item in items:
            assert item.root is not None
            link = Path(folder) / item.path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to((item.root / item.file.path).absolute())
        yield Path(folder)
