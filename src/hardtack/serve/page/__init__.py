"""The page at ``/``: what is served, and trying it. Three files of plain web technology, and nothing from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may do: run its own script, wear its own style, ask its own service. Nothing else, and in no frame."""

FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
"""Path → (file, media type)."""


@cache
def read(name: str) -> bytes:
    """One of the files."""
    return files(__name__).joinpath(name).read_bytes()
