"""The models of a service: which there are, which are in memory, and what is waiting for each.

Eager: all are loaded at the start. Lazy: each when it is first asked for, and let go of after a while without work.
Which models there are and how one is loaded is handed in; nothing here looks for anything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from hardtack.runtime.cpus import usable_cpus
from hardtack.runtime.manager import Model, ModelManager
from hardtack.serve.counting import Counting
from hardtack.serve.crew import Crew
from hardtack.serve.limits import Limits
from hardtack.serve.metrics import Gauge, Measures
from hardtack.serve.refusals import Kind, Refusal
from hardtack.serve.scheduler import Ran, Scheduler
from hardtack.serve.work import Worker, worker_of
from hardtack.spec.words import Task

ANY_TASK = (Task.EMBED, Task.RERANK, Task.CLASSIFY)


@dataclass(frozen=True)
class Offer:
    """A model that a service has.

    Attributes:
        key: its key in the lock.
        task: what it is for.
        repo: its repository, by which, or by whose last part, it may be asked for too; empty where it has none.
        commit: of the repository; may be empty.
    """

    key: str
    task: Task
    repo: str = ""
    commit: str = ""


@dataclass
class Shelved:
    """A model in memory: what works, what schedules it, what counts for it, who uses it now."""

    worker: Worker
    scheduler: Scheduler
    counting: Mapping[bool, Counting]  # by whether the request is small
    loaded_at: float

    @property
    def model(self) -> Model:
        """The model itself."""
        return self.worker.model


@dataclass
class Slot:
    """A model that there is, in memory or not."""

    offer: Offer
    shelved: Shelved | None = None
    loading: asyncio.Task[Shelved] | None = None
    users: int = 0
    used_at: float = 0.0
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)


class Shelf:
    """The models of a service.

    Args:
        offers: which there are.
        manager: loads them.
        limits: of each model's queue.
        measures: hears of every batch.
        idle: seconds without work after which a model is let go of; None: never.
        clock: in seconds.
    """

    def __init__(
        self,
        offers: Iterable[Offer],
        manager: ModelManager,
        *,
        limits: Limits,
        measures: Measures,
        idle: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.slots = {offer.key: Slot(offer) for offer in offers}
        self._names = _names(slot.offer for slot in self.slots.values())
        self._manager = manager
        self._limits = limits
        self._measures = measures
        self._idle = idle
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        # one at a time: a load keeps several CPUs busy by itself, and what it adds to memory can be told
        self._loaders = Crew("load", 1, self._loop)
        self._counters = {small: Crew("count" if small else "count-bulk", 1, self._loop) for small in (True, False)}
        measures.add(Gauge("te_queue_size", "Texts that wait or run.", self._queued, ("model",)))
        measures.add(Gauge("hardtack_model_loaded", "Whether a model is in memory.", self._loaded, ("model", "task")))

    @property
    def ready(self) -> bool:
        """Whether every model is in memory."""
        return all(slot.shelved is not None for slot in self.slots.values())

    def find(self, which: str | None, tasks: Sequence[Task]) -> Slot:
        """The model that a request means.

        Args:
            which: a key, a repository or its last part; None: the only model of the tasks, else the first one's only.
            tasks: what it is wanted for.

        Raises:
            Refusal: there is no such model, it is for something else, or none was named where several are.
        """
        if which is None:
            for task in tasks:
                fitting = [slot for slot in self.slots.values() if slot.offer.task is task]
                if len(fitting) == 1:
                    return fitting[0]
                if fitting:
                    keys = ", ".join(slot.offer.key for slot in fitting)
                    raise Refusal(Kind.NO_SUCH_MODEL, f"name a model: there are {keys}", param="model")
            wanted = " or ".join(task.value for task in tasks)
            raise Refusal(Kind.WRONG_TASK, f"this service has no model to {wanted}", param="model")
        key = self._names.get(which)
        if key is None:
            known = ", ".join(slot.offer.key for slot in self.slots.values() if slot.offer.task in tasks)
            raise Refusal(Kind.NO_SUCH_MODEL, f"no model is called {which!r}; there are: {known}", param="model")
        slot = self.slots[key]
        if slot.offer.task not in tasks:
            wanted = " or ".join(task.value for task in tasks)
            raise Refusal(
                Kind.WRONG_TASK, f"{key!r} is a model to {slot.offer.task.value}, not to {wanted}", param="model"
            )
        return slot

    def key_of(self, name: str) -> str:
        """The key of the model that a name means, for the log; empty where it means none: it is a client's own text."""
        return self._names.get(name, "")

    async def hold(self, slot: Slot) -> Shelved:
        """The model in memory, loaded if it is not yet; it stays until :meth:`release`, to be called once for each."""
        slot.users += 1
        try:
            shelved = slot.shelved
            if shelved is None:
                if slot.loading is None:
                    slot.loading = self._loop.create_task(self._load(slot))
                # shielded: a client that leaves must not stop the loading that others wait for
                shelved = await asyncio.shield(slot.loading)
        except BaseException:
            slot.users -= 1
            raise
        return shelved

    def release(self, slot: Slot) -> None:
        """The model is no longer needed by one who held it."""
        slot.users -= 1
        if self._idle is not None:
            slot.used_at = self._clock()
            if slot.timer is None and slot.users == 0:
                slot.timer = self._loop.call_later(self._idle, self._look, slot)

    async def aside(self, call: Callable[[], Any], *, small: bool) -> Any:
        """What a call gives that must not run on the event loop, such as one of a tokenizer."""
        return await self._counters[small].ask(call)

    async def load_all(self) -> None:
        """Load every model.

        Raises:
            HardtackError: one cannot be loaded.
        """
        slots = list(self.slots.values())
        await asyncio.gather(*(self.hold(slot) for slot in slots))
        for slot in slots:
            self.release(slot)

    def close(self) -> None:
        """Let go of every model, and end all threads: an interpreter that ends under native code takes it down."""
        for slot in self.slots.values():
            if slot.timer is not None:
                slot.timer.cancel()
            if slot.shelved is not None:
                slot.shelved.scheduler.close()
        crews = (self._loaders, *self._counters.values())
        for crew in crews:
            crew.close()
        for slot in self.slots.values():
            if slot.shelved is not None:
                slot.shelved.scheduler.join()
        for crew in crews:
            crew.join()

    async def _load(self, slot: Slot) -> Shelved:
        try:
            worker: Worker = await self._loaders.ask(partial(self._open, slot.offer.key))
            budget = worker.model.budget
            scheduler = Scheduler(
                worker.run,
                threads=usable_cpus() if worker.model.device == "cpu" else 2,
                limits=replace(self._limits, batch_rows=budget.rows, batch_tokens=budget.tokens),
                name=slot.offer.key,
                heard=partial(self._ran, slot.offer.key),
                clock=self._clock,
            )
            is_brief = worker.model.tokens.is_brief
            counting = {small: Counting(worker.count, crew, is_brief) for small, crew in self._counters.items()}
            slot.shelved = Shelved(worker, scheduler, counting, self._clock())
            self._loaders.do(worker.warm_many, lambda *_: None)
            return slot.shelved
        finally:
            slot.loading = None

    def _open(self, key: str) -> Worker:
        worker = worker_of(self._manager.load(key))
        worker.warm()
        return worker

    def _look(self, slot: Slot) -> None:
        """The timer of a model without work: let go of it, unless it had work meanwhile."""
        slot.timer = None
        assert self._idle is not None
        if slot.users or slot.shelved is None:
            return  # whoever has it now starts the timer again
        rest = slot.used_at + self._idle - self._clock()
        if rest > 0:
            slot.timer = self._loop.call_later(rest, self._look, slot)
            return
        shelved, slot.shelved = slot.shelved, None
        shelved.scheduler.close()
        self._manager.unload(slot.offer.key)
        self._loaders.do(partial(_close, shelved), lambda *_: None)

    def _ran(self, key: str, ran: Ran) -> None:
        measures = self._measures
        measures.inference.see(ran.seconds, key)
        measures.batch.see(ran.rows, key)
        measures.batch_tokens.see(ran.tokens, key)
        for waited in ran.waited:
            measures.queue.see(waited, key)

    def _queued(self) -> dict[tuple[str, ...], float]:
        return {(key,): float(slot.shelved.scheduler.texts if slot.shelved else 0) for key, slot in self.slots.items()}

    def _loaded(self) -> dict[tuple[str, ...], float]:
        return {(key, slot.offer.task.value): float(slot.shelved is not None) for key, slot in self.slots.items()}


def _close(shelved: Shelved) -> Any:
    shelved.scheduler.join()  # nothing runs on a model that is closed
    shelved.model.close()


def _names(offers: Iterable[Offer]) -> dict[str, str]:
    """Every name that means just one model → its key; keys win over repositories, and those over their last parts."""
    offers = list(offers)
    names: dict[str, str] = {}
    for kind in range(3):
        seen: dict[str, list[str]] = {}
        for offer in offers:
            seen.setdefault((offer.repo.rsplit("/", 1)[-1], offer.repo, offer.key)[kind], []).append(offer.key)
        names |= {name: keys[0] for name, keys in seen.items() if name and len(keys) == 1}
    return names
