"""One embedder in a process of its own, told by standard input what to do: run by the Python of its environment.

    python _worker.py KIND FOLDER TEXTS

KIND is a function of this file, FOLDER the model, TEXTS a JSON list. Each line of input is answered by one line of
output. Apart from each other, no contestant's idle threads spin on the CPUs of the one that is being measured. It
imports nothing of this package, since the peers' environments have none of it.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Encode = Callable[[Sequence[str]], Any]


def hardtack_fp32(folder: str) -> Encode:
    """Our engine in fp32."""
    return _hardtack(folder, "fp32")


def hardtack_auto(folder: str) -> Encode:
    """Our engine as it chooses itself, without a build."""
    return _hardtack(folder, "auto")


def hardtack_built(folder: str) -> Encode:
    """As `hardtack build` finds best on this CPU: the model of that pantry."""
    from hardtack.loaders import load_embedder
    from hardtack.settings import read_settings

    return load_embedder("emb", settings=read_settings({"HARDTACK_PANTRY": folder})).encode


def sentence_transformers(folder: str) -> Encode:
    """What people run: torch in fp32."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(os.cpu_count() or 1)
    return SentenceTransformer(folder, device="cpu").encode


def sentence_transformers_bf16(folder: str) -> Encode:
    """Torch in bf16."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(os.cpu_count() or 1)
    return SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": torch.bfloat16}).encode


def sentence_transformers_openvino(folder: str) -> Encode:
    """Its OpenVINO backend, exported before, in the precision that OpenVINO chooses."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(folder, device="cpu", backend="openvino").encode


def fastembed(folder: str) -> Encode:
    """Fastembed on an ONNX export of the same weights."""
    import numpy as np
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        model="bench/minilm", pooling=PoolingType.MEAN, normalization=True, sources=ModelSource(hf="bench/minilm"),
        dim=384, model_file="model.onnx",
    )  # fmt: skip
    model = TextEmbedding("bench/minilm", specific_model_path=folder, threads=os.cpu_count())
    # by its default, 256 texts of mixed lengths at once, it needs over 20 GB: https://github.com/qdrant/fastembed/issues/222
    return lambda texts: np.asarray(list(model.embed(list(texts), batch_size=32)))


def _hardtack(folder: str, precision: str) -> Encode:
    from hardtack.runtime.embedder import Embedder
    from hardtack.runtime.load import Options, load_model
    from hardtack.spec.words import Precision, Task

    options = Options(precision=Precision(precision))
    model = load_model(Path(folder), Task.EMBED, locked=None, source="path", options=options)
    assert isinstance(model, Embedder)
    return model.encode


def main(kind: str, folder: str, texts_file: str) -> None:
    """Load, say so, and answer."""
    texts = json.loads(Path(texts_file).read_text())
    encode: Encode = globals()[kind](folder)
    encode(texts[:64])  # warm
    print("ready", flush=True)
    for line in sys.stdin:
        verb, _, argument = line.strip().partition(" ")
        if verb == "rate":
            began = time.perf_counter()
            encode(texts)
            print(len(texts) / (time.perf_counter() - began), flush=True)
        elif verb == "latency":
            took = []
            for number in range(100):
                began = time.perf_counter()
                encode([f"Light number {number} turns on at 7 AM"])
                took.append(time.perf_counter() - began)
            print(statistics.median(took) * 1000, flush=True)
        elif verb == "save":
            import numpy as np

            np.save(argument, np.asarray(encode(texts), np.float32))
            print("saved", flush=True)
        elif verb == "peak":
            # not ru_maxrss: that begins with what the process had that started this one
            found = re.search(r"VmHWM:\s+([0-9]+) kB", Path("/proc/self/status").read_text())
            print(int(found[1]) * 1024 / 1e6 if found else 0.0, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
