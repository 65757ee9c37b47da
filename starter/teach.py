"""What the teacher says: sentence vectors of the real all-MiniLM-L6-v2, kept on disk so that they are made once.

    python starter/teach.py --teacher DIR      # some 25 minutes on one core

Texts already taught are not taught again.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import common
import numpy as np
import texts
import torch
import wordnet
from sentence_transformers import SentenceTransformer

HOME, ASSISTANT, PARAGRAPHS = 20_000, 6_000, 30_000


def encode(teacher: Path, said: list[str], part: int = 20_000) -> np.ndarray:
    """Vectors of texts, in order: float16 (n, 384), of length one."""
    model = SentenceTransformer(str(teacher), device="cpu")
    order = sorted(range(len(said)), key=lambda i: len(said[i]))
    out = np.empty((len(said), 384), np.float16)
    began = time.monotonic()
    for start in range(0, len(order), part):
        rows = order[start : start + part]
        with torch.inference_mode():
            out[rows] = model.encode([said[i] for i in rows], batch_size=64, show_progress_bar=False)
        print(f"{start + len(rows)} of {len(order)} texts, {time.monotonic() - began:.0f} s", flush=True)
    return out


def pieces(teacher: Path, names: list[str]) -> np.ndarray:
    """The teacher's vector of each word piece alone, between [CLS] and [SEP]: float32 (n, 384), of length one."""
    model = SentenceTransformer(str(teacher), device="cpu")
    core, ids = model[0].auto_model, model.tokenizer.get_vocab()
    cls, sep = ids["[CLS]"], ids["[SEP]"]
    out = []
    with torch.inference_mode():
        for start in range(0, len(names), 1024):
            rows = torch.tensor([[cls, ids[n], sep] for n in names[start : start + 1024]])
            out.append(torch.nn.functional.normalize(core(input_ids=rows).last_hidden_state.mean(1), dim=1))
    return torch.cat(out).numpy()


def main() -> None:
    """Collect the texts and teach those that are new."""
    where = common.arguments(__doc__)
    synsets = wordnet.read(where.wordnet)
    wanted = {
        *texts.from_wordnet(synsets),
        *texts.paragraphs(synsets, PARAGRAPHS, seed=3),
        *texts.spoken(where.real),
        *(t for t, _ in texts.generated("home", HOME, seed=1)),
        *(t for t, _ in texts.generated("assistant", ASSISTANT, seed=2)),
    }
    known: dict[str, np.ndarray] = {}
    if (where.work / "texts.json").exists():
        known = dict(zip(*common.taught(where), strict=True))
    new = sorted(wanted - known.keys())
    if new:
        known |= dict(zip(new, encode(where.teacher, new), strict=True))
    names = sorted(wanted)
    np.save(where.work / "vectors.npy", np.stack([known[n] for n in names]))
    (where.work / "texts.json").write_text(json.dumps(names), "utf-8")
    print(f"{len(names)} texts, {len(new)} of them new")


if __name__ == "__main__":
    main()
