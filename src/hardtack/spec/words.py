"""The few closed vocabularies that manifest, lock and loaders share.

Their values are what users write; nothing else belongs here.
"""

from __future__ import annotations

from enum import StrEnum


class Task(StrEnum):
    """What a model is for."""

    EMBED = "embed"
    RERANK = "rerank"
    CLASSIFY = "classify"
    FILES = "files"
    EXTERNAL = "external"

    @property
    def loads(self) -> bool:
        """Whether hardtack itself loads models of this task."""
        return self in (Task.EMBED, Task.RERANK, Task.CLASSIFY)

    @property
    def pulls(self) -> bool:
        """Whether there are bytes to lock and pull."""
        return self is not Task.EXTERNAL


class Precision(StrEnum):
    """The arithmetic a model is executed with; what it is stored in is the files' own affair."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"


class EngineName(StrEnum):
    """What runs the numbers."""

    AUTO = "auto"
    OPENVINO = "openvino"
    NATIVE = "native"
    TORCH = "torch"


class WeightsKind(StrEnum):
    """Which of a repository's sets of weights is locked."""

    SAFETENSORS = "safetensors"
    OPENVINO = "openvino"
    ONNX = "onnx"
    PICKLE = "pickle"


class Pooling(StrEnum):
    """How token vectors become one vector, by sentence-transformers' names."""

    MEAN = "mean"
    CLS = "cls"
    LASTTOKEN = "lasttoken"
    MAX = "max"
    MEAN_SQRT_LEN = "mean_sqrt_len_tokens"
    WEIGHTED_MEAN = "weightedmean"


class Similarity(StrEnum):
    """The score that a model's vectors are meant to be compared with, by sentence-transformers' names."""

    COSINE = "cosine"
    DOT = "dot"
    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"
