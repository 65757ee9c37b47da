"""Trains the starter reranker: a tiny BERT cross-encoder that says of a pair what the teacher's cosine says.

It starts as the starter embedder: its layers are first written by hand to say the cosine of the two texts' means, so
that it need not find out from pairs alone that words can be alike. Then it learns from groups of one query and eight
texts to order them as all-MiniLM-L6-v2 orders them, and looks at which words meet which.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import common
import numpy as np
import torch
import vocabulary
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from torch.nn import functional
from train_embedder import CLUSTERS, clusters, directions
from transformers import BertConfig, BertForSequenceClassification

PIECES, WIDTH, LAYERS, HEADS, INNER, LENGTH = 10_600, 104, 3, 4, 104, 256
SPECIAL = 5  # [PAD] [UNK] [CLS] [SEP] [MASK]
SIDE, MATCH, LOUD, MARK = range(WIDTH - 4, WIDTH)  # coordinates beside the meaning: which text, whether the other text
# has its like, how much it counts, a special token
STEPS, RATE = 600, 2e-4
TABLE = 0.25  # the share of the rate for the embeddings, which are tuned already
MIX = {(4, 0): 0.25, (1, 2): 0.2, (1, 0): 0.3, (0, 1): 0.25}  # how often a group has, among its eight, how many near
# texts and how many of its cluster
LIKE, UNLIKE = 12.0, 0.75  # how sharply a token looks for its like, and the cosine below which it finds none
FOUND = 6.0  # what a match of every token adds to the logit before training
GROUPS, DOCUMENTS, SEED = 12, 8, 12
SHARP, ZERO = 14.0, 0.36  # logit = SHARP * (the teacher's cosine - ZERO)
QUERIES, NEAR = 20_000, 48


class Groups:
    """Queries with near and far texts, and the teacher's cosines of them."""

    def __init__(self, texts: list[str], taught: np.ndarray, seed: int) -> None:
        self.texts, self.taught = texts, taught
        self.rng = np.random.default_rng(seed)
        lengths = np.array([t.count(" ") + 1 for t in texts])
        self.documents = np.flatnonzero(lengths >= 4)
        self.queries = self.rng.permutation(np.flatnonzero((lengths >= 2) & (lengths <= 30)))[:QUERIES]
        self.near = self._nearest()
        cluster = clusters(taught, self.rng)
        self.cluster = cluster[self.queries]
        self.members = [self.documents[cluster[self.documents] == k] for k in range(CLUSTERS)]

    def _nearest(self) -> np.ndarray:
        """The NEAR nearest documents of every query, the very nearest left out: it may be the query itself."""
        pool = torch.from_numpy(self.taught[self.documents].astype(np.float32))
        found = []
        for start in range(0, len(self.queries), 500):
            rows = torch.from_numpy(self.taught[self.queries[start : start + 500]].astype(np.float32))
            found.append((rows @ pool.T).topk(NEAR + 1).indices[:, 1:].numpy())
        return self.documents[np.concatenate(found)]

    def sample(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Text numbers of queries (GROUPS), of documents (GROUPS, DOCUMENTS), and cosines of that shape."""
        picked = self.rng.integers(len(self.queries), size=GROUPS)
        rows = np.empty((GROUPS, DOCUMENTS), np.int64)
        for g, q in enumerate(picked):
            near, same = list(MIX)[self.rng.choice(len(MIX), p=list(MIX.values()))]
            reach = NEAR if self.rng.random() < 0.5 else 12
            close = self.rng.choice(self.near[q][:reach], near, replace=False)
            kin = self.rng.choice(self.members[self.cluster[q]], same)
            rows[g] = [*close, *kin, *self.rng.choice(self.documents, DOCUMENTS - near - same)]
        queries = self.queries[picked]
        cosines = np.einsum("gd,gnd->gn", self.taught[queries].astype(np.float32), self.taught[rows].astype(np.float32))
        return queries, rows, cosines


def untrained(table: np.ndarray, along: np.ndarray) -> BertForSequenceClassification:
    """The model before training: the cosine of the two texts' mean vectors, written as BERT's weights.

    In the first layer every token looks for its like in the other text. In the second it collects the mean of its own
    text, which LayerNorm brings to one length. In the third [CLS] takes the other text's mean from its own; LayerNorm
    divides by the length of what is left, so that beside it a constant says how alike the two are.

    Args:
        table: the embedder's vectors of the pieces, likeliest first, (pieces, WIDTH).
        along: main directions of the embedder's text vectors, (the embedder's width, SIDE).
    """
    torch.manual_seed(SEED)
    config = BertConfig(
        vocab_size=len(table) + SPECIAL,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INNER,
        max_position_embeddings=LENGTH,
        num_labels=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        loudness = embed(model, torch.from_numpy(table), torch.from_numpy(along))
        for layer in model.bert.encoder.layer:
            layer.attention.output.dense.weight.mul_(0.2)
            layer.output.dense.weight.mul_(0.2)
        match(model.bert.encoder.layer[0])
        collect(model.bert.encoder.layer[1], loudness)
        compare(model.bert.encoder.layer[2])
        answer(model)
    return model


def axes(table: np.ndarray, pieces: list[str], texts: list[str], sample: int = 20_000) -> np.ndarray:
    """Main directions of the embedder's vectors of a sample of texts: (WIDTH of the embedder, SIDE)."""
    rows = np.random.default_rng(SEED).choice(len(texts), sample, replace=False)
    encoded = vocabulary.static(pieces).encode_batch_fast([texts[r] for r in rows])
    means = np.stack([table[np.array(e.ids or [2]) - 2].mean(0) for e in encoded])
    return directions(means / np.linalg.norm(means, axis=1, keepdims=True).clip(1e-6), SIDE)


