"""``modules.json`` and the folders it names: what sentence-transformers puts before and after a transformer.

Old and new releases write other class paths and other keys for the same things; both are read. Only modules that the
families draw are accepted, in the order they make sense in: Transformer → Pooling → Dense… → Normalize, or
StaticEmbedding → Normalize.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hardtack.runtime.json_files import optional, read_object, read_value, unsupported
from hardtack.runtime.layout import Dense
from hardtack.spec.words import Pooling

MODULES = "modules.json"

_OLD_POOLING_KEYS: Mapping[str, Pooling] = {
    "pooling_mode_cls_token": Pooling.CLS,
    "pooling_mode_max_tokens": Pooling.MAX,
    "pooling_mode_mean_tokens": Pooling.MEAN,
    "pooling_mode_mean_sqrt_len_tokens": Pooling.MEAN_SQRT_LEN,
    "pooling_mode_weightedmean_tokens": Pooling.WEIGHTED_MEAN,
    "pooling_mode_lasttoken": Pooling.LASTTOKEN,
}
"""What releases before 5.4 wrote: one true or false each."""

_KEYS_OF_NO_EFFECT: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "Pooling": {"include_prompt": (True, False)},
    "Dense": {
        "module_input_name": ("sentence_embedding",),
        "module_output_name": ("sentence_embedding", None),
        "use_residual": (False,),
    },
    "Normalize": {
        "module_input_name": ("sentence_embedding",),
        "module_output_name": ("sentence_embedding", None),
    },
}
"""Keys that change the vectors unless they have one of these values."""


@dataclass(frozen=True)
class SentenceModules:
    """What ``modules.json`` says.

    Attributes:
        folder: where the transformer or the static embedding lies, relative to the model directory.
        static: it is a static embedding.
        pooling: the pooling, where the modules name one.
        dense: Dense modules, in order.
        normalize: whether there is a Normalize module.
        include_prompt: whether the tokens of a prompt are pooled with those of the text.
    """

    folder: str = "."
    static: bool = False
    pooling: Pooling | None = None
    dense: tuple[Dense, ...] = ()
    normalize: bool = False
    include_prompt: bool = True


def read_modules(directory: Path, *, ashore: bool = False) -> SentenceModules | None:
    """Read ``modules.json`` and what it names; None where there is none.

    Args:
        directory: the model's.
        ashore: whether weights may be missing.

    Raises:
        UnsupportedModel: a module, an order or a setting that is not drawn here; names file and key.
        Mismatch: a file is not JSON.
    """
    file = directory / MODULES
    modules = read_value(file)
    if modules is None:
        return None
    if not isinstance(modules, list) or not modules:
        raise unsupported(file, "", "a list of modules", repr(modules)[:100])
    kinds, folders = [], []
    for index, module in enumerate(modules):
        match module:
            case {"type": str(kind), "path": str(path)}:
                kinds.append(_kind(file, index, kind))
                folders.append(_inside(file, index, path))
            case _:
                raise unsupported(file, f"[{index}]", "type and path", repr(module)[:100])
    return _understand(file, kinds, folders, ashore)


def first_folder(directory: Path) -> str:
    """Where ``modules.json`` has the transformer, whatever else it names; the directory itself where there is none.

    Raises:
        UnsupportedModel: the first module has no folder, or one outside the model's.
        Mismatch: the file is not JSON.
    """
    file = directory / MODULES
    match read_value(file):
        case None:
            return "."
        case [{"path": str(path)}, *_]:
            return _inside(file, 0, path)
        case other:
            raise unsupported(file, "[0].path", "a folder of the model", repr(other)[:100])


def _kind(file: Path, index: int, class_path: str) -> str:
    """The class's own name; its module has moved between releases, its name has not."""
    package, _, name = class_path.rpartition(".")
    if package.split(".")[0] != "sentence_transformers":
        raise unsupported(file, f"[{index}].type", "a class of sentence_transformers", class_path)
    return name


