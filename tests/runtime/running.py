"""What the runtime's tests share: texts as feeds, an engine for a directory, rows of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from hardtack.runtime.engines.interface import Engine, Feed
from hardtack.runtime.engines.openvino import open_engine
from hardtack.runtime.read_layout import read_layout
from hardtack.runtime.weights import open_tensors, open_weights
from hardtack.spec.words import Precision, Task

TEXTS = (
    "The light turns on at seven in the morning.",
    "a cat",
    "the dog sits on the mat , the cat sits at the warm window : the kitchen door opens in the cold evening .",
)
PAIRS = (("a cat", "the dog sits on the mat ."), ("light ?", "off"), ("the warm kitchen at seven", "cold : cold"))
LABELS = ("energy", "high comfort", "security , low priority")


def engine_for(directory: Path, task: Task, precision: Precision = Precision.FP32, threads: int = 2) -> Engine:
    """The engine of a model directory."""
    layout = read_layout(directory, task)
    return open_engine(layout, open_weights(layout), precision=precision, threads=threads)


def encode(directory: Path, texts: Sequence[Any], *, special: bool = True) -> list[Encoding]:
    """Texts, or pairs of them, as the model's own tokenizer sees them; neither cut nor padded."""
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    encodings: list[Encoding] = tokenizer.encode_batch(list(texts), add_special_tokens=special)
    return encodings


def feed(engine: Engine, encodings: Sequence[Encoding], *, pad_id: int, extra: int = 0, left: bool = False) -> Feed:
    """Encodings as one batch, padded to the longest and ``extra`` tokens more."""
    width = max(len(encoding.ids) for encoding in encodings) + extra
    columns = {"input_ids": pad_id, "attention_mask": 0, "token_type_ids": 0}
    made = {name: np.full((len(encodings), width), fill, np.int64) for name, fill in columns.items()}
    for row, encoding in enumerate(encodings):
        count = len(encoding.ids)
        place = slice(width - count, width) if left else slice(count)
        made["input_ids"][row, place] = encoding.ids
        made["attention_mask"][row, place] = 1
        made["token_type_ids"][row, place] = encoding.type_ids
    return {name: rows for name, rows in made.items() if name in engine.info.inputs}


def label_feed(labels: Sequence[Sequence[int]]) -> Feed:
    """T5's labels, teacher-forced from the token 0."""
    width = max(len(label) for label in labels)
    targets, mask = np.zeros((len(labels), width), np.int64), np.zeros((len(labels), width), np.int64)
    for row, label in enumerate(labels):
        targets[row, : len(label)] = label
        mask[row, : len(label)] = 1
    given = np.concatenate([np.zeros((len(labels), 1), np.int64), targets[:, :-1]], axis=1)
    return {"decoder_input_ids": given, "target_ids": targets, "target_mask": mask}


def rows_of(engine: Engine, *feeds: Feed) -> NDArray[np.float32]:
    """All rows of a run, in the feeds' order."""
    found: dict[int, NDArray[np.float32]] = {}
    engine.run(feeds, lambda number, rows: found.__setitem__(number, rows.copy()))
    return np.concatenate([found[number] for number in range(len(feeds))])


def values(directory: Path, *prefixes: str) -> dict[str, NDArray[np.float64]]:
    """A model's floating point tensors as float64, their names without any of ``prefixes``."""
    made = {}
    for name, stored in open_tensors(directory / "model.safetensors").items():
        if "F" not in stored.dtype:
            continue
        short = next((name.removeprefix(prefix) for prefix in prefixes if name.startswith(prefix)), name)
        made[short] = stored.float32().astype(np.float64)
    return made


def cosines(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """The cosine of each row with its like."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    product: NDArray[Any] = (first * second).sum(1) / lengths
    return product
