"""A plain page that says what a mirror serves and how to point a client at it. No script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from hardtack.mirror.content import Repo

POLICY = "default-src 'none'; style-src 'unsafe-inline'"

_FRAME = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>hardtack mirror</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
pre {{ background: #8882; padding: .7rem; overflow-x: auto }}
td, th {{ text-align: left; padding: .2rem 1.2rem .2rem 0; vertical-align: top }}
</style>
<h1>hardtack mirror</h1>
<p>A read-only copy of some repositories, in the Hugging Face Hub's protocol. Point a client at it:</p>
<pre>export HF_ENDPOINT={base}{token}
hf download {example}
hardtack pull</pre>
<p>Or in Python, with nothing but that variable set: <code>from_pretrained("{example}")</code>. Pin the commit below to
get these very bytes anywhere.</p>
<table>
<tr><th>Model</th><th>Revision</th><th>Commit</th><th>Files</th><th>Size</th><th></th></tr>
{rows}
</table>
</html>
"""


def render(repos: Iterable[Repo], base: str, *, wants_token: bool) -> str:
    """The page, in HTML.

    Args:
        repos: what to show.
        base: the address of the mirror as the reader used it.
        wants_token: whether clients have to set a token.
    """
    shown = list(repos)
    return _FRAME.format(
        base=escape(base),
        token="\nexport HF_TOKEN=…" if wants_token else "",
        example=escape(shown[0].id) if shown else "namespace/name",
        rows="\n".join(row for repo in shown for row in _rows(repo)),
    )


def _rows(repo: Repo) -> Iterable[str]:
    for commit, revision in repo.revisions.items():
        names = ", ".join(ref.removeprefix("refs/heads/") for ref, target in repo.refs.items() if target == commit)
        kind = "gated: with a token" if repo.gated else "private" if repo.private else ""
        size = sum(file.size for file in revision.files.values())
        cells = (repo.id, names, commit, str(len(revision.files)), f"{size / 1e6:.1f} MB", kind)
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
