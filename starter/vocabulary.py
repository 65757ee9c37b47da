"""A small WordPiece vocabulary cut from the teacher's, and tokenizers with it."""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

_PLAIN = re.compile(r"[!-~]+")  # ASCII alone: what is left of the rest becomes [UNK]


def choose(teacher: Path, texts: Iterable[str], size: int) -> list[str]:
    """The pieces of the teacher's vocabulary that are worth their bytes, likeliest first.

    BERT's vocabulary lies in the order of frequency in its own training text (Zipf's law gives the frequency back);
    half of a piece's worth is that, half is how often it stands in ours. Single characters always stay, so that every
    ASCII word can be spelt.
    """
    tokenizer = Tokenizer.from_file(str(teacher / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    counts: collections.Counter[str] = collections.Counter()
    for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False):
        counts.update(encoding.tokens)
    total = counts.total()
    ids = tokenizer.get_vocab()
    plain = [p for p in ids if _PLAIN.fullmatch(p) and not (p.startswith("[") and p.endswith("]") and len(p) > 1)]
    zipf = sum(1 / (ids[p] + 1) for p in plain)

    def worth(piece: str) -> tuple[bool, float, int]:
        single = len(piece.removeprefix("##")) == 1
        return not single, -(1 / (ids[piece] + 1) / zipf + counts[piece] / total), ids[piece]

    return sorted(plain, key=worth)[:size]


def bert(pieces: list[str], max_length: int) -> Tokenizer:
    """BERT's way: ``[CLS] a [SEP] b [SEP]``, padding 0."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = _wordpiece(special, "[UNK]", pieces)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.enable_truncation(max_length)
    return tokenizer


def static(pieces: list[str]) -> Tokenizer:
    """No special tokens: a text is the mean of its pieces."""
    return _wordpiece(["[PAD]", "[UNK]"], "[UNK]", pieces)


def t5(pieces: list[str], max_length: int) -> Tokenizer:
    """T5's way: padding 0, ``</s>`` 1 at the end, ``<unk>`` 2."""
    tokenizer = _wordpiece(["<pad>", "</s>", "<unk>"], "<unk>", pieces)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.enable_truncation(max_length)
    return tokenizer


def _wordpiece(special: list[str], unknown: str, pieces: list[str]) -> Tokenizer:
    ids = {piece: i for i, piece in enumerate([*special, *pieces])}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token=unknown, max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.add_special_tokens(special)
    return tokenizer
