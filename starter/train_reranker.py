"""Trains the starter reranker: a tiny BERT cross-encoder that says of a pair what the teacher's cosine says.

It starts from the starter embedder's vectors, and its attention starts as "look for my like in the other text", so
that it need not find out from pairs alone that words can be alike. Then it learns from groups of one query and eight
texts to order them as all-MiniLM-L6-v2 orders them: first near ones against any, which share words; then texts of the
query's cluster against any, which share only their subject.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import common
import numpy as np
import torch
import vocabulary
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from torch.nn import functional
from train_embedder import CLUSTERS, clusters
from transformers import BertConfig, BertForSequenceClassification

PIECES, WIDTH, LAYERS, HEADS, INNER, LENGTH = 7_200, 128, 3, 4, 256, 256
STAGES = (  # steps, learning rate, how often a group has (near texts, texts of its cluster) among its eight
    (2_600, 1.5e-3, {(4, 0): 1.0}),
    (1_500, 1.0e-3, {(4, 0): 0.2, (1, 2): 0.2, (0, 4): 0.2, (0, 1): 0.4}),
)
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
        """The NEAR nearest documents of every query, the query itself left out."""
        pool = torch.from_numpy(self.taught[self.documents].astype(np.float32))
        found = []
        for start in range(0, len(self.queries), 500):
            rows = torch.from_numpy(self.taught[self.queries[start : start + 500]].astype(np.float32))
            found.append((rows @ pool.T).topk(NEAR + 1).indices[:, 1:].numpy())
        return self.documents[np.concatenate(found)]

    def sample(self, mix: dict[tuple[int, int], float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Text numbers of queries (GROUPS), of documents (GROUPS, DOCUMENTS), and cosines of that shape."""
        picked = self.rng.integers(len(self.queries), size=GROUPS)
        rows = np.empty((GROUPS, DOCUMENTS), np.int64)
        for g, q in enumerate(picked):
            near, same = list(mix)[self.rng.choice(len(mix), p=list(mix.values()))]
            reach = NEAR if self.rng.random() < 0.5 else 12
            close = self.rng.choice(self.near[q][:reach], near, replace=False)
            kin = self.rng.choice(self.members[self.cluster[q]], same)
            rows[g] = [*close, *kin, *self.rng.choice(self.documents, DOCUMENTS - near - same)]
        queries = self.queries[picked]
        cosines = np.einsum("gd,gnd->gn", self.taught[queries].astype(np.float32), self.taught[rows].astype(np.float32))
        return queries, rows, cosines


def untrained(table: np.ndarray, pieces: int) -> BertForSequenceClassification:
    """The model before training. ``table``: the embedder's vectors of the pieces, likeliest first."""
    torch.manual_seed(SEED)
    config = BertConfig(
        vocab_size=pieces + 5,
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
    alike = torch.from_numpy(table[:pieces]).float()
    alike = alike / alike.norm(dim=1, keepdim=True).clamp_min(1e-6)
    side = torch.nn.functional.normalize(torch.randn(WIDTH), dim=0)
    with torch.no_grad():
        core = model.bert.embeddings
        core.word_embeddings.weight[5:] = alike
        core.word_embeddings.weight[:5] = torch.randn(5, WIDTH) / math.sqrt(WIDTH)
        core.position_embeddings.weight.mul_(0.2)
        core.token_type_embeddings.weight[:] = torch.stack([side, -side]) * 0.4
        for layer in model.bert.encoder.layer[:2]:
            look = torch.linalg.qr(torch.randn(WIDTH, WIDTH))[0]
            other = torch.outer(torch.ones(WIDTH) * 0.12, side)
            mine = layer.attention.self
            mine.query.weight[:] = look + other
            mine.key.weight[:] = look - other
            mine.value.weight[:] = look * 0.5
            layer.attention.output.dense.weight[:] = look.T * 0.5
    return model


def train(model: BertForSequenceClassification, groups: Groups, pieces: list[str]) -> None:
    """Tune the model in place, one stage after the other."""
    tokenizer = vocabulary.bert(pieces, LENGTH)
    tokenizer.enable_padding()
    for steps, rate, mix in STAGES:
        stage(model, tokenizer, groups, steps, rate, mix)


def stage(
    model: BertForSequenceClassification,
    tokenizer: Tokenizer,
    groups: Groups,
    steps: int,
    rate: float,
    mix: dict[tuple[int, int], float],
) -> None:
    """Tune the model in place."""
    table = {id(p) for p in model.bert.embeddings.parameters()}
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if id(p) in table], "top": rate / 3},
            {"params": [p for p in model.parameters() if id(p) not in table], "top": rate},
        ],
        weight_decay=0.01,
    )
    began, lately = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        for part in optimizer.param_groups:
            part["lr"] = part["top"] * common.pace(step, steps)
        queries, rows, cosines = groups.sample(mix)
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
    table = load_file(where.models / "embedder/model.safetensors")["embedding.weight"][2:]
    groups = Groups(texts, taught, SEED)
    print(f"{len(groups.queries)} queries, {len(groups.documents)} documents")
    model = untrained(table, PIECES)
    train(model, groups, pieces)
    save(where.models / "reranker", model, pieces)


if __name__ == "__main__":
    main()
