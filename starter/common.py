"""What the three training scripts share: where things lie, what was taught, how a model directory is written."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Where:
    """Directories.

    Attributes:
        teacher: the real all-MiniLM-L6-v2.
        real: real data (``HARDTACK_REAL``).
        wordnet: WordNet's data files.
        work: what is made once and kept: the teacher's answers.
        models: where the models go.
    """

    teacher: Path
    real: Path
    wordnet: Path
    work: Path
    models: Path


def arguments(what: str | None) -> Where:
    """Read the command line; one thread from here on."""
    parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True, help="the real all-MiniLM-L6-v2 (see fetch-minilm)")
    parser.add_argument("--real", type=Path, default=ROOT.parent / "shared/real")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--work", type=Path, default=ROOT / "starter/work")
    parser.add_argument("--models", type=Path, default=ROOT / "src/hardtack/starter/models")
    where = Where(**vars(parser.parse_args()))
    where.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    return where


def taught(where: Where) -> tuple[list[str], np.ndarray]:
    """Every text and the teacher's vector of it: float16 (n, 384). ``teach.py`` has made them."""
    return json.loads((where.work / "texts.json").read_text("utf-8")), np.load(where.work / "vectors.npy")


def write_json(path: Path, value: Any) -> None:
    """JSON as the Hub's files have it."""
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")


def config(directory: Path, value: dict[str, Any]) -> None:
    """``config.json`` without what transformers says of every model and what means nothing here."""
    idle = {"_name_or_path", "chunk_size_feed_forward", "is_decoder", "output_attentions", "output_hidden_states"}
    idle |= {"classifier_dropout", "problem_type", "return_dict", "use_cache"}
    kept = {key: one for key, one in value.items() if key not in idle and one is not None}
    if value["model_type"] == "t5":  # the labels are the caller's
        kept = {key: one for key, one in kept.items() if key not in {"id2label", "label2id"}}
    write_json(directory / "config.json", kept)


def weights(directory: Path, tensors: dict[str, np.ndarray]) -> None:
    """``model.safetensors`` in half precision."""
    directory.mkdir(parents=True, exist_ok=True)
    half = {name: np.ascontiguousarray(value, np.float16) for name, value in tensors.items()}
    save_file(half, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "model.safetensors").chmod(0o644)  # safetensors makes it readable by its owner alone


def tokenizer(directory: Path, value: Tokenizer) -> None:
    """``tokenizer.json`` without spaces between its parts: a fifth of its size."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "tokenizer.json").write_text(value.to_str(pretty=False), "utf-8")


def pace(step: int, steps: int) -> float:
    """The share of the full learning rate: up over 100 steps, then down along a cosine to a fiftieth."""
    return min(1.0, step / 100) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
