"""Models of the shape and size of ones whose weights are not at hand, with random weights: written once, without torch.

Random weights cost what trained ones cost: the same products, the same bytes, the same vocabulary to read. What they
answer says nothing. Not a subject: it is what ``builds`` measures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tests.models import random_weights
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

XLM_R_VOCABULARY = 250_002
T5_VOCABULARY = 32_128


def write_reranker(directory: Path) -> Path:
    """BAAI/bge-reranker-base's shape: XLM-R base with one logit, 278,044,417 parameters, 250k pieces."""
    config = {
        "model_type": "xlm-roberta", "architectures": ["XLMRobertaForSequenceClassification"], "hidden_size": 768,
        "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072, "hidden_act": "gelu",
        "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "vocab_size": XLM_R_VOCABULARY,
        "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "position_embedding_type": "absolute",
        "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}, "torch_dtype": "float32",
    }  # fmt: skip
    shapes: dict[str, tuple[int, ...]] = {
        "roberta.embeddings.word_embeddings.weight": (XLM_R_VOCABULARY, 768),
        "roberta.embeddings.position_embeddings.weight": (514, 768),
        "roberta.embeddings.token_type_embeddings.weight": (1, 768),
        **_norm("roberta.embeddings.LayerNorm", 768),
        **_linear("classifier.dense", 768, 768),
        **_linear("classifier.out_proj", 768, 1),
    }
    for number in range(12):
        layer = f"roberta.encoder.layer.{number}."
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= _linear(layer + name, 768, 768)
        shapes |= _norm(f"{layer}attention.output.LayerNorm", 768)
        shapes |= _linear(f"{layer}intermediate.dense", 768, 3072)
        shapes |= _linear(f"{layer}output.dense", 3072, 768)
        shapes |= _norm(f"{layer}output.LayerNorm", 768)
    special = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    tokenizer = _tokenizer(special, XLM_R_VOCABULARY - 1, "<s> $A </s>", "<s> $A </s> </s> $B </s>", mask="<mask>")
    about = {
        "tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 512, "bos_token": "<s>", "cls_token": "<s>",
        "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>",
    }  # fmt: skip
    return _write(directory, config, shapes, tokenizer, about)


def write_t5(directory: Path) -> Path:
    """google/flan-t5-small's shape: 76,961,152 parameters, untied."""
    config = {
        "model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "d_model": 512, "d_kv": 64, "d_ff": 1024,
        "num_heads": 6, "num_layers": 8, "num_decoder_layers": 8, "feed_forward_proj": "gated-gelu",
        "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "layer_norm_epsilon": 1e-6,
        "tie_word_embeddings": False, "vocab_size": T5_VOCABULARY, "pad_token_id": 0, "eos_token_id": 1,
        "decoder_start_token_id": 0, "is_encoder_decoder": True,
    }  # fmt: skip
    shapes: dict[str, tuple[int, ...]] = {"shared.weight": (T5_VOCABULARY, 512), "lm_head.weight": (T5_VOCABULARY, 512)}
    for stack, attentions in (("encoder", ("SelfAttention",)), ("decoder", ("SelfAttention", "EncDecAttention"))):
        shapes[f"{stack}.final_layer_norm.weight"] = (512,)
        shapes[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = (32, 6)
        for block in range(8):
            place = f"{stack}.block.{block}.layer."
            for number, attention in enumerate(attentions):
                shapes[f"{place}{number}.layer_norm.weight"] = (512,)
                shapes |= {f"{place}{number}.{attention}.{name}.weight": (384, 512) for name in "qkv"}
                shapes[f"{place}{number}.{attention}.o.weight"] = (512, 384)
            last = f"{place}{len(attentions)}"
            shapes[f"{last}.layer_norm.weight"] = (512,)
            shapes |= {f"{last}.DenseReluDense.{name}.weight": (1024, 512) for name in ("wi_0", "wi_1")}
            shapes[f"{last}.DenseReluDense.wo.weight"] = (512, 1024)
    tokenizer = _tokenizer({"<pad>": 0, "</s>": 1, "<unk>": 2}, 32_100, "$A </s>", "$A </s> $B </s>")
    about = {"tokenizer_class": "T5Tokenizer", "model_max_length": 512, "pad_token": "<pad>", "eos_token": "</s>",
             "unk_token": "<unk>"}  # fmt: skip
    return _write(directory, config, shapes, tokenizer, about)


def _write(
    directory: Path, config: dict[str, Any], shapes: dict[str, tuple[int, ...]], tokenizer: Tokenizer,
    about: dict[str, Any],
) -> Path:  # fmt: skip
    directory.mkdir(parents=True, exist_ok=True)
    weights = random_weights(shapes)
    save_file(weights, directory / "model.safetensors", {"format": "pt"})
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "config.json").write_text(json.dumps(config, indent=2))
    (directory / "tokenizer_config.json").write_text(json.dumps(about, indent=2))
    return directory


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


def _tokenizer(special: dict[str, int], size: int, single: str, pair: str, *, mask: str = "") -> Tokenizer:
    """A Unigram tokenizer in SentencePiece's form: letters, and made-up pieces of two to nine of them."""
    letters = "▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?'-()/%"
    pieces = dict.fromkeys(letters)
    rng = np.random.default_rng(0)
    while len(pieces) < size - len(special):
        lengths = rng.integers(2, 10, 50_000)
        for length, drawn in zip(lengths, rng.integers(1, 27, (50_000, 9)), strict=True):
            word = "".join(letters[n] for n in drawn[:length])
            pieces.setdefault("▁" + word if length % 2 else word)
            if len(pieces) == size - len(special):
                break
    scored = [(name, 0.0) for name in special]
    scored += [(piece, -5.0 - 10.0 * n / size) for n, piece in enumerate(pieces)]
    tokenizer = Tokenizer(Unigram([*scored, *([(mask, 0.0)] if mask else [])], unk_id=special["<unk>"]))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(name, number) for name, number in special.items() if name in pair]
    )
    tokenizer.add_special_tokens([*special, *([mask] if mask else [])])
    return tokenizer
