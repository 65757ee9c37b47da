"""Tiny models of every family, with random weights and a real tokenizer, written without torch in a few milliseconds.

Each ``make_…`` writes a directory as transformers, sentence-transformers or model2vec would, and gives it back. Keyword
arguments go into ``config.json``. The same seed writes the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing

from hardtack.spec.words import Pooling, Task

_DISTILBERT = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
    "hidden_act": "activation",
    "type_vocab_size": "",
    "layer_norm_eps": "",
}
"""BERT's keys → DistilBERT's; it has no token types, and its norm's epsilon is written into its code."""

_VOCABULARY = (
    "the a cat dog light kitchen turns on off at seven in morning evening sits mat door opens window warm cold energy "
    "comfort security convenience high medium low classify this pattern category priority query passage : . , ?"
)
WORDS = tuple(_VOCABULARY.split())

Shapes = Mapping[str, tuple[int, ...]]


def make_bert(directory: Path, task: Task = Task.EMBED, *, prefix: str | None = None, **kwargs: Any) -> Path:
    """BERT; ``prefix`` as the checkpoint has it: ``bert.`` with a classification head, none for an embedder."""
    return _make_encoder(directory, task, "bert", prefix, **kwargs)


def make_roberta(directory: Path, task: Task = Task.EMBED, *, prefix: str | None = None, **kwargs: Any) -> Path:
    """RoBERTa; ``model_type="xlm-roberta"`` for the other."""
    return _make_encoder(directory, task, "roberta", prefix, **kwargs)


def make_distilbert(directory: Path, task: Task = Task.EMBED, *, prefix: str | None = None, **kwargs: Any) -> Path:
    """DistilBERT; its config has names of its own, given here by BERT's."""
    return _make_encoder(directory, task, "distilbert", prefix, **kwargs)


def make_mpnet(directory: Path, task: Task = Task.EMBED, *, prefix: str | None = None, **kwargs: Any) -> Path:
    """MPNet."""
    return _make_encoder(directory, task, "mpnet", prefix, **kwargs)


def make_t5(
    directory: Path,
    task: Task = Task.CLASSIFY,
    *,
    untied: bool = True,
    dtype: str = "F32",
    seed: int = 0,
    **config: Any,
) -> Path:
    """T5 v1.1 (gated, with an output of its own) or, ``untied=False, feed_forward_proj="relu"``, the first T5."""
    tokenizer = _tokenizer(("<pad>", "</s>", "<unk>"), "$A </s>", None)
    config = {
        "model_type": "t5",
        "architectures": ["T5EncoderModel" if task is Task.EMBED else "T5ForConditionalGeneration"],
        "d_model": 16,
        "d_kv": 6,
        "d_ff": 24,
        "num_heads": 3,
        "num_layers": 2,
        "num_decoder_layers": 3,
        "feed_forward_proj": "gated-gelu",
        "relative_attention_num_buckets": 8,
        "relative_attention_max_distance": 12,
        "layer_norm_epsilon": 1e-6,
        "tie_word_embeddings": not untied,
        "vocab_size": tokenizer.get_vocab_size(),
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
        "is_encoder_decoder": True,
    } | config
    weights = random_weights(_t5_shapes(config, task, untied), seed)
    _write(directory, config, weights, dtype, tokenizer, {"model_max_length": 64, "pad_token": "<pad>"})
    if task is Task.EMBED:
        write_modules(directory, size=16)
    return directory


