"""Models that bring code of their own, beside their weights or in another repository. Written without torch."""

from __future__ import annotations

import json
from pathlib import Path

from tests.models import make_bert

CODE = """
import os
import pathlib
from transformers import BertConfig, BertModel

if "ODD_CODE_RAN" in os.environ:
    pathlib.Path(os.environ["ODD_CODE_RAN"]).write_text(__file__)


class OddConfig(BertConfig):
    model_type = "odd"


class OddModel(BertModel):
    config_class = OddConfig

    def forward(self, *args, **kwargs):
        answer = super().forward(*args, **kwargs)
        answer.last_hidden_state = answer.last_hidden_state.flip(2)
        return answer
"""


def make_coded(directory: Path, repo: str = "", *, code: str = CODE) -> Path:
    """A BERT whose own code turns every vector round; ``repo``: where that code is, instead of beside the weights."""
    make_bert(directory, model_type="odd", architectures=["OddModel"])
    module = f"{repo}--modeling_odd" if repo else "modeling_odd"
    config = json.loads((directory / "config.json").read_text())
    config["auto_map"] = {
        "AutoConfig": f"{module}.OddConfig",
        "AutoModel": f"{module}.OddModel",
    }
    (directory / "config.json").write_text(json.dumps(config))
    if not repo:
        (directory / "modeling_odd.py").write_text(code)
    return directory


def make_code_repo(directory: Path, *, code: str = CODE) -> Path:
    """A repository of code and nothing else."""
    directory.mkdir(parents=True)
    (directory / "modeling_odd.py").write_text(code)
    return directory
