"""A read-only server of the Hugging Face Hub's protocol, fed from folders.

``HF_ENDPOINT`` set to its address is all that huggingface_hub, the ``hf`` command, transformers and
sentence-transformers need. From what is asked for to what is sent::

    served     what to serve: a folder as a revision of a repository
    locked     what locks and pantries name, as that
    scan       the folder as a table of hashed files
    content    repositories, revisions, files: frozen
    protocol   (content, request) to response; `messages` are those two, `describe` the JSON, `problems` what may go
               wrong, `page` the HTML
    server     sockets and threads
"""

from __future__ import annotations

from hardtack.mirror.content import Content
from hardtack.mirror.locked import from_locks, from_pantry
from hardtack.mirror.served import Served, parse_model_argument
from hardtack.mirror.server import LOOPBACK, PORT, MirrorServer, serve

__all__ = [
    "LOOPBACK",
    "PORT",
    "Content",
    "MirrorServer",
    "Served",
    "from_locks",
    "from_pantry",
    "parse_model_argument",
    "serve",
]
