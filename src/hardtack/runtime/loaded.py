"""What every loaded model has, whatever its task: who it is, what runs it, and its tokenizer.

The three kinds are :mod:`.embedder`, :mod:`.reranker` and :mod:`.classifier`; they are made by :mod:`.load`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from hardtack.runtime.batching import Budget
from hardtack.runtime.engines.interface import Engine, EngineInfo
from hardtack.runtime.layout import Layout
from hardtack.runtime.tokens import Tokens

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Identity:
    """Who a loaded model is, and how sure that is.

    Attributes:
        key: its key in the lock; the directory's name where there is no lock.
        repo: its repository; empty where there is no lock.
        commit: the locked commit; empty for local directories.
        digest: of its files, as in the lock; where there is no lock, of the files that were read.
        directory: where it was loaded from.
        source: ``path``, ``pantry``, ``store``, ``legacy``, ``local`` or ``hub``.
        verified: ``full`` (every hash), ``stat`` (sizes only) or ``no`` (no lock names it).
        seconds: that loading took.
        megabytes: that the process grew by, in MiB resident.
        loss: of a build, how far its answers lie from fp32, by figure; empty where nobody measured that.
    """

    key: str
    repo: str
    commit: str
    digest: str
    directory: Path
    source: str
    verified: str
    seconds: float = 0.0
    megabytes: float = 0.0
    loss: Mapping[str, float] = field(default_factory=dict)


def budget_for(family: str, device: str) -> Budget:
    """How much runs at once where nobody says: a GPU wants large batches, a CPU ones that stay in its caches."""
    budget = Budget() if device == "cpu" else Budget(tokens=8192)
    return replace(budget, alone=None) if family == "static" else budget


async def in_thread(function: Callable[..., Answer], *given: Any, **named: Any) -> Answer:
    """Call a function in a thread of the event loop's own pool and wait for its answer."""
    import asyncio  # costs a cold start 20 ms, and only those who already have it come here

    return await asyncio.to_thread(function, *given, **named)


class Loaded:
    """A model in memory, ready to answer. Safe to call from several threads at once.

    Args:
        identity: who it is.
        layout: what its directory says.
        engine: what runs it.
        tokens: its tokenizer.
        budget: how much runs at once; a ``batch_size`` in a call sets its rows.
    """

    def __init__(
        self, identity: Identity, layout: Layout, engine: Engine, tokens: Tokens, budget: Budget | None = None
    ) -> None:
        self.identity = identity
        self.layout = layout
        self._engine = engine
        self._tokens = tokens
        # a static embedding has no attention: any length will do
        self._budget = budget or budget_for(layout.family, engine.info.device)

    @property
    def key(self) -> str:
        """Its key in the lock."""
        return self.identity.key

    @property
    def commit(self) -> str:
        """The commit of its repository, 40 digits; empty for a local directory."""
        return self.identity.commit

    @property
    def digest(self) -> str:
        """The digest of its files, ``sha256:…``."""
        return self.identity.digest

    @property
    def source(self) -> str:
        """Where it was found: ``path``, ``pantry``, ``store``, ``legacy``, ``local`` or ``hub``."""
        return self.identity.source

    @property
    def device(self) -> str:
        """What it runs on, such as ``cpu``."""
        return self._engine.info.device

    @property
    def engine(self) -> EngineInfo:
        """What runs it, in which precision, and why."""
        return self._engine.info

    @property
    def budget(self) -> Budget:
        """How much of it runs at once, for whoever puts batches together."""
        return self._budget

    @property
    def tokens(self) -> Tokens:
        """Its tokenizer: what texts are before they run, for whoever counts or schedules them."""
        return self._tokens

    @property
    def max_seq_length(self) -> int | None:
        """Tokens that a text (or pair) is cut to, special tokens included; None where nothing is cut."""
        return self.layout.tokenizing.max_length

    @property
    def info(self) -> Mapping[str, Any]:
        """All of it as plain values, for reports: ready for JSON."""
        return {
            "key": self.identity.key,
            "task": self.layout.task.value,
            "repo": self.identity.repo,
            "commit": self.identity.commit,
            "digest": self.identity.digest,
            "directory": str(self.identity.directory),
            "source": self.identity.source,
            "verified": self.identity.verified,
            "family": self.layout.family,
            "engine": self.engine.name,
            "precision": self.engine.precision,
            "device": self.engine.device,
            "why": self.engine.why,
            "loss": dict(self.identity.loss) or ("not measured" if self.engine.precision == "int8" else None),
            "max_length": self.max_seq_length,
            "seconds": round(self.identity.seconds, 3),
            "megabytes": round(self.identity.megabytes, 1),
        }

    def close(self) -> None:
        """Free the memory. A closed model is not used again."""
        self._engine.close()

    def __repr__(self) -> str:
        name = self.identity.repo or str(self.identity.directory)
        at = f"@{self.commit[:12]}" if self.commit else ""
        return f"<{type(self).__name__} {self.key}: {name}{at}, {self.engine.name} {self.engine.precision}>"
