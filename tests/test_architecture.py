"""Who may import whom: the table of DESIGN §3, held against every import statement, those inside functions too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import hardtack

ROOT = Path(hardtack.__file__).parent
GROUND = frozenset({"errors", "spec", "settings", "places"})
PILLARS = frozenset({"runtime", "supply"})
HALLS = frozenset({"serve", "bulk", "offline", "build", "bake", "mirror", "trust", "starter"})
TOP = frozenset({"project", "loaders", "finding", "pinning"})

ALLOWED: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "spec": frozenset({"errors"}),
    "settings": frozenset({"errors", "spec"}),
    "places": frozenset({"errors", "spec", "settings"}),
    **dict.fromkeys(PILLARS, GROUND),  # the two do not know each other
    **dict.fromkeys(HALLS, GROUND | PILLARS),
    "bake": GROUND | PILLARS | {"build"},
    "finding": GROUND,
    "pinning": GROUND | {"supply"},
    "loaders": GROUND | PILLARS | {"finding", "pinning"},
    "project": GROUND | PILLARS | HALLS,
    "cli": GROUND | PILLARS | HALLS | TOP | {"__init__"},
    "__main__": frozenset({"cli"}),
    "__init__": frozenset({"errors", "runtime", "loaders", "project"}),
}
"""Room → the rooms that it may import from, besides itself."""

HEAVY = frozenset(
    {"torch", "transformers", "sentence_transformers", "openvino", "fastapi", "ray", "nncf", "optimum", "cryptography"}
)
"""Never imported when a module is; only inside of functions."""

Import = tuple[str, str, int, bool]


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.Module, module: str, is_package: bool) -> Iterator[Import]:
    """(importing module, imported name, line, whether it runs when the module is imported)."""

    def walk(node: ast.AST, at_import: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield module, alias.name, child.lineno, at_import
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    parts = module.split(".")
                    parts = parts[: len(parts) - child.level + (1 if is_package else 0)]
                    base = ".".join([*parts, base] if base else parts)
                for alias in child.names:
                    # `from hardtack import loaders` is an import of the module as much as of the package
                    yield module, f"{base}.{alias.name}" if base == "hardtack" else base, child.lineno, at_import
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
                yield from walk(child, at_import and not inside and not typing_only)

    yield from walk(tree, at_import=True)


def all_imports() -> list[Import]:
    found = []
    for file in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        found += list(imports(tree, module_of(file), file.name == "__init__.py"))
    return found


def verdict(source: str, target: str) -> str | None:
    """What is wrong with one module's import of another, or None."""
    if target.split(".")[0] != "hardtack" or target == "hardtack.__version__":
        return None
    here, there = room_of(source), room_of(target)
    if there not in ALLOWED:
        there = "__init__"  # a name of the package itself: `from hardtack import Embedder`
    if here == there or there in ALLOWED[here]:
        return None
    return f"{source} imports {target}: {here} may not know {there}"


def test_every_file_is_in_a_room_of_the_table() -> None:
    rooms = {room_of(module_of(file)) for file in ROOT.rglob("*.py")}
    assert rooms <= set(ALLOWED)


def test_imports_run_down() -> None:
    wrong = [
        f"{verdict(source, target)} (line {line})"
        for source, target, line, _ in all_imports()
        if verdict(source, target)
    ]
    assert wrong == []


def test_the_table_has_no_circle() -> None:
    done: set[str] = set()
    while ready := {room for room, below in ALLOWED.items() if room not in done and below - {"__init__"} <= done}:
        done |= ready
    assert set(ALLOWED) - done == set()


def test_nothing_heavy_is_imported_with_a_module() -> None:
    heavy = [
        f"{source}:{line} {target}"
        for source, target, line, at_import in all_imports()
        if at_import and target.split(".")[0] in HEAVY
    ]
    assert heavy == []


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("hardtack.runtime.load", "hardtack.supply.pull"),
        ("hardtack.supply.pull", "hardtack.runtime"),
        ("hardtack.spec.lock", "hardtack.settings"),
        ("hardtack.errors", "hardtack.spec.words"),
        ("hardtack.serve.app", "hardtack.loaders"),
        ("hardtack.bake.pantry", "hardtack.offline.guard"),
        ("hardtack.project", "hardtack.cli.main"),
        ("hardtack.runtime.load", "hardtack"),
    ],
)
def test_what_the_table_is_for(source: str, target: str) -> None:
    assert verdict(source, target) is not None


def test_imports_are_seen_wherever_they_stand() -> None:
    text = (
        "import hardtack.cli\n"
        "from . import lock\n"
        "from ..runtime import load\n"
        "if TYPE_CHECKING:\n    import torch\n"
        "def f():\n    from hardtack import loaders\n"
        "class C:\n    import numpy\n"
    )
    assert list(imports(ast.parse(text), "hardtack.spec.verify", is_package=False)) == [
        ("hardtack.spec.verify", "hardtack.cli", 1, True),
        ("hardtack.spec.verify", "hardtack.spec", 2, True),
        ("hardtack.spec.verify", "hardtack.runtime", 3, True),
        ("hardtack.spec.verify", "torch", 5, False),
        ("hardtack.spec.verify", "hardtack.loaders", 7, False),
        ("hardtack.spec.verify", "numpy", 9, True),
    ]