def embed(model: BertForSequenceClassification, table: torch.Tensor, along: torch.Tensor) -> float:
    """Directions of the pieces, and beside them which text and how much; returns how much one unit of LOUD weighs."""
    core = model.bert.embeddings
    turned = table @ along
    length = turned.norm(dim=1, keepdim=True).clamp_min(1e-4)
    loud = length.log()[:, 0]
    spread = 4 * loud.std()
    words = torch.zeros_like(core.word_embeddings.weight)
    words[SPECIAL:, :SIDE] = turned / length
    words[SPECIAL:, LOUD] = (loud - loud.mean()) / spread
    words[:SPECIAL, MARK] = 1
    core.word_embeddings.weight.copy_(words)
    core.position_embeddings.weight.mul_(0.1)
    core.token_type_embeddings.weight.zero_()
    core.token_type_embeddings.weight[:, SIDE] = torch.tensor([0.4, -0.4])
    return float(spread)


def look(attention: Any, side: float) -> None:
    """Look at tokens of the same text (``side`` > 0) or of the other (< 0), and take their directions."""
    mine, head = attention.self, WIDTH // HEADS
    for weight in (mine.query.weight, mine.key.weight, mine.value.weight):
        weight.zero_()
    for h in range(HEADS):
        mine.query.weight[h * head, SIDE] = side * math.sqrt(head)
        mine.key.weight[h * head, SIDE] = 1
    mine.value.weight.copy_(torch.eye(WIDTH))
    mine.value.weight[LOUD:] = 0
    attention.output.dense.weight.zero_()


def match(layer: Any) -> None:
    """Every token looks for its like in the other text; what finds none looks at a special token, and MATCH says so."""
    mine, out = layer.attention.self, layer.attention.output.dense
    head, scale = WIDTH // HEADS, math.sqrt(WIDTH)
    for weight in (mine.query.weight, mine.key.weight, mine.value.weight, out.weight):
        weight.zero_()
    turn = torch.linalg.qr(torch.randn(SIDE, SIDE))[0] * math.sqrt(SIDE / (head - 2)) / scale
    for h in range(HEADS):
        part = slice(h * head, (h + 1) * head - 2)
        side, mark = (h + 1) * head - 2, (h + 1) * head - 1
        mine.query.weight[part, :SIDE] = turn[h * (head - 2) : (h + 1) * (head - 2)] * LIKE * math.sqrt(head)
        mine.key.weight[part, :SIDE] = turn[h * (head - 2) : (h + 1) * (head - 2)]
        mine.query.weight[side, SIDE] = -0.7 * math.sqrt(head)
        mine.key.weight[side, SIDE] = 0.7
        mine.query.bias[mark] = math.sqrt(head) * LIKE * UNLIKE
        mine.key.weight[mark, MARK] = 1 / scale
        mine.value.weight[h * head, MARK] = 1 / scale
        out.weight[MATCH, h * head] = -4 / HEADS
    out.bias[MATCH] = 2


def collect(layer: Any, loudness: float) -> None:
    """Every token takes the weighted mean of its own text, special tokens left out."""
    look(layer.attention, 0.5)
    mine, head, scale = layer.attention.self, WIDTH // HEADS, math.sqrt(WIDTH)  # LayerNorm: any vector has that length
    mine.query.bias[1::head] = math.sqrt(head)
    mine.key.weight[1::head, LOUD] = loudness / scale
    mine.key.weight[1::head, MARK] = -1
    out = layer.attention.output.dense
    out.weight.copy_(torch.diag(torch.where(torch.arange(WIDTH) < SIDE, 6.0, 1.0)))
    out.weight[MATCH, MATCH] = 4
    out.bias[MARK] = -0.9 * scale
    layer.output.dense.bias[MARK] = scale / 2


