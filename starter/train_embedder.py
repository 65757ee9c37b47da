"""Trains the starter embedder: one vector a word piece, distilled from the real all-MiniLM-L6-v2.

First the teacher's own vector of every piece, cut to its main directions and weighted down where the piece is frequent
(https://github.com/MinishLab/model2vec); then all vectors are tuned so that the means over
texts lie to each other as the teacher has their sentence vectors. Batches are drawn from clusters, since telling near
texts apart is what search needs and what random batches never ask.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import common
import numpy as np
import teach
import torch
import vocabulary
from torch.nn import functional

PIECES, DIMS = 10_600, 128
STEPS, RATE, SEED = 3_000, 2e-3, 11
CLUSTERS, DRAWN, ALIKE, ANY, LONG = 256, 5, 64, 96, 96  # a batch: 5 clusters of 64 texts, any 96, 96 long ones
SHARP = 0.07  # the temperature at which neighbours are compared


def directions(vectors: np.ndarray, dims: int) -> np.ndarray:
    """The ``dims`` main directions of vectors, not centred, so that cosines survive: (384, dims)."""
    _, axes = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors.astype(np.float64))
    return axes[:, ::-1][:, :dims].astype(np.float32)


class Bags:
    """Texts as piece ids, ready to be batched for an EmbeddingBag."""

    def __init__(self, tokenizer: object, texts: list[str]) -> None:
        self._ids = [np.array(e.ids or [1]) for e in tokenizer.encode_batch_fast(texts)]  # type: ignore[attr-defined]
        self.lengths = np.array([len(ids) for ids in self._ids])

    def __call__(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids of these texts in one line, and where each text begins."""
        parts = [self._ids[r] for r in rows]
        starts = np.cumsum([0, *(len(p) for p in parts[:-1])])
        return torch.from_numpy(np.concatenate(parts)), torch.from_numpy(starts)


class Batches:
    """Which texts are compared with which."""

    def __init__(self, taught: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> None:
        self._rng, self._all = rng, np.arange(len(taught))
        self._long = np.flatnonzero(lengths >= 50)
        cluster = clusters(taught, rng)
        members = (np.flatnonzero((cluster == k) & (lengths >= 6)) for k in range(CLUSTERS))
        self._clusters = [m for m in members if len(m) >= ALIKE]

    def __call__(self) -> np.ndarray:
        """Text numbers of one batch."""
        drawn = self._rng.choice(len(self._clusters), DRAWN, replace=False)
        near = [self._rng.choice(self._clusters[k], ALIKE, replace=False) for k in drawn]
        return np.concatenate([*near, self._rng.choice(self._all, ANY), self._rng.choice(self._long, LONG)])


def clusters(vectors: np.ndarray, rng: np.random.Generator, rounds: int = 3) -> np.ndarray:
    """Spherical k-means: the cluster of every vector."""
    centres = vectors[rng.choice(len(vectors), CLUSTERS, replace=False)].astype(np.float32)
    for _ in range(rounds):
        nearest = np.concatenate(
            [(vectors[i : i + 20_000].astype(np.float32) @ centres.T).argmax(1) for i in range(0, len(vectors), 20_000)]
        )
        for k in np.unique(nearest):
            mean = vectors[nearest == k].astype(np.float32).mean(0)
            centres[k] = mean / np.linalg.norm(mean)
    return nearest


def beginning(alone: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """The table before tuning; ``alone`` are the teacher's vectors of the pieces, likeliest first."""
    likely = 1 / np.arange(1, len(alone) + 1)
    weight = 1e-3 / (1e-3 + likely / likely.sum())  # smooth inverse frequency, https://openreview.net/pdf?id=SyK00v5xx
    table = ((alone - alone.mean(0)) @ axes) * weight[:, None]
    return np.concatenate([np.zeros((2, axes.shape[1])), table]).astype(np.float32)


def train(texts: list[str], taught: np.ndarray, pieces: list[str], alone: np.ndarray) -> np.ndarray:
    """The table: float32 (pieces + 2, DIMS)."""
    rng = np.random.default_rng(SEED)
    began = time.monotonic()
    bags = Bags(vocabulary.static(pieces), texts)
    batches = Batches(taught, bags.lengths, rng)
    table = torch.nn.EmbeddingBag(len(pieces) + 2, DIMS, mode="mean")
    table.weight.data = torch.from_numpy(beginning(alone, directions(taught[:100_000], DIMS)))
    optimizer = torch.optim.Adam(table.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, STEPS, pct_start=0.05)
    for step in range(1, STEPS + 1):
        rows = batches()
        vectors = torch.from_numpy(taught[rows].astype(np.float32))
        mine = functional.normalize(table(*bags(rows)), dim=1)
        said, wanted = mine @ mine.T, vectors @ vectors.T
        itself = torch.eye(len(rows), dtype=torch.bool)
        order = functional.kl_div(
            (said / SHARP).masked_fill(itself, -1e4).log_softmax(1),
            (wanted / SHARP).masked_fill(itself, -1e4).softmax(1),
            reduction="batchmean",
        )
        loss = 20 * (said - wanted).square().mean() + 0.3 * order
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 500 == 0:
            print(f"step {step}: loss {loss.item():.4f}, {time.monotonic() - began:.0f} s", flush=True)
    return table.weight.detach().numpy()


def save(directory: Path, table: np.ndarray, pieces: list[str]) -> None:
    """The model in sentence-transformers' layout."""
    common.weights(directory, {"embedding.weight": table})
    common.tokenizer(directory, vocabulary.static(pieces))
    modules = [("", "StaticEmbedding"), ("1_Normalize", "Normalize")]
    common.write_json(
        directory / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(modules)
        ],
    )
    common.write_json(directory / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})
    common.write_json(directory / "config.json", {"model_type": "static", "hidden_dim": DIMS, "normalize": True})


def main() -> None:
    """Train and save."""
    where = common.arguments(__doc__)
    texts, taught = common.taught(where)
    pieces = vocabulary.choose(where.teacher, texts, PIECES)
    alone = teach.pieces(where.teacher, pieces)
    save(where.models / "embedder", train(texts, taught, pieces, alone), pieces)
    (where.work / "pieces.json").write_text(json.dumps(pieces))


if __name__ == "__main__":
    main()
