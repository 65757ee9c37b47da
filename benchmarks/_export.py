"""MiniLM's weights as fastembed and sentence-transformers' OpenVINO backend want them: run by the peers' Python.

python _export.py MODEL OUT
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path


def main(model: Path, out: Path) -> None:
    """Write ``OUT/fastembed`` and ``OUT/openvino``."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel

    class LastHidden(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = AutoModel.from_pretrained(model).eval()

        def forward(self, input_ids, attention_mask, token_type_ids):  # type: ignore[no-untyped-def]
            return self.body(input_ids, attention_mask, token_type_ids).last_hidden_state

    inputs = ["input_ids", "attention_mask", "token_type_ids"]
    example = torch.ones(2, 8, dtype=torch.long)
    free = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens")}
    shutil.copytree(model, out / "fastembed", ignore=shutil.ignore_patterns("*.safetensors"))
    # fastembed goes by this length, where sentence-transformers goes by a file of its own that says 256
    about = out / "fastembed/tokenizer_config.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"model_max_length": 256}))
    torch.onnx.export(
        LastHidden(), (example, example.clone(), torch.zeros_like(example)), str(out / "fastembed/model.onnx"),
        input_names=inputs, output_names=["last_hidden_state"], dynamic_shapes=dict.fromkeys(inputs, free), dynamo=True,
        external_data=False,
    )  # fmt: skip
    SentenceTransformer(str(model), backend="openvino").save_pretrained(str(out / "openvino"))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
