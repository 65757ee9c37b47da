"""Trains the starter classifier: a tiny T5 that says which label of a group fits.

It starts from the starter embedder's vectors, shared by its input and (T5 ties them) its output, so that a label it
never saw is likely where a text lies near it. It learns to choose in groups, scored as hardtack scores them, from
three things: home sentences of our own grammar with their category and priority, commands of our own grammar with
their intent, and any text at all with label words, judged by all-MiniLM-L6-v2.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import common
import numpy as np
import teach
import texts
import torch
import vocabulary
from safetensors.numpy import load_file
from scores import CATEGORIES, CATEGORY, PRIORITIES, PRIORITY
from torch.nn import functional
from transformers import T5Config, T5ForConditionalGeneration

PIECES, WIDTH, HEADS, HEAD, INNER, LAYERS, LENGTH = 7_200, 128, 4, 32, 256, (2, 1), 256
STEPS, BATCH, RATE, SEED = 3_000, 32, 2e-3, 13
SHARES = {"category": 0.15, "priority": 0.25, "intent": 0.1, "command": 0.2, "any": 0.3}
LIKELY = {"high": 0.2, "medium": 0.5, "low": 0.3}  # how often a pattern has that priority
SHARP = 0.05  # the temperature of the teacher's opinion of labels
PROMPTS = (
    "Classify this text into one category. Text: {text} Category:",
    "Classify this message into one category. Message: {text} Category:",
    "Classify the request. Request: {text} Category:",
    "Classify: {text} Label:",
    "What is this about? Text: {text} Topic:",
    "Text: {text} Topic:",
    "Text: {text} Label:",
    "{text} This is about:",
    "Choose the label that fits. Text: {text} Label:",
    "What does the user want? Text: {text} Intent:",
    "What does the speaker want? Sentence: {text} Intent:",
    "Name the intent of this request. Request: {text} Intent:",
    "Which subject is it? Sentence: {text} Subject:",
    "Sentence: {text} Category:",
    "Document: {text} Topic:",
)


@dataclass(frozen=True)
class Question:
    """A prompt, its group of labels, and how likely each should be (sums to one)."""

    prompt: str
    labels: tuple[str, ...]
    wanted: tuple[float, ...]


class Questions:
    """Draws questions of every kind."""

    def __init__(self, said: list[str], taught: np.ndarray, pieces: Sequence[str], teacher: Path, real: Path) -> None:
        self.rng, self.np_rng = random.Random(SEED), np.random.default_rng(SEED)
        self.said, self.taught = said, taught
        lengths = np.array([t.count(" ") + 1 for t in said])
        self.texts = np.flatnonzero((lengths >= 3) & (lengths <= 60))
        self.home: dict[str, list[str]] = {}
        for text, section in texts.generated("home", teach.HOME, seed=1):
            self.home.setdefault(section, []).append(text)
        self.commands = texts.generated("assistant", teach.ASSISTANT, seed=2)
        self.intents = sorted({section for _, section in self.commands})
        numbers = {text: i for i, text in enumerate(said)}
        self.orders = [numbers[text] for text, _ in self.commands] + [numbers[t] for t in texts.spoken(real)]
        verbs, objects = zip(*(intent.split(" ", 1) for intent in self.intents), strict=True)
        phrases = sorted({f"{verb} {thing}" for verb in verbs for thing in objects})
        known = set(pieces)
        short = [i for i in np.flatnonzero(lengths <= 2) if all(w in known and len(w) > 3 for w in said[i].split(" "))]
        self.labels = [said[i] for i in short] + phrases
        self.phrases = range(len(short), len(self.labels))
        self.label_vectors = np.concatenate([taught[short], teach.encode(teacher, phrases)]).astype(np.float32)

    def draw(self) -> Question:
        """One question; a kind is as likely as its share says."""
        kind = self.rng.choices(list(SHARES), list(SHARES.values()))[0]
        return getattr(self, f"_{kind}")()

    def _one_hot(self, prompt: str, labels: Sequence[str], right: str) -> Question:
        order = self.rng.sample(list(labels), len(labels))
        return Question(prompt, tuple(order), tuple(float(o == right) for o in order))

    def _pattern(self, category: str, priority: str) -> str:
        text = self.rng.choice(self.home[f"{category} {priority}"])
        words = text.split(" ")
        if self.rng.random() < 0.3 and len(words) > 5:  # no single word may decide
            del words[self.rng.randrange(len(words))]
        text = " ".join(words)
        return text[0].upper() + text[1:] + self.rng.choice((".", ".", ""))

    def _category(self) -> Question:
        category = self.rng.choice(CATEGORIES)
        text = self._pattern(category, self.rng.choices(PRIORITIES, [LIKELY[p] for p in PRIORITIES])[0])
        template = CATEGORY if self.rng.random() < 0.7 else self.rng.choice(PROMPTS)
        return self._one_hot(template.format(text=text), CATEGORIES, category)

    def _priority(self) -> Question:
        priority = self.rng.choices(PRIORITIES, [LIKELY[p] for p in PRIORITIES])[0]
        category = self.rng.choice(CATEGORIES)
        text = self._pattern(category, priority)
        named = category if self.rng.random() < 0.8 else self.rng.choice(CATEGORIES)
        return self._one_hot(PRIORITY.format(text=text, category=named), PRIORITIES, priority)

    def _intent(self) -> Question:
        text, right = self.rng.choice(self.commands)
        others = self.rng.sample([i for i in self.intents if i != right], self.rng.randint(3, 7))
        return self._one_hot(self.rng.choice(PROMPTS).format(text=text), [right, *others], right)

    def _command(self) -> Question:
        return self._opinion(self.rng.choice(self.orders), self.phrases)

    def _any(self) -> Question:
        return self._opinion(int(self.np_rng.choice(self.texts)), range(len(self.labels)))

    def _opinion(self, number: int, among: range) -> Question:
        """The teacher's opinion of two labels that are near this text and four others."""
        near = self.label_vectors @ self.taught[number].astype(np.float32)
        some = near[among.start : among.stop]
        best = np.argpartition(-some, 40)[:40]
        best = best[np.argsort(-some[best])] + among.start
        rows = {int(self.rng.choice(best[:4])), int(self.rng.choice(best[4:]))}
        while len(rows) < 6:
            rows.add(self.rng.choice(among))
        order = self.rng.sample(sorted(rows), len(rows))
        sharp = np.exp((near[order] - near[order].max()) / SHARP)
        prompt = self.rng.choice(PROMPTS).format(text=self.said[number])
        return Question(prompt, tuple(self.labels[r] for r in order), tuple((sharp / sharp.sum()).tolist()))


