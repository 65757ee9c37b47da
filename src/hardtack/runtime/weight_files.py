"""Which of a model directory's files hold its weights: safetensors, a graph of OpenVINO's or ONNX's, or pickles.

Where a lock names the kind, that kind is read and no other; a directory without a lock is taken for what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hardtack.runtime.json_files import optional, read_object, unsupported
from hardtack.spec.words import WeightsKind

_WHOLE = {WeightsKind.SAFETENSORS: "model.safetensors", WeightsKind.PICKLE: "pytorch_model.bin"}
_GRAPHS: Mapping[WeightsKind, tuple[str, ...]] = {
    WeightsKind.OPENVINO: ("openvino/openvino_model.xml", "openvino_model.xml"),
    WeightsKind.ONNX: ("onnx/model.onnx", "model.onnx"),
}
_BESIDE = {WeightsKind.OPENVINO: "openvino_model.bin", WeightsKind.ONNX: "model.onnx?*"}
"""What a graph's own numbers lie in; ONNX has them in the same file up to 2 GB, and under several names beyond."""


def find_weights(
    directory: Path, folder: str, kind: WeightsKind | None, *, drawn: bool, ashore: bool = False
) -> tuple[WeightsKind, tuple[str, ...]]:
    """The kind of weights to read, and their files, relative to the model directory.

    Args:
        directory: the model's.
        folder: where its transformer lies, relative to that.
        kind: what the lock says; None: whatever is there, safetensors first if a family draws them, pickles never.
        drawn: whether a family draws the model from safetensors.
        ashore: whether they may be missing where the lock says their kind; then there are no files.

    Raises:
        UnsupportedModel: none that may be read are there.
    """
    order = (WeightsKind.SAFETENSORS, WeightsKind.OPENVINO, WeightsKind.ONNX)
    if not drawn:
        order = (*order[1:], order[0])
    for each in order if kind is None else (kind,):
        names = _graph(directory, folder, each) if each in _GRAPHS else _tensors(directory, folder, each)
        if names:
            return each, names
    if ashore and kind is not None:
        return kind, ()
    wanted = kind or WeightsKind.SAFETENSORS
    file = directory / folder / (_WHOLE.get(wanted) or _GRAPHS[wanted][0])
    raise unsupported(file, "", f"weights in {wanted}", "no such file, and no index")


def _graph(directory: Path, folder: str, kind: WeightsKind) -> tuple[str, ...]:
    for name in _GRAPHS[kind]:
        graph = Path(folder) / name
        if (directory / graph).is_file():
            beside = sorted((directory / graph).parent.glob(_BESIDE[kind]))
            return (str(graph), *(str(graph.with_name(file.name)) for file in beside))
    return ()


def _tensors(directory: Path, folder: str, kind: WeightsKind) -> tuple[str, ...]:
    """The one file, or the shards that its index names."""
    whole = _WHOLE[kind]
    if (directory / folder / whole).is_file():
        return (str(Path(folder) / whole),)
    index = directory / folder / f"{whole}.index.json"
    shards = optional(index, read_object(index), "weight_map", dict, {})
    names = sorted(set(map(str, shards.values())))
    for name in names:
        if Path(name).name != name or not (directory / folder / name).is_file():
            raise unsupported(index, "weight_map", "files beside it", name)
    return tuple(str(Path(folder) / name) for name in names)
