"""What a slim pantry keeps of a model: the files that the engine reads, and the licence.

Tokenizer vocabularies in other libraries' forms, processors' settings and second sets of weights stay ashore; a model
that another library runs (``files``, the torch engine, remote code) is kept whole. Where the lock asks for the native
engine and has a build for it, the weights themselves stay ashore, too. What is kept follows from the model's own
layout, so that a file which decides an answer cannot be forgotten; ``bake`` loads the model from just these files
before anything is written, if the engine that reads them can run there.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from hardtack.runtime.builds import tiles_of
from hardtack.runtime.read_layout import read_layout
from hardtack.spec.digest import tree_digest
from hardtack.spec.lock import LockedModel
from hardtack.spec.words import EngineName

_READ = re.compile(
    r"(?:.*/)?(?:config|modules|config_sentence_transformers|sentence_[\w-]+_config|tokenizer_config)\.json"
    r"|chat_template\.jinja"
)
_INDEX = "model.safetensors.index.json"  # of weights in several files; without them it misleads
_TERMS = re.compile(r"(?:LICEN[CS]E|NOTICE|COPYING|USE_POLICY)[\w.-]*", re.IGNORECASE)


def slimmed(model: LockedModel, source: Path) -> LockedModel:
    """The model with fewer files, and the digest of just those.

    Args:
        model: from the lock.
        source: the directory where its files lie.

    Raises:
        UnsupportedModel: its files ask for what no engine here does.
    """
    if not model.task.loads or model.engine is EngineName.TORCH or model.trust_remote_code or model.code:
        return model
    layout = read_layout(source, model.task, overrides=model.overrides)
    weights = {*layout.weights, *(dense.weights for dense in layout.dense)}
    ashore = model.engine is EngineName.NATIVE and tiles_of(model) is not None

    def is_kept(path: str) -> bool:
        if path in weights or path.endswith(_INDEX):
            return not ashore
        return bool(path == layout.tokenizing.file or _READ.fullmatch(path) or _TERMS.fullmatch(path))

    files = tuple(file for file in model.files if is_kept(file.path))
    return replace(model, files=files, digest=tree_digest((file.path, file.sha256) for file in files))
