"""Compiles the native library into the wheel where there is a C++ compiler; where there is none, the wheel is pure.

A wheel with the library is for any Python 3 on Linux on x86-64 with a C library as new as the functions that the
library takes from it. Without it everything runs on OpenVINO, and `hardtack doctor` says what is missed.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileNative(BuildHookInterface[Any]):
    """See the module's docstring."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile, and say in the wheel's tag that it was; an editable installation gets the library in its sources."""
        compiling = _load(Path(self.root) / "native/compiling.py")
        target = Path(self.root) / "src/hardtack/runtime/native" / compiling.NAME
        target.unlink(missing_ok=True)
        try:
            compiling.compile_library(target)
        except compiling.CannotCompile as problem:
            self.app.display_warning(f"without the native engine: {problem}")
            return
        build_data["artifacts"].append(f"/{target.relative_to(self.root)}")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag(target.read_bytes())}"


def platform_tag(library: bytes) -> str:
    """The platform that a library runs on, by the newest version of the C library that it asks for.

    https://peps.python.org/pep-0600/: it must ask for nothing but the C library and its kin, and it was linked so.
    """
    asked = [int(number) for number in re.findall(rb"GLIBC_2\.(\d+)", library)]
    # no such names: another C library than glibc, for which there is no such promise
    return f"manylinux_2_{max(asked)}_x86_64" if asked else "linux_x86_64"


def _load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("compiling", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
