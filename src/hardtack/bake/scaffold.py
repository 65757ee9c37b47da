"""Files that a project then owns: Dockerfiles, compose files, Kubernetes manifests, a workflow.

Each is a template of this package with ``@names@`` in it, and no logic: a person who owns the file should be able to
read the template instead. Nothing is written over but what ``force`` gives up; nothing is fetched or measured here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path, PurePosixPath

from hardtack import __version__
from hardtack.bake.berths import berthed
from hardtack.errors import Misused
from hardtack.runtime.builds import is_tiles, tiles_of
from hardtack.spec.lock import Lock, LockedModel
from hardtack.spec.text_file import write_atomically
from hardtack.spec.words import EngineName, Precision

# the environment of the stage before comes first and has no pip of its own: the base's installs into it
_INT8 = (
    'RUN PATH="${PATH#/opt/hardtack/bin:}" python3 -m pip --python "$(command -v python3)"'
    f' install --no-cache-dir "hardtack[int8]=={__version__}"'
)
_UNPROVEN = "# Every byte; what the native engine runs is proven where it runs, on a CPU with AMX: see above."
_INSTALL = f'      - run: pip install "hardtack[int8]=={__version__}" # what builds are made with'
_MAKE = """\
      # What was restored is held to the lock, what is missing is made again. In int8 that comes out otherwise on some
      # other CPUs, and is refused: then carry it instead, by `hardtack pack` there and `hardtack unpack` here.
      - run: hardtack build {}"""
_ASK = "      - run: pytest tests/test_models.py"
_UNASKED = """\
      # Every byte. What the native engine runs answers on a CPU with AMX only; where there is one:
      #   hardtack prove pantry && pytest tests/test_models.py"""
_LEAN = """
# The native engine runs every model of the lock: OpenVINO, which gave the golden answers in fp32, stays behind.
FROM ${BASE} AS lean
COPY --from=env /opt/hardtack /opt/hardtack
RUN python3 -m pip --python /opt/hardtack/bin/python uninstall --yes openvino openvino-telemetry \\
 && /opt/hardtack/bin/python -c 'import hardtack.serve.server, hardtack.runtime.engines.native'"""
_NAME = re.compile(r"@([a-z]+)@")


class Kind(StrEnum):
    """What to scaffold for."""

    DOCKER = "docker"
    COMPOSE = "compose"
    KUBERNETES = "kubernetes"
    CI = "ci"


TEMPLATES: Mapping[Kind, Mapping[str, str]] = {
    Kind.DOCKER: {
        "Dockerfile": "Dockerfile",
        "Dockerfile.base": "Dockerfile.base",
        "Dockerfile.model-prep": "Dockerfile.model-prep",
        "dockerignore": ".dockerignore",
        "dev.sh": "dev.sh",
    },
    Kind.COMPOSE: {name: name for name in ("compose.prod.yml", "compose.dev.yml", "compose.shared.yml")},
    Kind.KUBERNETES: {
        name: f"kubernetes/{name}" for name in ("deployment.yaml", "from-volume.yaml", "network-policy.yaml")
    },
    Kind.CI: {"models.yml": ".github/workflows/models.yml", "test_models.py": "tests/test_models.py"},
}
"""Template → where the project has it."""


@dataclass(frozen=True)
class Memory:
    """What a service needs.

    Attributes:
        mebibytes: resident, at most.
        why: how that is known, for a comment.
    """

    mebibytes: int
    why: str


@dataclass(frozen=True)
class Plan:
    """What the files are written for.

    Attributes:
        lock: the project's.
        memory: what its models need.
        base: the image to build on, by digest where that is known.
        image: what the project's image is to be called.
        project: names of the files beside the lock that a build needs.
    """

    lock: Lock
    memory: Memory
    base: str = "python:3.12-slim"
    image: str = "models:1"
    project: tuple[str, ...] = ("hardtack.toml", "hardtack.lock", "hardtack.golden*")


def scaffold(kind: Kind, plan: Plan) -> dict[str, str]:
    """The files of a kind, by their paths in the project."""
    values = _values(plan)
    room = files("hardtack.bake") / "templates" / kind.value
    return {target: fill((room / name).read_text("utf-8"), values) for name, target in TEMPLATES[kind].items()}