def make_llama(
    directory: Path,
    task: Task = Task.EMBED,
    *,
    dtype: str = "F32",
    seed: int = 0,
    pooling: Pooling = Pooling.LASTTOKEN,
    normalize: bool = False,
    include_prompt: bool = False,
    pad_left: bool = False,
    labels: tuple[str, ...] = ("LABEL_0",),
    prefix: str | None = None,
    **config: Any,
) -> Path:
    """Llama, of sarashina's shape; ``model_type="llama_bidirec"`` for a reranker of NVIDIA's, without its code."""
    tokenizer = _tokenizer(("<unk>", "<s>", "</s>"), "<s> $A", "<s> $A <s> $B")
    kind = "Model" if task is Task.EMBED else "ForSequenceClassification"
    values: dict[str, Any] = {
        "model_type": "llama",
        "architectures": [f"Llama{kind}"],
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 24,
        "hidden_act": "silu",
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500.0,
        "attention_bias": False,
        "mlp_bias": False,
        "vocab_size": tokenizer.get_vocab_size(),
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "id2label": {str(n): label for n, label in enumerate(labels)},
        "label2id": {label: n for n, label in enumerate(labels)},
    }
    config = values | config
    size: int = config["hidden_size"]
    if config["model_type"] == "llama_bidirec":
        module = "llama_bidirectional_model.LlamaBidirectional"
        auto_map = {"AutoConfig": f"{module}Config", "AutoModelForSequenceClassification": f"{module}{kind}"}
        config = {"pooling": "avg", "temperature": 0.5, "auto_map": auto_map} | config
    if prefix is None:
        prefix = "" if task is Task.EMBED else "model."
    shapes = {prefix + name: shape for name, shape in _llama_shapes(config).items()}
    if task is not Task.EMBED:
        shapes["score.weight"] = (len(labels), size)
    side = "left" if pad_left else "right"
    tokenizer_config = {"model_max_length": 512, "pad_token": "</s>", "eos_token": "</s>", "padding_side": side}
    _write(directory, config, random_weights(shapes, seed), dtype, tokenizer, tokenizer_config)
    if task is Task.EMBED:
        write_modules(directory, size=size, pooling=pooling, normalize=normalize, dtype=dtype)
        old = {f"pooling_mode_{name}": False for name in ("cls_token", "mean_tokens", "max_tokens", "lasttoken")}
        mode = {"lasttoken": "lasttoken", "cls": "cls_token"}.get(pooling, f"{pooling.removesuffix('_tokens')}_tokens")
        old |= {f"pooling_mode_{mode}": True, "include_prompt": include_prompt}
        _write_json(directory / "1_Pooling/config.json", {"word_embedding_dimension": size, **old})
    return directory


def make_static(
    directory: Path,
    *,
    name: str = "embeddings",
    normalize: bool = True,
    folder: str = ".",
    dtype: str = "F32",
    seed: int = 0,
    extra: Mapping[str, tuple[str, NDArray[Any]]] | None = None,
) -> Path:
    """A static embedding; ``name`` is model2vec's or, ``embedding.weight``, sentence-transformers'."""
    tokenizer = _tokenizer(("[PAD]", "[UNK]"), None, None)
    table = np.random.default_rng(seed).normal(size=(tokenizer.get_vocab_size(), 8)).astype(np.float32)
    if "mapping" in (extra or {}):
        table = table[:10]
    home = directory / folder
    home.mkdir(parents=True, exist_ok=True)
    write_safetensors(home / "model.safetensors", {name: (dtype, table), **(extra or {})})
    tokenizer.save(str(home / "tokenizer.json"))
    kinds = [("StaticEmbedding", folder)] + ([("Normalize", "1_Normalize")] if normalize else [])
    _write_json(directory / "modules.json", _modules(kinds))
    if name == "embeddings":
        _write_json(directory / "config.json", {"model_type": "model2vec", "normalize": normalize})
    return directory


def write_modules(
    directory: Path,
    *,
    size: int,
    pooling: Pooling = Pooling.MEAN,
    dense: tuple[int, ...] = (),
    normalize: bool = True,
    dtype: str = "F32",
) -> None:
    """``modules.json`` and the folders of an embedder's modules; Normalize has no folder, as on the Hub."""
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling")]
    _write_json(directory / "1_Pooling/config.json", {"embedding_dimension": size, "pooling_mode": str(pooling)})
    inputs = size
    for number, outputs in enumerate(dense, start=2):
        folder = directory / f"{number}_Dense"
        kinds.append(("Dense", folder.name))
        config = {
            "in_features": inputs,
            "out_features": outputs,
            "bias": True,
            "activation_function": "torch.nn.modules.activation.Tanh",
        }
        _write_json(folder / "config.json", config)
        weights = random_weights({"linear.weight": (outputs, inputs), "linear.bias": (outputs,)}, number)
        write_safetensors(folder / "model.safetensors", {name: (dtype, array) for name, array in weights.items()})
        inputs = outputs
    if normalize:
        kinds.append(("Normalize", f"{len(kinds)}_Normalize"))
    _write_json(directory / "modules.json", _modules(kinds))


def write_safetensors(file: Path, tensors: Mapping[str, tuple[str, NDArray[Any]]]) -> None:
    """A safetensors file of tensors by name, each with the dtype it is to be stored as; BF16 rounds to nearest."""
    header: dict[str, Any] = {}
    data = b""
    for name, (dtype, array) in tensors.items():
        stored = _stored(dtype, array)
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(stored)],
        }
        data += stored
    write_raw_safetensors(file, header, data)


def write_raw_safetensors(file: Path, header: Any, data: bytes) -> None:
    """A safetensors file of any header, true or not."""
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(len(encoded).to_bytes(8, "little") + encoded + data)