def _inside(file: Path, index: int, path: str) -> str:
    relative = PurePosixPath(path or ".")
    if relative.is_absolute() or ".." in relative.parts:
        raise unsupported(file, f"[{index}].path", "a folder of the model", path)
    return str(relative)


def _understand(file: Path, kinds: list[str], folders: list[str], ashore: bool) -> SentenceModules:
    directory = file.parent
    found = SentenceModules(folder=folders[0], static=kinds[0] == "StaticEmbedding")
    if kinds[0] not in ("Transformer", "StaticEmbedding"):
        raise unsupported(file, "[0].type", "Transformer or StaticEmbedding", kinds[0])
    pooling: Pooling | None = None
    include_prompt = True
    dense: list[Dense] = []
    for index, (kind, folder) in enumerate(zip(kinds[1:], folders[1:], strict=True), start=1):
        last = index == len(kinds) - 1
        if kind == "Pooling" and index == 1 and not found.static:
            pooling, include_prompt = _read_pooling(directory / folder / "config.json")
        elif kind == "Dense" and pooling is not None:
            dense.append(_read_dense(directory, folder, ashore))
        elif kind == "Normalize" and last and (pooling is not None or found.static):
            # Its folder is often not on the Hub, having nothing to say: not a missing file.
            _refuse_effects("Normalize", directory / folder / "config.json")
        else:
            order = "StaticEmbedding, Normalize" if found.static else "Transformer, Pooling, Dense…, Normalize"
            raise unsupported(file, f"[{index}].type", order, ", ".join(kinds))
    normalize = kinds[-1] == "Normalize"
    return SentenceModules(found.folder, found.static, pooling, tuple(dense), normalize, include_prompt)


def _read_pooling(file: Path) -> tuple[Pooling, bool]:
    """The pooling, and whether the tokens of a prompt count."""
    config = _refuse_effects("Pooling", file)
    if not config:
        raise unsupported(file, "", "a pooling's config", "no such file, or an empty one")
    modes: Any = config.get("pooling_mode")
    if modes is None:
        modes = [str(mode) for key, mode in _OLD_POOLING_KEYS.items() if config.get(key)] or ["mean"]
        key = ", ".join(key for key in _OLD_POOLING_KEYS if config.get(key))
    else:
        key = "pooling_mode"
        modes = [modes] if isinstance(modes, str) else modes
    if not isinstance(modes, list) or len(modes) != 1 or modes[0] not in set(Pooling):
        raise unsupported(file, key, "one of " + ", ".join(Pooling), repr(modes))
    return Pooling(modes[0]), optional(file, config, "include_prompt", bool, True)


def _read_dense(directory: Path, folder: str, ashore: bool) -> Dense:
    file = directory / folder / "config.json"
    config = _refuse_effects("Dense", file)
    weights = PurePosixPath(folder) / "model.safetensors"
    if not ashore and not (directory / weights).is_file():
        raise unsupported(directory / weights, "", "the weights of a Dense module", "no such file")
    act = optional(file, config, "activation_function", str, "torch.nn.modules.activation.Tanh")
    if not act.startswith("torch.nn."):
        raise unsupported(file, "activation_function", "a class of torch.nn", act)
    return Dense(
        weights=str(weights),
        inputs=_required(file, config, "in_features"),
        outputs=_required(file, config, "out_features"),
        bias=optional(file, config, "bias", bool, True),
        activation=act.rpartition(".")[2].lower(),
    )


def _required(file: Path, config: Mapping[str, Any], key: str) -> int:
    value = optional(file, config, key, int, 0)
    if value <= 0:
        raise unsupported(file, key, "a number of features", "nothing" if key not in config else repr(config[key]))
    return value


def _refuse_effects(kind: str, file: Path) -> dict[str, Any]:
    config = read_object(file)
    for key, harmless in _KEYS_OF_NO_EFFECT[kind].items():
        if key in config and config[key] not in harmless:
            raise unsupported(file, key, " or ".join(map(repr, harmless)), repr(config[key]))
    return config
