"""Llama against transformers itself, causal and bidirectional, and what its configs may not say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardtack.errors import UnsupportedModel
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.load import Options, load_model
from hardtack.runtime.read_layout import read_layout
from hardtack.runtime.reranker import Reranker
from hardtack.spec.words import Pooling, Precision, Task
from tests.models import make_llama
from tests.references import bidirectional
from tests.runtime.running import PAIRS, TEXTS, cosines, encode, engine_for, feed, rows_of

LLAMA3 = {"factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "padded left": {"pad_left": True},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "a head for each": {"num_key_value_heads": 4},
    "wide heads": {"head_dim": 8},
    "in another model": {"prefix": "model."},
    "scaled as Llama 3.1": {"rope_scaling": {"rope_type": "llama3", **LLAMA3}},
    "as transformers 5 writes it": {
        "rope_theta": None,
        "rope_parameters": {"rope_type": "llama3", "rope_theta": 700.0, **LLAMA3},
    },
    "linear": {"rope_scaling": {"type": "linear", "factor": 2.0}},
    "dynamic": {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
    "mean": {"pooling": Pooling.MEAN, "normalize": True},
    "prompts pooled": {"pooling": Pooling.MEAN, "include_prompt": True},
    "mean without the prompt": {"pooling": Pooling.MEAN, "pad_left": True},
    "greatest without the prompt": {"pooling": Pooling.MAX},
}


def load(directory: Path, task: Task, precision: Precision = Precision.FP32) -> Any:
    return load_model(directory, task, locked=None, source="path", options=Options(precision=precision))


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_embedder(kind: str, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    make_llama(tmp_path, **KINDS[kind])
    ours: Embedder = load(tmp_path, Task.EMBED)
    theirs = SentenceTransformer(str(tmp_path), device="cpu")
    for prompt in (None, "query : the light "):
        want = theirs.encode(list(TEXTS), prompt=prompt)
        have = ours.encode(list(TEXTS), prompt=prompt)
        np.testing.assert_allclose(have, want, atol=2e-6)
    np.testing.assert_allclose(ours.encode("a cat"), ours.encode([*TEXTS, "a cat"])[-1], atol=2e-6)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("pad_left", [True, False])
@pytest.mark.parametrize("pooling", ["avg", "last"])
def test_bidirectional_reranker(pooling: str, pad_left: bool, tmp_path: Path) -> None:
    make_llama(tmp_path, Task.RERANK, model_type="llama_bidirec", pad_left=pad_left)
    config = json.loads((tmp_path / "config.json").read_text()) | {"pooling": pooling}
    (tmp_path / "config.json").write_text(json.dumps(config))
    ours: Reranker = load(tmp_path, Task.RERANK)
    texts = [f"question:{query} \n \n passage:{passage}" for query, passage in PAIRS]
    want = bidirectional(tmp_path, [encoding.ids for encoding in encode(tmp_path, texts)], pooling)
    np.testing.assert_allclose(ours.predict(PAIRS, activation_fn="identity"), want, atol=2e-5)
    np.testing.assert_allclose(ours.predict(PAIRS[0], activation_fn="identity"), want[0], atol=2e-5)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("pad_left", [True, False])
def test_causal_classifier(pad_left: bool, tmp_path: Path) -> None:
    import torch
    from transformers import AutoTokenizer, LlamaForSequenceClassification

    make_llama(tmp_path, Task.CLASSIFY, labels=("high", "medium", "low"), pad_left=pad_left)
    engine = engine_for(tmp_path, Task.CLASSIFY)
    model = LlamaForSequenceClassification.from_pretrained(tmp_path).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    with torch.no_grad():
        want = model(**tokenizer(list(TEXTS), padding=True, return_tensors="pt")).logits.numpy()
    have = rows_of(engine, feed(engine, encode(tmp_path, TEXTS), pad_id=2, left=pad_left))
    np.testing.assert_allclose(have, want, atol=2e-5)


def test_padding_on_either_side_and_company_change_nothing(tmp_path: Path) -> None:
    engine = engine_for(make_llama(tmp_path), Task.EMBED)
    encodings = encode(tmp_path, TEXTS)
    alone = rows_of(engine, *(pooled(feed(engine, [encoding], pad_id=2)) for encoding in encodings))
    for left in (True, False):
        together = rows_of(engine, pooled(feed(engine, encodings, pad_id=2, extra=5, left=left)))
        np.testing.assert_allclose(together, alone, atol=2e-6)
    assert "pooling_mask" in engine.info.inputs


def pooled(batch: Any) -> Any:
    return {**batch, "pooling_mask": batch["attention_mask"]}


def test_a_token_does_not_see_what_comes_after_it(tmp_path: Path) -> None:
    engine = engine_for(make_llama(tmp_path, pooling=Pooling.CLS, include_prompt=True), Task.EMBED)
    rows = rows_of(engine, feed(engine, encode(tmp_path, TEXTS), pad_id=2))
    np.testing.assert_allclose(rows, rows[:1].repeat(len(rows), 0), atol=1e-6)  # all begin with the same token


def test_long_texts_in_bf16_stay_near_fp32(tmp_path: Path) -> None:
    """Places beyond 256 are not numbers of bf16: angles worked out in it would be another text's."""
    make_llama(tmp_path, max_position_embeddings=2048)
    plain: Embedder = load(tmp_path, Task.EMBED)
    try:
        half: Embedder = load(tmp_path, Task.EMBED, Precision.BF16)
    except UnsupportedModel:
        pytest.skip("this CPU does not multiply bf16")
    rng = np.random.default_rng(3)
    words = re.findall(r"\w+", "the a cat dog light kitchen turns on off at seven in morning evening sits mat door")
    texts = [" ".join(rng.choice(words, count)) for count in (10, 300, 500)]
    assert cosines(plain.encode(texts), half.encode(texts)).min() > 0.999


def test_the_template_of_pairs_is_of_the_bidirectional_one_alone(tmp_path: Path) -> None:
    make_llama(tmp_path / "both", Task.RERANK, model_type="llama_bidirec")
    assert read_layout(tmp_path / "both", Task.RERANK).template == "question:{query} \n \n passage:{passage}"
    make_llama(tmp_path / "causal", Task.RERANK)
    assert read_layout(tmp_path / "causal", Task.RERANK).template is None


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "rope_scaling.rope_type"),
        ({"rope_scaling": {"rope_type": "linear"}}, "rope_scaling.factor"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "rope_parameters.partial_rotary_factor"),
        ({"rope_scaling": 2.0}, "rope_scaling"),
        ({"attention_bias": "no"}, "attention_bias"),
        ({"pretraining_tp": 2}, "pretraining_tp"),
        ({"hidden_act": "gegelu"}, "hidden_act"),
    ],
)
def test_what_is_not_drawn_is_named(config: dict[str, Any], key: str, tmp_path: Path) -> None:
    make_llama(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    with pytest.raises(UnsupportedModel) as caught:
        engine_for(tmp_path, Task.EMBED)
    assert caught.value.where == f"{file}: {key}"