def random_weights(shapes: Shapes, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Weights that keep a network's numbers alive and tame: norms near one, products of the size of what they get."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, shape in shapes.items():
        spread = 0.1 if len(shape) == 1 else shape[-1] ** -0.5
        centre = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
        made[name] = rng.normal(centre, spread, shape).astype(np.float32)
    return made


def _make_encoder(
    directory: Path,
    task: Task,
    kind: str,
    prefix: str | None,
    *,
    dtype: str = "F32",
    seed: int = 0,
    pooling: Pooling = Pooling.MEAN,
    dense: tuple[int, ...] = (),
    normalize: bool = True,
    labels: tuple[str, ...] = ("LABEL_0",),
    **config: Any,
) -> Path:
    tokenizer = (
        _tokenizer(("[PAD]", "[UNK]", "[CLS]", "[SEP]"), "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")
        if kind in ("bert", "distilbert")
        else _tokenizer(("<s>", "<pad>", "</s>", "<unk>"), "<s> $A </s>", "<s> $A </s> </s> $B </s>")
    )
    pad = "[PAD]" if kind in ("bert", "distilbert") else "<pad>"
    class_name = {"bert": "Bert", "distilbert": "DistilBert", "roberta": "Roberta", "mpnet": "MPNet"}[kind]
    config = {
        "model_type": kind,
        "architectures": [class_name + ("Model" if task is Task.EMBED else "ForSequenceClassification")],
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 32,
        "hidden_act": "gelu",
        "max_position_embeddings": 40,
        "type_vocab_size": 2 if kind == "bert" else 1,
        "layer_norm_eps": 1e-5,
        "vocab_size": tokenizer.get_vocab_size(),
        "pad_token_id": tokenizer.token_to_id(pad),
        "id2label": {str(n): label for n, label in enumerate(labels)},
        "label2id": {label: n for n, label in enumerate(labels)},
    } | config
    if kind == "mpnet":
        config = {"relative_attention_num_buckets": 32} | config
    if prefix is None:
        prefix = "" if task is Task.EMBED else f"{kind}."
    size: Any = config["hidden_size"]
    if kind == "distilbert":
        config = {_DISTILBERT.get(key, key): value for key, value in config.items() if _DISTILBERT.get(key, key)}
    shapes = {prefix + name: shape for name, shape in _encoder_shapes(kind, config).items()}
    if task is not Task.EMBED:
        shapes |= _head_shapes(kind, prefix, size, len(labels))
    names = ["input_ids", "token_type_ids", "attention_mask"] if kind == "bert" else ["input_ids", "attention_mask"]
    tokenizer_config = {"model_max_length": 512, "pad_token": pad, "model_input_names": names}
    _write(directory, config, random_weights(shapes, seed), dtype, tokenizer, tokenizer_config)
    if task is Task.EMBED:
        write_modules(directory, size=size, pooling=pooling, dense=dense, normalize=normalize, dtype=dtype)
    return directory


def _encoder_shapes(kind: str, config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    if kind == "distilbert":
        return _distilbert_shapes(config)
    size, inner = config["hidden_size"], config["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], size),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], size),
        **_norm("embeddings.LayerNorm", size),
    }
    if kind == "mpnet":
        buckets = (config["relative_attention_num_buckets"], config["num_attention_heads"])
        shapes["encoder.relative_attention_bias.weight"] = buckets
        own, norm = ("attn.q", "attn.k", "attn.v", "attn.o"), "attention.LayerNorm"
    else:
        shapes["embeddings.token_type_embeddings.weight"] = (config["type_vocab_size"], size)
        own, norm = ("self.query", "self.key", "self.value", "output.dense"), "attention.output.LayerNorm"
    for n in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{n}."
        for name in own:
            shapes |= _linear(f"{layer}attention.{name}", size, size)
        shapes |= _norm(layer + norm, size)
        shapes |= _linear(f"{layer}intermediate.dense", size, inner)
        shapes |= _linear(f"{layer}output.dense", inner, size)
        shapes |= _norm(f"{layer}output.LayerNorm", size)
    return shapes


def _distilbert_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    size, inner = config["dim"], config["hidden_dim"]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], size),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], size),
        **_norm("embeddings.LayerNorm", size),
    }
    for n in range(config["n_layers"]):
        layer = f"transformer.layer.{n}."
        for name in ("q_lin", "k_lin", "v_lin", "out_lin"):
            shapes |= _linear(f"{layer}attention.{name}", size, size)
        shapes |= _linear(f"{layer}ffn.lin1", size, inner) | _linear(f"{layer}ffn.lin2", inner, size)
        shapes |= _norm(f"{layer}sa_layer_norm", size) | _norm(f"{layer}output_layer_norm", size)
    return shapes