def untrained(table: np.ndarray) -> T5ForConditionalGeneration:
    """The model before training, which already leans to labels that lie near the text.

    Args:
        table: the embedder's vectors of the pieces, likeliest first.

    The encoder begins as nearly nothing but its input, the decoder's look at it as a plain mean: what comes out is the
    mean of the text's vectors, compared with each label's.
    """
    torch.manual_seed(SEED)
    config = T5Config(
        vocab_size=len(table) + 3,
        d_model=WIDTH,
        d_kv=HEAD,
        d_ff=INNER,
        num_heads=HEADS,
        num_layers=LAYERS[0],
        num_decoder_layers=LAYERS[1],
        dropout_rate=0.0,
        feed_forward_proj="relu",
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    model = T5ForConditionalGeneration(config)
    alike = torch.from_numpy(table).float()
    alike = alike / alike.square().mean(1, keepdim=True).sqrt().clamp_min(1e-3)
    with torch.no_grad():
        model.shared.weight[:3] = torch.randn(3, WIDTH) * 0.1
        model.shared.weight[3:] = alike
        for block in [*model.encoder.block, *model.decoder.block]:
            block.layer[0].SelfAttention.o.weight.mul_(0.2)
            block.layer[-1].DenseReluDense.wo.weight.mul_(0.2)
        look = model.decoder.block[0].layer[1].EncDecAttention
        look.v.weight[:] = torch.eye(WIDTH)
        look.o.weight[:] = torch.eye(WIDTH) * 2
    return model


def scores(model: T5ForConditionalGeneration, tokenizers: Sequence[object], asked: list[Question]) -> torch.Tensor:
    """Log-probabilities of every label, one question after the other."""
    for_prompts, for_labels = tokenizers
    prompts = for_prompts.encode_batch([q.prompt for q in asked])  # type: ignore[attr-defined]
    labels = for_labels.encode_batch([label for q in asked for label in q.labels])  # type: ignore[attr-defined]
    ids, mask, wanted, counted = (
        torch.tensor([getattr(e, name) for e in encoded])
        for encoded in (prompts, labels)
        for name in ("ids", "attention_mask")
    )
    seen = model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
    owner = torch.repeat_interleave(torch.arange(len(asked)), torch.tensor([len(q.labels) for q in asked]))
    given = functional.pad(wanted[:, :-1], (1, 0))  # begins with the padding token, as T5 does
    heard = model.get_decoder()(
        input_ids=given, encoder_hidden_states=seen[owner], encoder_attention_mask=mask[owner]
    ).last_hidden_state
    real = counted.bool()
    logits = model.lm_head(heard[real] * WIDTH**-0.5)
    said = torch.zeros(wanted.shape)
    said[real] = -functional.cross_entropy(logits, wanted[real], reduction="none")
    return said.sum(1)


def train(model: T5ForConditionalGeneration, questions: Questions, pieces: list[str]) -> None:
    """Tune the model in place."""
    tokenizers = [vocabulary.t5(pieces, length) for length in (LENGTH, 16)]
    for tokenizer in tokenizers:
        tokenizer.enable_padding(pad_id=0, pad_token="<pad>")  # noqa: S106
    table = [model.shared.weight]
    rest = [p for n, p in model.named_parameters() if n != "shared.weight"]
    optimizer = torch.optim.AdamW(
        [{"params": table, "top": RATE / 2}, {"params": rest, "top": RATE}], lr=RATE, weight_decay=0.0
    )
    began, lately = time.monotonic(), 0.0
    for step in range(1, STEPS + 1):
        for part in optimizer.param_groups:
            part["lr"] = part["top"] * common.pace(step, STEPS)
        asked = [questions.draw() for _ in range(BATCH)]
        said = scores(model, tokenizers, asked).split([len(q.labels) for q in asked])
        loss = sum(
            functional.cross_entropy(s[None], torch.tensor([q.wanted])) - 0.02 * (s * torch.tensor(q.wanted)).sum()
            for s, q in zip(said, asked, strict=True)
        ) / len(asked)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        lately += loss.item()
        if step % 100 == 0:
            print(f"step {step}: loss {lately / 100:.4f}, {time.monotonic() - began:.0f} s", flush=True)
            lately = 0.0


def save(directory: Path, model: T5ForConditionalGeneration, pieces: list[str]) -> None:
    """The model in the layout of a Hugging Face T5."""
    tied = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")
    common.weights(directory, {k: v.numpy() for k, v in model.state_dict().items() if k not in tied})
    common.tokenizer(directory, vocabulary.t5(pieces, LENGTH))
    config = model.config.to_dict() | {"architectures": ["T5ForConditionalGeneration"], "dtype": "float16"}
    common.config(directory, config)
    common.write_json(
        directory / "generation_config.json", {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
    )
    common.write_json(
        directory / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": LENGTH,
            "model_input_names": ["input_ids", "attention_mask"],
            "pad_token": "<pad>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
        },
    )


def main() -> None:
    """Train and save."""
    where = common.arguments(__doc__)
    said, taught = common.taught(where)
    pieces = json.loads((where.work / "pieces.json").read_text())[:PIECES]
    table = load_file(where.models / "embedder/model.safetensors")["embedding.weight"][2 : PIECES + 2]
    questions = Questions(said, taught, pieces, where.teacher, where.real)
    print(f"{len(questions.texts)} texts, {len(questions.labels)} labels")
    model = untrained(table)
    print(f"{sum(p.numel() for p in model.parameters())} parameters")
    train(model, questions, pieces)
    save(where.models / "classifier", model, pieces)


if __name__ == "__main__":
    main()