def fill(template: str, values: Mapping[str, str]) -> str:
    """A template with its names replaced; a line that holds nothing but a name of no value is left out.

    Raises:
        KeyError: it has a name that there is no value for.
    """
    lines = []
    for line in template.splitlines():
        alone = _NAME.fullmatch(line)
        if alone is None or values[alone[1]]:
            lines.append(_NAME.sub(lambda name: values[name[1]], line))
    return "\n".join(lines) + "\n"


def put(written: Mapping[str, str], folder: Path, *, force: bool = False) -> tuple[str, ...]:
    """Write files into a project; those that were not there as they are.

    Args:
        written: path → text.
        folder: the project's.
        force: whether files of other content may be written over.

    Returns:
        The paths that were written; a file that was there word for word is not among them.

    Raises:
        Misused: a file is there with other content; nothing is written.
        DiskError: a file cannot be written.
    """
    new = {path: text for path, text in written.items() if _text(folder / path) != text}
    for path in new:
        if (folder / path).exists() and not force:
            raise Misused(
                "a file is there already, and not as it would be written", where=str(folder / path),
                expected="no such file", found="another content", mend="hardtack scaffold --force",
            )  # fmt: skip
    for path, text in new.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, text.encode())
        target.chmod(0o755 if text.startswith("#!") else 0o644)
    return tuple(new)


def estimated_memory(lock: Lock) -> Memory:
    """What the models of a lock should need, for a project that has no pantry to measure yet.

    Weights are drawn from memory-mapped files and repacked by the engine, so that both may be resident; a process with
    OpenVINO in it starts at about 150 MiB.
    """
    weights = sum(model.size for model in lock.models if model.task.loads)
    return Memory(rounded(150 + 2.5 * weights / 2**20), "estimated from the sizes of the files: bake, scaffold again")


def rounded(mebibytes: float) -> int:
    """Up to a multiple of 64."""
    return int(-(-mebibytes // 64) * 64)


def _values(plan: Plan) -> dict[str, str]:
    lock, home = berthed(plan.lock, whole_image=True)
    models = [model for model in lock.models if model.task.pulls]
    loading = [model for model in models if model.task.loads]
    native = [model for model in loading if model.engine is EngineName.NATIVE]
    lean = bool(loading) and all(model in native and tiles_of(model) is not None for model in loading)
    quantised = any(model.precision is Precision.INT8 or not all(map(is_tiles, model.builds)) for model in models)
    # by name, so that what `auto` left as it is is not decided anew where an image is made
    built = [model.key for model in models if model.precision is Precision.INT8 or model.builds]
    size = sum(file.size for model in models for file in model.everything())
    return {
        "keys": ", ".join(model.key for model in models),
        "first": models[0].key if models else "",
        "base": plan.base,
        "image": plan.image,
        "requirement": f"hardtack[serve]=={__version__}",
        "pantry": home,
        "extras": _INT8 if quantised else "",
        "build": f" && hardtack build {' '.join(built)}" if built else "",
        "install": _INSTALL if quantised else "",
        "make": _MAKE.format(" ".join(built)) if built else "",
        "unproven": _UNPROVEN if native else "",
        "unasked": _UNASKED if native else "",
        "ask": "" if native else _ASK,
        "proof": "verify" if native else "prove",
        "lean": _LEAN if lean else "",
        "runs": "lean" if lean else "env",
        "copies": _copies(plan, models),
        "layers": "\n".join(_layers(models, home)),
        "memory": str(plan.memory.mebibytes),
        "why": plan.memory.why,
        "storage": str(rounded(1.2 * size / 2**20 + 64)),
    }  # fmt: skip


def _copies(plan: Plan, models: Iterable[LockedModel]) -> str:
    lines = [f"COPY {' '.join(plan.project)} ./"]
    for repo in sorted({model.repo for model in models if model.source == "local"}):
        path = PurePosixPath(repo)
        if path.is_absolute() or ".." in path.parts:
            raise Misused(
                "a model lies outside of the project's folder, where no image is built from", where=repo,
                expected="./a-folder beside the lock", found=repo, mend=f"cp -r {repo} {path.name}",
            )  # fmt: skip
        lines.append(f"COPY {path} ./{path}")
    return "\n".join(lines)


def _layers(models: Iterable[LockedModel], home: str) -> list[str]:
    """A layer for each model, and one for the lock: what did not change is not sent again."""
    at = [f"{home}/{model.folder}".replace("//", "/") for model in models]
    return [f"COPY --from=models /image{path} {path}" for path in (*at, f"{home}/hardtack.lock".replace("//", "/"))]


def _text(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None