def _head_shapes(kind: str, prefix: str, size: int, labels: int) -> dict[str, tuple[int, ...]]:
    if kind == "distilbert":
        return {**_linear("pre_classifier", size, size), **_linear("classifier", size, labels)}
    if kind == "bert":
        return {**_linear(f"{prefix}pooler.dense", size, size), **_linear("classifier", size, labels)}
    return {**_linear("classifier.dense", size, size), **_linear("classifier.out_proj", size, labels)}


def _llama_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    size, inner, count = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    head = config.get("head_dim") or size // count
    wide, narrow = count * head, config["num_key_value_heads"] * head
    shapes: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (config["vocab_size"], size), "norm.weight": (size,)}
    for n in range(config["num_hidden_layers"]):
        layer = f"layers.{n}."
        shapes |= {f"{layer}{name}_layernorm.weight": (size,) for name in ("input", "post_attention")}
        own = {"q": (wide, size), "k": (narrow, size), "v": (narrow, size), "o": (size, wide)}
        mlp = {"gate": (inner, size), "up": (inner, size), "down": (size, inner)}
        for part, names, bias in (("self_attn", own, "attention_bias"), ("mlp", mlp, "mlp_bias")):
            for name, shape in names.items():
                shapes[f"{layer}{part}.{name}_proj.weight"] = shape
                if config[bias]:
                    shapes[f"{layer}{part}.{name}_proj.bias"] = shape[:1]
    return shapes


def _t5_shapes(config: Mapping[str, Any], task: Task, untied: bool) -> dict[str, tuple[int, ...]]:
    size, inner, heads = config["d_model"], config["num_heads"] * config["d_kv"], config["num_heads"]
    shapes: dict[str, tuple[int, ...]] = {"shared.weight": (config["vocab_size"], size)}
    stacks: list[tuple[str, str, tuple[str, ...]]] = [("encoder", "num_layers", ("SelfAttention",))]
    if task is not Task.EMBED:
        stacks.append(("decoder", "num_decoder_layers", ("SelfAttention", "EncDecAttention")))
        if untied:
            shapes["lm_head.weight"] = (config["vocab_size"], size)
    wide = ("wi_0", "wi_1") if config["feed_forward_proj"].startswith("gated-") else ("wi",)
    for stack, count, attentions in stacks:
        buckets = (config["relative_attention_num_buckets"], heads)
        shapes[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = buckets
        shapes[f"{stack}.final_layer_norm.weight"] = (size,)
        for n in range(config[count]):
            for place, attention in enumerate(attentions):
                layer = f"{stack}.block.{n}.layer.{place}."
                shapes |= {f"{layer}{attention}.{name}.weight": (inner, size) for name in "qkv"}
                shapes |= {f"{layer}{attention}.o.weight": (size, inner), f"{layer}layer_norm.weight": (size,)}
            layer = f"{stack}.block.{n}.layer.{len(attentions)}."
            shapes |= {f"{layer}DenseReluDense.{name}.weight": (config["d_ff"], size) for name in wide}
            shapes |= {f"{layer}DenseReluDense.wo.weight": (size, config["d_ff"]), f"{layer}layer_norm.weight": (size,)}
    return shapes


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


def _tokenizer(special: tuple[str, ...], single: str | None, pair: str | None) -> Tokenizer:
    unknown = next(token for token in special if "unk" in token.lower())
    vocabulary = {token: n for n, token in enumerate((*special, *WORDS))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=unknown))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(list(special))
    if single is not None:
        tokenizer.post_processor = TemplateProcessing(
            single=single, pair=pair, special_tokens=[(token, vocabulary[token]) for token in special]
        )
    return tokenizer


def _write(
    directory: Path,
    config: Mapping[str, Any],
    weights: Mapping[str, NDArray[np.float32]],
    dtype: str,
    tokenizer: Tokenizer,
    tokenizer_config: Mapping[str, Any],
) -> None:
    _write_json(directory / "config.json", config)
    write_safetensors(directory / "model.safetensors", {name: (dtype, array) for name, array in weights.items()})
    tokenizer.save(str(directory / "tokenizer.json"))
    _write_json(directory / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **tokenizer_config})


def _modules(kinds: list[tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (kind, path) in enumerate(kinds)
    ]


def _stored(dtype: str, array: NDArray[Any]) -> bytes:
    if dtype == "BF16":
        bits = np.ascontiguousarray(array, np.float32).view(np.uint32).astype(np.uint64)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
    kinds = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I64": "<i8", "I32": "<i4", "I8": "i1"}
    return np.ascontiguousarray(array, dtype=kinds[dtype]).tobytes()


def _write_json(file: Path, value: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value, indent=2))
