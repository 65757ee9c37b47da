"""The figures of ``hardtack bench`` as a picture: bars in SVG, drawn with nothing but text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_FIGURES = (
    ("first_answer", "first answer, s (less is better)"),
    ("p50", "one short text, s (less is better)"),
    ("per_second", "texts or pairs a second"),
    ("peak_mb", "peak memory, MiB (less is better)"),
)
_ROW, _LEFT, _WIDTH = 22, 180, 420


def draw_picture(rows: Sequence[Mapping[str, Any]]) -> str:
    """One group of bars a figure, one bar a model, each group to its own scale.

    Args:
        rows: as :func:`hardtack.cli.bench.measure` returns them.
    """
    height = (len(rows) + 2) * _ROW * len(_FIGURES)
    size = f'width="{_LEFT + _WIDTH + 100}" height="{height}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">']
    y = _ROW
    for name, title in _FIGURES:
        parts.append(f'<text x="4" y="{y}" font-weight="bold">{escape(title)}</text>')
        largest = max((row[name] for row in rows), default=0) or 1
        for row in rows:
            y += _ROW
            length = _WIDTH * row[name] / largest
            label = escape(f"{row['key']} ({row['precision']})")
            parts.append(f'<text x="4" y="{y}">{label}</text>')
            parts.append(f'<rect x="{_LEFT}" y="{y - 13}" width="{length:.1f}" height="16" fill="#7a5c3e"/>')
            parts.append(f'<text x="{_LEFT + length + 6:.1f}" y="{y}">{row[name]:.4g}</text>')
        y += 2 * _ROW
    return "\n".join([*parts, "</svg>", ""])
