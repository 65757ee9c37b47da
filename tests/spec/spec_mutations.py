"""Texts that are almost TOML: golden files, damaged in the ways that files are, and in the ways that people try."""

from __future__ import annotations

from hypothesis import strategies as st

NASTY = [
    "9" * 5000,
    "0x" + "f" * 6000,
    "1e999",
    "inf",
    "nan",
    "-nan",
    "1979-05-27",
    "1979-05-27T07:32:00Z",
    "07:32:00",
    "[" * 2000,
    "[" * 2000 + "]" * 2000,
    "{a=" * 1500,
    "a." * 3000 + "a = 1\n",
    "[" + " " * 3000,
    "\ud800",
    "\\ud800",
    "\x00",
    "\\u0000",
    "\ufeff",
    "\r\n",
    "\r",
    "\u2028",
    "\x85",
    '"""',
    "'''",
    '"',
    "true",
    "{}",
    "[]",
    "[[]]",
    "[[model]]\n",
    "[model]\n",
    "[[models]]\n",
    "[models]\n",
    "[models.all.labels.x]\n",
    " = ",
    "#",
]


@st.composite
def mutated(draw: st.DrawFn, texts: list[str]) -> str:
    """One of the texts with up to three things wrong with it."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        lines = text.split("\n")
        line = draw(st.integers(0, len(lines) - 1))
        match draw(st.integers(0, 6)):
            case 0:  # a line is gone
                text = "\n".join(lines[:line] + lines[line + 1 :])
            case 1:  # a line is there twice
                text = "\n".join(lines[: line + 1] + lines[line:])
            case 2:  # two characters have changed places
                text = text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]
            case 3:  # something came between
                text = text[:at] + draw(st.sampled_from(NASTY)) + text[at:]
            case 4:  # a key has another value
                name, equals, _ = lines[line].partition(" = ")
                lines[line] = name + equals + draw(st.sampled_from(NASTY))
                text = "\n".join(lines)
            case 5:  # the rest is cut off
                text = text[:at]
            case 6:  # an editor of another system
                text = text.replace("\n", "\r\n")
    return text
