"""A prompt with its blanks filled, and cut to fit without losing its end.

A blank is ``{name}``. Only blanks of the *template* are filled, all at once: braces in a user's text mean nothing, so
no text can name another's blank, and ``str.format`` never sees one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from hardtack.errors import Misused
from hardtack.runtime.tokens import Tokens

TEXT = "text"
_BLANK = re.compile(r"\{([A-Za-z0-9_.-]+)\}")


def check_prompt(group: str, prompt: str, known: Iterable[str]) -> None:
    """Refuse a prompt that cannot be filled.

    Args:
        group: the group it is for.
        prompt: the template.
        known: groups that are answered before it.

    Raises:
        Misused: it has no ``{text}``, has it twice, or has a blank that nothing fills.
    """
    names = _BLANK.findall(prompt)
    allowed = [TEXT, *known]
    for name in names:
        if name not in allowed:
            raise Misused(
                f"a prompt has a blank that nothing fills: {{{name}}}", where=f"the prompt of {group!r}",
                expected=", ".join(f"{{{each}}}" for each in allowed), found=f"{{{name}}}",
                mend="hardtack lock  # after mending the prompt in hardtack.toml",
            )  # fmt: skip
    if names.count(TEXT) != 1:
        raise Misused(
            "a prompt has just one place for the text", where=f"the prompt of {group!r}", expected="{text}, once",
            found=prompt, mend="hardtack lock  # after mending the prompt in hardtack.toml",
        )  # fmt: skip


def fill(prompt: str, text: str, answers: Mapping[str, str]) -> tuple[str, str, str]:
    """What stands before the text, the text, and what stands after it, every other blank filled."""
    before, _, after = prompt.partition("{" + TEXT + "}")
    return _fill(before, answers), text, _fill(after, answers)


def fill_pair(template: str, pair: tuple[str, str]) -> str:
    """A pair as one text, by a template with ``{query}`` and ``{passage}``; braces in the texts mean nothing."""
    parts = {"query": pair[0], "passage": pair[1]}
    return _BLANK.sub(lambda blank: parts[blank[1]], template)


def _fill(part: str, answers: Mapping[str, str]) -> str:
    return _BLANK.sub(lambda blank: answers[blank[1]], part)


def fit(parts: tuple[str, str, str], tokens: Tokens, longest: int | None) -> str:
    """The whole prompt, the text in its middle cut at its end until all of it fits.

    Cutting the prompt itself would take off its last words, "Category:", and the model would be asked nothing.

    Raises:
        Misused: what stands around the text is too long by itself.
    """
    before, text, after = parts

    def cut(characters: int) -> str:
        return before + text[:characters] + after

    def fits(characters: int) -> bool:
        return longest is None or len(tokens.texts([cut(characters)])[0]) <= longest

    # grow from what surely is not far off, so that a book is never tokenized whole to keep a page of it
    high = len(text) if longest is None else min(len(text), 4 * longest)
    while fits(high):
        if high == len(text):
            return cut(high)
        high = min(len(text), 2 * high)
    if not fits(0):
        raise Misused(
            "a prompt is too long for the model before any text is in it", where=before.strip() or after.strip(),
            expected=f"{longest} tokens or fewer", found=str(len(tokens.texts([cut(0)])[0])),
            mend="hardtack lock  # after shortening the prompt in hardtack.toml",
        )  # fmt: skip
    low = 0
    while high - low > 1:  # `low` always fits and `high` does not: what is returned was counted
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return cut(low)
