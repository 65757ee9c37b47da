"""What the runtime's tests are made of: a real tokenizer of a few words, an engine in numpy, a model directory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from hardtack.runtime.engines.interface import Deliver, EngineInfo, Feed
from hardtack.runtime.layout import Layout, Tokenizing
from hardtack.runtime.load import Options
from hardtack.runtime.loaded import Identity
from hardtack.runtime.tokens import Tokens
from hardtack.runtime.weights import Weights
from hardtack.spec.digest import hash_file, tree_digest
from hardtack.spec.lock import LockedFile, LockedModel
from hardtack.spec.words import Task

WORDS = (
    "a",
    "b",
    "c",
    "d",
    "e",
    "red",
    "green",
    "blue",
    "light",
    "on",
    "off",
    "energy",
    "comfort",
    "high",
    "low",
    "is",
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
VOCABULARY = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
COMMIT = "0123456789abcdef0123456789abcdef01234567"

Answer = Callable[[Feed], NDArray[np.float32]]


def bert_tokenizer(*, cut: int | None = 4, vocabulary: Mapping[str, int] = VOCABULARY) -> bytes:
    """One token a word, ``[CLS] … [SEP]`` and ``[CLS] … [SEP] … [SEP]``; cuts and pads, which is to be set aside."""
    tokenizer = Tokenizer(models.WordLevel(dict(vocabulary), unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    if cut is not None:
        tokenizer.enable_truncation(cut)
        tokenizer.enable_padding(length=cut)
    return tokenizer.to_str().encode()


def t5_tokenizer() -> bytes:
    """One token a word and ``</s>``, which is ``[SEP]`` here, at the end."""
    tokenizer = Tokenizer(models.WordLevel(dict(VOCABULARY), unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A [SEP]", special_tokens=[("[SEP]", 3)])
    return tokenizer.to_str().encode()


class NumpyEngine:
    """Runs feeds with a function; delivers the last feed first, as a queue may."""

    def __init__(
        self,
        width: int,
        answer: Answer,
        inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids"),
        device: str = "cpu",
    ) -> None:
        self._info = EngineInfo("numpy", "fp32", device, inputs, width, "a test")
        self._answer = answer
        self.feeds: list[Feed] = []
        self.closed = False

    @property
    def info(self) -> EngineInfo:
        return self._info

    def run(self, feeds: Iterable[Feed], deliver: Deliver) -> None:
        made = list(enumerate(feeds))
        self.feeds += [feed for _, feed in made]
        for number, feed in reversed(made):
            assert set(feed) == set(self._info.inputs)
            deliver(number, self._answer(feed))

    def close(self) -> None:
        self.closed = True


def mean_of_rows(dim: int) -> Answer:
    """Mean pooling over a fixed random table: a vector depends on its own text and on nothing else in the batch."""
    table = np.random.default_rng(7).standard_normal((len(VOCABULARY), dim)).astype(np.float32)

    def answer(feed: Feed) -> NDArray[np.float32]:
        mask = feed["attention_mask"][..., None].astype(np.float32)
        rows: NDArray[np.float32] = (table[feed["input_ids"]] * mask).sum(1) / mask.sum(1)
        return rows

    return answer


def overlap(feed: Feed) -> NDArray[np.float32]:
    """A reranker's logit: how many tokens the two parts of a pair share, less one."""
    rows = []
    for ids, types, mask in zip(feed["input_ids"], feed["token_type_ids"], feed["attention_mask"], strict=True):
        first = set(ids[(types == 0) & (mask == 1)]) - {2, 3}
        second = set(ids[(types == 1) & (mask == 1)]) - {2, 3}
        rows.append([len(first & second) - 1.0])
    return np.array(rows, dtype=np.float32)


def a_layout(task: Task = Task.EMBED, *, max_length: int | None = 16, **given: Any) -> Layout:
    defaults: dict[str, Any] = {
        "directory": Path("/nowhere"),
        "task": task,
        "family": "bert",
        "config": {"vocab_size": len(VOCABULARY)},
        "weights": ("model.safetensors",),
        "tokenizing": Tokenizing("tokenizer.json", max_length, pad_id=0),
    }
    return Layout(**(defaults | given))


def an_identity(**given: Any) -> Identity:
    defaults: dict[str, Any] = {
        "key": "emb",
        "repo": "org/tiny",
        "commit": COMMIT,
        "digest": "sha256:" + "0" * 64,
        "directory": Path("/nowhere"),
        "source": "pantry",
        "verified": "full",
    }
    return Identity(**(defaults | given))


def the_tokens(layout: Layout, data: bytes | None = None, *, cut: bool = True) -> Tokens:
    rows = layout.config.get("vocab_size")
    return Tokens(data or bert_tokenizer(), layout.tokenizing, vocabulary=rows, where="tokenizer.json", cut=cut)


def lay_out_model(directory: Path, *, labels: int = 0, **config: Any) -> Path:
    """A BERT's directory that ``read_layout`` and ``open_weights`` accept; only a fake engine can run it."""
    directory.mkdir(parents=True)
    settings = {"model_type": "bert", "vocab_size": len(VOCABULARY), "max_position_embeddings": 32, "pad_token_id": 0}
    if labels:
        settings["id2label"] = {str(n): f"LABEL_{n}" for n in range(labels)}
    (directory / "config.json").write_text(json.dumps(settings | config))
    (directory / "tokenizer.json").write_bytes(bert_tokenizer())
    save_file({"weight": np.arange(64, dtype=np.float32)}, directory / "model.safetensors")
    return directory


def lock_of(directory: Path, key: str = "emb", task: Task = Task.EMBED, **given: Any) -> LockedModel:
    """What a lock would say of a directory as it is now."""
    files = []
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        hashes = hash_file(path)
        files.append(LockedFile(str(path.relative_to(directory)), hashes.size, hashes.sha256, hashes.git))
    digest = tree_digest((file.path, file.sha256) for file in files)
    named = {"repo": "org/tiny", "commit": COMMIT, "requested": "main"} | given
    return LockedModel(key=key, task=task, digest=digest, files=tuple(files), **named)


def open_fake(layout: Layout, weights: Weights, options: Options) -> NumpyEngine:
    """Instead of the real engines: four numbers a text, or a label's worth a pair."""
    if layout.task is Task.EMBED:
        return NumpyEngine(4, mean_of_rows(4))
    return NumpyEngine(len(layout.labels), mean_of_rows(len(layout.labels)))
