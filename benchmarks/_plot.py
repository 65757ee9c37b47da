"""The targets of a run as a picture: how far each lies from its goal, on a scale of doublings. SVG, drawn as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from benchmarks.measure import Target

_ROW, _LEFT, _HALF = 24, 470, 160
_MOST = 3.0  # doublings that are drawn to either side
_GREEN, _RED = "#3a7d44", "#b3412e"


def draw(targets: Sequence[Target], title: str) -> str:
    """One bar a target, from the goal's line: to the right of it reached, to the left of it missed."""
    middle, height = _LEFT + _HALF, (len(targets) + 3) * _ROW
    size = f'width="{middle + _HALF + 90}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="8" y="{_ROW - 6}" font-weight="bold">{escape(title)}</text>',
        f'<text x="{middle}" y="{_ROW * 2 - 8}" text-anchor="middle" fill="#555">goal</text>',
    ]
    for number, target in enumerate(targets):
        y = (number + 2) * _ROW
        far = max(-_MOST, min(_MOST, math.log2(target.score))) if target.score > 0 else -_MOST
        length = abs(far) / _MOST * _HALF
        x = middle if far >= 0 else middle - length
        colour = _GREEN if target.reached else _RED
        parts.append(f'<text x="8" y="{y + 14}">{escape(target.name)}</text>')
        parts.append(f'<rect x="{x:.1f}" y="{y + 2}" width="{max(length, 1):.1f}" height="16" fill="{colour}"/>')
        parts.append(f'<text x="{middle + _HALF + 8}" y="{y + 14}">{target.figure:.2f} {escape(target.unit)}</text>')
    parts.append(f'<path d="M{middle} {_ROW * 2 - 4}V{height - _ROW + 6}" stroke="#333"/></svg>')
    return "\n".join([*parts, ""])
