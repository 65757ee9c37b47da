"""Texts in, token ids out: ``tokenizer.json`` as the model means it to be used.

The file's own truncation and padding are set aside: all-MiniLM-L6-v2's cuts at 128 tokens where the model's
``sentence_bert_config.json`` says 256, and sentence-transformers goes by the latter. Padding is the batch's affair. A
pair is given to the tokenizer as a pair, never as one text with a separator spelled out in it: ``[SEP]`` is BERT's,
XLM-R's is ``</s></s>``.

Reads no file: the bytes are handed in, so that the bytes that were hashed are the bytes that are parsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer, normalizers

from hardtack.errors import Misused, UnsupportedModel
from hardtack.runtime.layout import Tokenizing
from hardtack.runtime.on_demand import on_demand

Ids = NDArray[np.int64]
Pair = tuple[str, str]
_BRIEF = 500  # characters
_FAR = 4  # characters for each token that is kept, from which on both parts of a pair count as long


@dataclass(frozen=True, slots=True)
class Tokenized:
    """One text or pair: its ids and token types, both ``(T,)`` int64, and whether anything was cut off."""

    ids: Ids
    types: Ids
    cut: bool = False

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Piece:
    """One token, spelled out.

    Attributes:
        id: its id.
        text: as the vocabulary has it.
        special: whether it was added, and is not of the text.
        start: where it begins in the text, in characters.
        stop: where it ends.
    """

    id: int
    text: str
    special: bool
    start: int
    stop: int


class Tokens:
    """A tokenizer, set up as a layout says. Safe to call from several threads: nothing changes after it is made.

    Args:
        data: the bytes of ``tokenizer.json``.
        tokenizing: lengths and padding, from the layout.
        vocabulary: rows of the model's embedding table, or None where they are not known.
        where: the file, for messages.
        cut: whether texts are cut to ``tokenizing.max_length``; where not, the caller sees to it.

    Raises:
        UnsupportedModel: the bytes are no tokenizer, or no text at all fits in the length.
    """

    def __init__(
        self, data: bytes, tokenizing: Tokenizing, *, vocabulary: int | None, where: str, cut: bool = True
    ) -> None:
        self.tokenizing = tokenizing
        self._vocabulary = vocabulary
        self._where = where
        self._cut = cut
        self._partly = None
        try:
            self._partly = on_demand(data, self._prepare)
            if self._partly is None:
                self._tokenizer: Tokenizer = Tokenizer.from_buffer(data)
                self._prepare(self._tokenizer)
        except ValueError as problem:
            raise UnsupportedModel(
                "the tokenizer cannot be understood", where=where, expected="tokenizer.json as `tokenizers` writes it",
                found=str(problem), mend="pip install --upgrade tokenizers",
            ) from problem  # fmt: skip

    def _prepare(self, tokenizer: Tokenizer) -> None:
        """Set a tokenizer up as the layout says."""
        tokenizing = self.tokenizing
        tokenizer.no_padding()
        tokenizer.no_truncation()
        if tokenizing.lowercase:
            # before all else, as sentence-transformers does for `do_lower_case`
            own = tokenizer.normalizer
            tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *([own] if own else [])])
        if self._cut and tokenizing.max_length is not None:
            # tokenizers does not cut at all, and says nothing, where the special tokens alone fill the length
            least = 1 + (tokenizer.num_special_tokens_to_add(False) if tokenizing.special else 0)
            if tokenizing.max_length < least:
                raise UnsupportedModel(
                    "the greatest length leaves no room for a text", where=self._where,
                    expected=f"{least} tokens or more", found=str(tokenizing.max_length),
                    mend="hardtack lock  # after mending `max-length`",
                )  # fmt: skip
            tokenizer.enable_truncation(tokenizing.max_length, strategy="longest_first")

    def _for(self, texts: Sequence[str]) -> tuple[Tokenizer, Ids | None]:
        """The tokenizer for some texts, and what its ids stand for, where not for themselves."""
        return (self._tokenizer, None) if self._partly is None else self._partly.for_texts(texts)

    def _whole(self) -> Tokenizer:
        """The tokenizer with its whole vocabulary."""
        return self._tokenizer if self._partly is None else self._partly.whole()

    def is_brief(self, item: str | Pair) -> bool:
        """Whether tokenizing a text or pair takes tens of microseconds: less than handing it to another thread does."""
        size = len(item) if isinstance(item, str) else sum(map(len, item))
        return size <= _BRIEF and (self._partly is None or self._partly.complete)

    def special_count(self, *, pair: bool) -> int:
        """How many special tokens a text, or a pair, is given."""
        return int(self._for(())[0].num_special_tokens_to_add(pair)) if self.tokenizing.special else 0

    def prompt_length(self, prompt: str) -> int:
        """How many of a text's tokens are its prompt's: as sentence-transformers counts them, an end token left out."""
        encoding = self._encode([prompt])[0][0]
        return len(encoding.ids) - (1 if encoding.special_tokens_mask[-1:] == [1] else 0)

    def texts(self, texts: Sequence[str]) -> list[Tokenized]:
        """Tokenize texts, each one cut to the greatest length.

        Raises:
            Misused: one is no string, or holds half of a surrogate pair, which no encoding can write.
            UnsupportedModel: the tokenizer gives an id that the model has no row for.
        """
        check_texts(texts)
        encodings, stands_for = self._encode(texts)
        return [self._take(encoding, stands_for) for encoding in encodings]

    def pairs(self, pairs: Sequence[Pair]) -> list[Tokenized]:
        """Tokenize pairs, each one cut to the greatest length by shortening whichever part is longer.

        Raises:
            Misused, UnsupportedModel: as for :meth:`texts`.
        """
        for pair in pairs:
            check_texts(pair)
        encodings, stands_for = self._encode([self._bounded(pair) for pair in pairs])
        return [self._take(encoding, stands_for) for encoding in encodings]

    def _bounded(self, pair: Pair) -> Pair:
        """A pair, each part cut far beyond what can be kept, where both are long.

        The tokenizer makes an encoding of every piece of what it cuts off one part with every piece of the other: of
        two books it makes millions. See ``truncate_encodings`` and the template's ``merge`` in
        https://github.com/huggingface/tokenizers/tree/main/tokenizers/src
        """
        first, second = pair
        longest = self.tokenizing.max_length
        if not self._cut or longest is None or min(len(first), len(second)) <= _FAR * longest:
            return (first, second)
        for number, text in enumerate(pair):
            _check_encodable(text, number)
        tokenizer, _ = self._for(pair)
        one, other = (tokenizer.encode(text, add_special_tokens=self.tokenizing.special) for text in pair)
        # the part that is longer stays so: where both are cut in half, it keeps the odd token
        more = _count(one) - _count(other)
        return (_head(first, one, 2 if more > 0 else 1), _head(second, other, 2 if more < 0 else 1))

    def spell(self, text: str, *, special: bool = True) -> list[Piece]:
        """Every token of a text, whatever its length: nothing is cut.

        Raises:
            Misused: as for :meth:`texts`.
        """
        check_texts([text])
        _check_encodable(text, 0)
        encoding = self._whole().encode(text, add_special_tokens=special and self.tokenizing.special)
        first = list(_pieces(encoding))
        body = [piece for piece in first if not piece.special]
        for rest in encoding.overflowing:  # each with special tokens of its own
            body += [piece for piece in _pieces(rest) if not piece.special]
        begin = next((number for number, piece in enumerate(first) if not piece.special), len(first))
        end = next((number for number in range(len(first), begin, -1) if not first[number - 1].special), begin)
        return first[:begin] + body + first[end:]

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """The text of tokens; ids that the vocabulary does not have are passed over."""
        return str(self._whole().decode(list(ids), skip_special_tokens=skip_special))

    def _encode(self, inputs: Sequence[str] | Sequence[Pair]) -> tuple[list[Encoding], Ids | None]:
        try:
            tokenizer, stands_for = self._for(
                [text for item in inputs for text in ((item,) if isinstance(item, str) else item)]
            )
            # lets go of the interpreter while it works, and leaves out the offsets that nobody reads
            encoded: list[Encoding] = tokenizer.encode_batch_fast(
                list(inputs), add_special_tokens=self.tokenizing.special
            )
        except TypeError:
            # the library says the same of half a surrogate as of a number; find out which text it was
            for number, item in enumerate(inputs):
                for text in (item,) if isinstance(item, str) else item:
                    _check_encodable(text, number)
            raise
        return encoded, stands_for

    def _take(self, encoding: Encoding, stands_for: Ids | None) -> Tokenized:
        ids = np.array(encoding.ids, dtype=np.int64)
        if stands_for is not None:
            ids = stands_for[ids]
        if self._vocabulary is not None and len(ids) and int(ids.max()) >= self._vocabulary:
            worst = int(ids.max())
            whole = self._whole()
            raise UnsupportedModel(
                "the tokenizer gives an id that the model has no row for", where=self._where,
                expected=f"ids below {self._vocabulary}",
                found=f"{worst} for {whole.id_to_token(worst)!r}", mend="hardtack verify",
            )  # fmt: skip
        return Tokenized(ids, np.array(encoding.type_ids, dtype=np.int64), bool(encoding.overflowing))


def _count(encoding: Encoding) -> int:
    """Tokens of a text without the special ones, those that were cut off among them."""
    return sum(each.special_tokens_mask.count(0) for each in (encoding, *encoding.overflowing))


def _head(text: str, encoding: Encoding, pieces: int) -> str:
    """A text up to the end of so many pieces of what was cut off."""
    rest = encoding.overflowing
    return text[: max(stop for _, stop in rest[pieces - 1].offsets)] if len(rest) > pieces else text


def _pieces(encoding: Encoding) -> Iterator[Piece]:
    rows = zip(encoding.ids, encoding.tokens, encoding.special_tokens_mask, encoding.offsets, strict=True)
    for number, text, special, (start, stop) in rows:
        yield Piece(number, text, bool(special), start, stop)


def as_texts(inputs: object) -> list[str]:
    """One text, or several, as a list of them.

    Raises:
        Misused: it is neither; a mapping would give its keys.
    """
    if isinstance(inputs, str):
        return [inputs]
    if not isinstance(inputs, Iterable) or isinstance(inputs, Mapping | bytes):
        raise Misused(
            "the input is neither a text nor a sequence of texts", where="inputs", expected="str or a sequence of str",
            found=_kind(inputs), mend="pass the text itself, not what holds it",
        )  # fmt: skip
    texts = list(inputs)
    check_texts(texts)
    return texts


def check_texts(texts: Sequence[object]) -> None:
    """Refuse anything that is not a string, naming the first one.

    Raises:
        Misused: the tokenizer would take a tuple for a pair and refuse a number without saying which.
    """
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise Misused(
                "a text is not a string", where=f"input {number}", expected="str", found=_kind(text),
                mend="pass the text itself, not what holds it",
            )  # fmt: skip


def _check_encodable(text: str, number: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise Misused(
            "a text holds half of a surrogate pair", where=f"input {number}, character {problem.start}",
            expected="text that UTF-8 can write", found=repr(text[problem.start]),
            mend="text.encode('utf-8', 'replace').decode()",
        ) from None  # fmt: skip


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__