def compare(layer: Any) -> None:
    """Every token takes the other text's mean from its own."""
    look(layer.attention, -1.5)
    layer.attention.output.dense.weight[:SIDE, :SIDE] = -torch.eye(SIDE)


def answer(model: BertForSequenceClassification) -> None:
    """The head reads the constant."""
    model.bert.pooler.dense.weight.mul_(0.1)
    model.bert.pooler.dense.weight[:2] = 0
    model.bert.pooler.dense.weight[0, MARK] = 0.5
    model.bert.pooler.dense.bias[0] = -2.5
    model.classifier.weight.mul_(0.1)
    model.bert.pooler.dense.weight[1, MATCH] = 0.3
    model.classifier.weight[0, 0] = SHARP / 2
    model.classifier.weight[0, 1] = FOUND


def train(model: BertForSequenceClassification, groups: Groups, pieces: list[str]) -> None:
    """Tune the model in place."""
    tokenizer = vocabulary.bert(pieces, LENGTH)
    tokenizer.enable_padding()
    table = {id(p) for p in model.bert.embeddings.parameters()}
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if id(p) in table], "top": RATE * TABLE},
            {"params": [p for p in model.parameters() if id(p) not in table], "top": RATE},
        ],
        weight_decay=0.01,
    )
    began, lately = time.monotonic(), 0.0
    for step in range(1, STEPS + 1):
        for part in optimizer.param_groups:
            part["lr"] = part["top"] * common.pace(step, STEPS)
        queries, rows, cosines = groups.sample()
        pairs = [(groups.texts[q], groups.texts[d]) for q, some in zip(queries, rows, strict=True) for d in some]
        wanted = SHARP * (torch.from_numpy(cosines) - ZERO)
        logits = predict(model, tokenizer, pairs).view(wanted.shape)
        order = functional.kl_div(logits.log_softmax(1), wanted.softmax(1), reduction="batchmean")
        loss = order + 0.05 * (logits - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        lately += loss.item()
        if step % 100 == 0:
            print(f"step {step}: loss {lately / 100:.4f}, {time.monotonic() - began:.0f} s", flush=True)
            lately = 0.0


def predict(model: BertForSequenceClassification, tokenizer: Tokenizer, pairs: list[tuple[str, str]]) -> torch.Tensor:
    """Logits of pairs, the short ones in one batch and the long ones in another."""
    encoded = tokenizer.encode_batch(pairs)
    lengths = np.array([sum(e.attention_mask) for e in encoded])
    order = np.argsort(lengths)
    out = []
    for part in np.array_split(order, 4):
        longest = lengths[part].max()
        ids, mask, types = (
            torch.tensor([getattr(encoded[i], name)[:longest] for i in part])
            for name in ("ids", "attention_mask", "type_ids")
        )
        out.append(model(input_ids=ids, attention_mask=mask, token_type_ids=types).logits[:, 0])
    return torch.cat(out)[torch.from_numpy(np.argsort(order))]


def save(directory: Path, model: BertForSequenceClassification, pieces: list[str]) -> None:
    """The model in the layout of a Hugging Face cross-encoder."""
    common.weights(directory, {k: v.numpy() for k, v in model.state_dict().items() if "position_ids" not in k})
    common.tokenizer(directory, vocabulary.bert(pieces, LENGTH))
    config = model.config.to_dict() | {
        "architectures": ["BertForSequenceClassification"],
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
        "dtype": "float16",
        "sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"},
    }
    common.config(directory, config)
    common.write_json(
        directory / "tokenizer_config.json",
        {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": True,
            "model_max_length": LENGTH,
            **{f"{n}_token": f"[{n.upper()}]" for n in ("pad", "unk", "cls", "sep", "mask")},
        },
    )


def main() -> None:
    """Train and save."""
    where = common.arguments(__doc__)
    texts, taught = common.taught(where)
    pieces = json.loads((where.work / "pieces.json").read_text())[:PIECES]
    table = load_file(where.models / "embedder/model.safetensors")["embedding.weight"][2:].astype(np.float32)
    groups = Groups(texts, taught, SEED)
    print(f"{len(groups.queries)} queries, {len(groups.documents)} documents")
    model = untrained(table, axes(table, pieces, texts))
    train(model, groups, pieces)
    save(where.models / "reranker", model, pieces)


if __name__ == "__main__":
    main()
