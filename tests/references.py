"""What torch's own libraries answer, in fp32: the other side of every comparison. Needs the [torch] extra."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]


def vectors(directory: Path, texts: Sequence[str], **named: Any) -> Rows:
    """By sentence-transformers: ``(n, dim)``."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(directory), device="cpu", local_files_only=True, model_kwargs={"dtype": "float32"})
    rows: Rows = model.float().encode(list(texts), show_progress_bar=False, **named)
    return rows


def logits(directory: Path, inputs: Sequence[Any]) -> Rows:
    """By sentence-transformers' CrossEncoder, of pairs: ``(n, labels)``."""
    import torch
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(directory), device="cpu", local_files_only=True, model_kwargs={"dtype": "float32"})
    rows: Rows = model.predict(list(inputs), activation_fn=torch.nn.Identity(), show_progress_bar=False)
    return rows.reshape(len(inputs), -1)


def chances(directory: Path, texts: Sequence[str]) -> Rows:
    """By transformers' sequence classifier: ``(n, labels)`` log-probabilities."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(directory, local_files_only=True, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    given = tokenizer(list(texts), padding=True, return_tensors="pt", return_token_type_ids=False)
    with torch.inference_mode():
        rows: Rows = model.eval()(**given).logits.log_softmax(-1).numpy()
    return rows


def bidirectional(directory: Path, texts: Sequence[list[int]], pooling: str = "avg") -> Rows:
    """A bidirectional Llama's logit for each text of ids, by transformers' own layers with nothing masked: ``(n,)``."""
    import torch
    from safetensors.torch import load_file
    from transformers import LlamaConfig, LlamaModel

    config = json.loads((directory / "config.json").read_text())
    temperature = config["temperature"]
    plain = LlamaConfig(**{key: value for key, value in config.items() if key not in ("model_type", "auto_map")})
    model = LlamaModel(plain).eval()
    weights = load_file(directory / "model.safetensors")
    missing = model.load_state_dict({k.removeprefix("model."): v for k, v in weights.items() if k != "score.weight"})
    assert not missing.missing_keys
    rows = []
    with torch.no_grad():
        for ids in texts:
            open_mask = torch.zeros(1, 1, len(ids), len(ids))
            states = model(input_ids=torch.tensor([ids]), attention_mask=open_mask).last_hidden_state[0]
            pooled = states.mean(0) if pooling == "avg" else states[-1]
            rows.append(float(weights["score.weight"][0] @ pooled / temperature))
    return np.array(rows, np.float32)


def likelihoods(directory: Path, prompts: Sequence[str], labels: Sequence[str]) -> Rows:
    """By transformers' T5, from its loss: ``(n, labels)`` log-probabilities."""
    import torch
    from transformers import AutoTokenizer, T5ForConditionalGeneration

    model = T5ForConditionalGeneration.from_pretrained(directory, local_files_only=True, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    rows = np.empty((len(prompts), len(labels)), np.float32)
    with torch.inference_mode():
        for row, prompt in enumerate(prompts):
            for column, label in enumerate(labels):
                target = tokenizer(label, return_tensors="pt").input_ids
                given = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
                rows[row, column] = -float(model(**given, labels=target).loss) * target.shape[1]
    return rows
