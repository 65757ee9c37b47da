"""Graphs as repositories ship them: IR and ONNX of tiny models, written without torch and without the onnx package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hardtack.runtime.engines.openvino_import import import_openvino
from hardtack.runtime.families import draw, heads
from hardtack.runtime.read_layout import read_layout
from hardtack.runtime.weights import open_weights
from hardtack.spec.words import Task

OUTPUTS = {Task.EMBED: "last_hidden_state"}


def ship_ir(directory: Path, task: Task, *, folder: str = "openvino", output: str | None = None) -> None:
    """Put an IR in the place of a model directory's safetensors: of its tokens, its logits, or its whole vectors."""
    ov = import_openvino()
    layout = read_layout(directory, task)
    weights = open_weights(layout)
    with pytest.MonkeyPatch.context() as patch:
        if output != "sentence_embedding":
            patch.setattr(heads, "embedding", lambda layout, weights, tokens, inputs: [tokens])
        model = draw(layout, weights)
    model.outputs[0].get_tensor().set_names({output or OUTPUTS.get(task, "logits")})
    model = ov.Model([model.get_results()[0]], model.get_parameters(), "shipped")
    (directory / folder).mkdir(exist_ok=True)
    ov.save_model(model, str(directory / folder / "openvino_model.xml"), compress_to_fp16=False)
    (directory / "model.safetensors").unlink()


def write_onnx(file: Path, table: NDArray[np.float32], *, output: str = "last_hidden_state", data: str = "") -> None:
    """An ONNX graph that looks tokens up in a table ``(V, H)``; ``data`` names a file beside it that holds the table.

    https://github.com/onnx/onnx/blob/main/onnx/onnx.proto has the numbers of the fields.
    """
    tensor = _number(1, table.shape[0]) + _number(1, table.shape[1]) + _number(2, 1) + _text(8, "table")
    if data:
        entries = {"location": data, "offset": "0", "length": str(table.nbytes)}
        for key, value in entries.items():
            tensor += _bytes(13, _text(1, key) + _text(2, value))
        tensor += _number(14, 1)
        (file.parent / Path(data).name).write_bytes(table.tobytes())
    else:
        tensor += _bytes(9, table.tobytes())
    node = _text(1, "table") + _text(1, "input_ids") + _text(2, output) + _text(4, "Gather")
    graph = _bytes(1, node) + _text(2, "tiny") + _bytes(5, tensor)
    for name in ("input_ids", "attention_mask"):
        graph += _bytes(11, _value(name, 7, ("batch", "tokens")))
    graph += _bytes(12, _value(output, 1, ("batch", "tokens", table.shape[1])))
    file.write_bytes(_number(1, 8) + _bytes(7, graph) + _bytes(8, _text(1, "") + _number(2, 14)))


def _value(name: str, kind: int, shape: tuple[str | int, ...]) -> bytes:
    dims = b"".join(_bytes(1, _text(2, d) if isinstance(d, str) else _number(1, d)) for d in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, dims)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])
