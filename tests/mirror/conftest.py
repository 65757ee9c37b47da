"""A small repository that has something of everything: text, weights in LFS, folders, a card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.hub import lay_out

README = """---
license: apache-2.0
language:
- en
- no
tags: [sentence-similarity, tiny]
base_model: org/parent
---
# Tiny
"""

FILES: dict[str, str | bytes] = {
    "README.md": README,
    "config.json": json.dumps({"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 4}),
    "modules.json": "[]",
    "1_Pooling/config.json": "{}",
    "deep/er/notes.txt": "notes\n",
    "empty.txt": "",
    "model.safetensors": bytes(range(256)) * 40,
    "with space & ünïcode.txt": "odd\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return lay_out(tmp_path / "tiny", FILES)
