"""Which of a repository's files are locked: one set of weights, config, tokenizer, module folders; nothing else.

A repository holds its weights many times over (977 MB for 91 MB of all-MiniLM-L6-v2). The choice is a pure function of
the listing, so that anybody can repeat it, and choosing from what was chosen changes nothing. Licence files come along,
because whoever ships a model must ship its terms. Nothing is downloaded here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from posixpath import normpath

from hardtack.spec.words import Task, WeightsKind

# At the root of a repository, or of a sentence-transformers module folder.
_SMALL = re.compile(
    r"(?:config|generation_config|modules|config_sentence_transformers|sentence_[\w-]+_config|openvino_config"
    r"|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|preprocessor_config|processor_config)\.json"
    r"|vocab\.txt|merges\.txt|bpe\.codes|chat_template\.jinja|[\w.-]*\.(?:model|spm|tiktoken)"
)
_LICENSE = re.compile(r"(?:LICEN[CS]E|NOTICE|COPYING|USE_POLICY)[\w.-]*", re.IGNORECASE)
_GIT = re.compile(r"(?:.*/)?\.git(?:attributes|ignore|keep)")


@dataclass(frozen=True)
class _Form:
    """One whole set of files that weights come in: every pattern of ``needs`` has a match, one of ``also`` may."""

    needs: tuple[str, ...]
    also: str = ""


# The first form that is there whole wins.
_FORMS: dict[WeightsKind, tuple[_Form, ...]] = {
    WeightsKind.SAFETENSORS: (
        _Form((r"model\.safetensors",)),
        _Form((r"model\.safetensors\.index\.json", r"model-\d+-of-\d+\.safetensors")),
    ),
    WeightsKind.OPENVINO: (
        _Form((r"openvino/openvino_model\.xml", r"openvino/openvino_model\.bin")),
        _Form((r"openvino_model\.xml", r"openvino_model\.bin")),
    ),
    # a graph of more than 2 GB has its weights beside it, under names that changed with the exporters
    WeightsKind.ONNX: (
        _Form((r"onnx/model\.onnx",), r"onnx/model\.onnx(?:_data(?:_\d+)?|\.data)"),
        _Form((r"model\.onnx",), r"model\.onnx(?:_data(?:_\d+)?|\.data)"),
    ),
    WeightsKind.PICKLE: (
        _Form((r"pytorch_model\.bin",)),
        _Form((r"pytorch_model\.bin\.index\.json", r"pytorch_model-\d+-of-\d+\.bin")),
    ),
}
_FALLBACK = (WeightsKind.SAFETENSORS, WeightsKind.OPENVINO, WeightsKind.ONNX)


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        files: paths, sorted.
        weights: the set of weights that was taken; the wanted one unless it is not there.
        notes: what a person should hear about the choice, a sentence each.
    """

    files: tuple[str, ...]
    weights: WeightsKind
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoWeights:
    """Nothing to choose: the repository has no set of weights that may be taken.

    Attributes:
        there: the kinds of weights that it, or the folder of one of its modules, does have (pickle, if anything).
    """

    there: tuple[WeightsKind, ...]


def choose(
    paths: Collection[str],
    task: Task,
    *,
    weights: WeightsKind = WeightsKind.SAFETENSORS,
    modules: Sequence[str] = (),
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    code: bool = False,
) -> Choice | NoWeights:
    """Choose the files to lock.

    Args:
        paths: every file of the repository.
        task: ``files`` takes all of them but git's own.
        weights: the set that is wanted; where it is not there the next of safetensors, openvino, onnx is taken, with a
            note. Pickle is taken only when wanted by name.
        modules: the ``path`` of each module in ``modules.json``; empty where there is none.
        include: globs (``*`` crosses folders) of files to take besides.
        exclude: globs of files to leave after all; a note says so where that breaks a set of weights.
        code: whether the repository's Python files are carried.

    Returns:
        The choice, or what there is instead of weights.
    """
    if task is Task.FILES:
        chosen = {path for path in paths if not _GIT.fullmatch(path)}
        return Choice(_filtered(chosen, paths, include, exclude), weights)
    folders = sorted({"" if path == "." else f"{path}/" for path in (normpath(m.strip("/")) for m in ("", *modules))})
    taken: WeightsKind | None = None
    chosen, parts = set(), set()
    for folder in folders:
        there = tuple(kind for kind in WeightsKind if _weights_of(paths, folder, kind))
        # a folder may need none (pooling), or hold them in another form than the root does (a Dense module beside ONNX)
        kind = next((kind for kind in (taken or weights, *_FALLBACK) if kind in there), None)
        if there and kind is None:
            return NoWeights(there)
        taken = taken or kind
        chosen |= _beneath(paths, folder)
        parts |= _weights_of(paths, folder, kind) if kind else set()
    if taken is None:
        return NoWeights(())
    for path in paths:
        # by its name, `license_check.py` is a licence; it is code all the same
        if "/" not in path and (code if path.endswith(".py") else _LICENSE.fullmatch(path)):
            chosen.add(path)
    files = _filtered(chosen | parts, paths, include, exclude)
    notes = []
    if taken is not weights:
        notes.append(f"no {weights.value} weights there: {taken.value} is taken")
    if gone := sorted(parts.difference(files)):
        notes.append(f"`exclude` takes away {gone[0]}, which belongs to the {taken.value} weights")
    return Choice(files, taken, tuple(notes))


def _beneath(paths: Collection[str], folder: str) -> set[str]:
    """The small files that lie directly in a folder."""
    return {p for p in paths if p.startswith(folder) and _SMALL.fullmatch(p[len(folder) :])}


def _weights_of(paths: Collection[str], folder: str, kind: WeightsKind) -> set[str]:
    """The files of the first form of a kind that is whole in a folder; none where none is."""
    beneath = [path for path in paths if path.startswith(folder)]
    for form in _FORMS[kind]:
        sets = [
            {path for path in beneath if re.fullmatch(pattern, path[len(folder) :])}
            for pattern in (*form.needs, form.also)
        ]
        if all(sets[: len(form.needs)]):
            return set().union(*sets)
    return set()


def _filtered(
    chosen: set[str], paths: Collection[str], include: Iterable[str], exclude: Iterable[str]
) -> tuple[str, ...]:
    for glob in include:
        chosen = chosen | {path for path in paths if fnmatchcase(path, glob)}
    for glob in exclude:
        chosen = {path for path in chosen if not fnmatchcase(path, glob)}
    return tuple(sorted(chosen))
