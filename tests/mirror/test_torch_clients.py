"""transformers and sentence-transformers load a model by its name from a mirror, as they would from its folder."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from hardtack.mirror import Served
from tests.hub import FixtureHub, client_environment

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(importlib.util.find_spec("sentence_transformers") is None, reason="needs the [torch] extra"),
]

MAKE = """
    import json, sys
    from pathlib import Path
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    top = Path(sys.argv[1])
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "light", "##s", "turn", "on", "at", "seven"]
    top.mkdir()
    (top / "vocab.txt").write_text("\\n".join(words))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(top / "bert")
    BertTokenizerFast(vocab_file=str(top / "vocab.txt")).save_pretrained(top / "bert")
    transformer = Transformer(str(top / "bert"))
    SentenceTransformer(modules=[transformer, Pooling(16)]).save(str(top / "tiny"))
    print("null")
"""

LOAD = """
    import json, sys
    from sentence_transformers import SentenceTransformer
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    name = sys.argv[1]
    texts = ["lights turn on", "at seven"]
    print(json.dumps({
        "type": AutoConfig.from_pretrained(name).model_type,
        "ids": AutoTokenizer.from_pretrained(name)(texts)["input_ids"],
        "sum": float(sum(p.double().abs().sum() for p in AutoModel.from_pretrained(name).parameters())),
        "vectors": SentenceTransformer(name).encode(texts).tolist(),
    }))
"""


def python(code: str, *arguments: str, environment: dict[str, str], under: tuple[str, ...] = ()) -> Any:
    done = subprocess.run(
        [*under, sys.executable, "-c", dedent(code), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_model_by_name_is_the_model_in_the_folder(tmp_path: Path) -> None:
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "none")}
    python(MAKE, str(tmp_path / "made"), environment=offline)
    folder = tmp_path / "made" / "tiny"
    with FixtureHub(Served("org/tiny", folder)) as hub:
        environment = client_environment(hub.url, tmp_path / "home")
        by_name = python(LOAD, "org/tiny", environment=environment)
        assert hub.count("GET", "model.safetensors") == 1
        assert {each.status for each in hub.seen} <= {200, 404}
    assert by_name == python(LOAD, str(folder), environment=offline)
    assert by_name["type"] == "bert"
    # And all of it is in the cache now. No mirror runs any more, and the kernel counts who would have asked one.
    report = tmp_path / "report.json"
    guarded = (sys.executable, "-m", "hardtack", "run", "--json", str(report), "--")
    assert by_name == python(LOAD, "org/tiny", environment=environment, under=guarded)
    assert [each for each in json.loads(report.read_text())["attempts"] if each["leaves"]] == []
