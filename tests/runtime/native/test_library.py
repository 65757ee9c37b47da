"""Finding, loading and asking the library: what stands in its way is a reason, never a crash."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hardtack.runtime.native import library as module
from hardtack.runtime.native.library import Library, ability_of
from hardtack.runtime.native.library import ability as ability_once
from tests.double import SOURCES, double, double_file, real_file, script

AMX = "amx_bf16" in Path("/proc/cpuinfo").read_text().split()


@pytest.fixture(scope="module", name="real")
def _real() -> Path:
    return real_file()


def test_the_double_can_run_anywhere() -> None:
    assert double().is_double
    assert double().lacks() is None
    assert ability_of(double_file()).library is not None


@pytest.mark.skipif(AMX, reason="this CPU has AMX")
def test_the_real_one_says_what_this_cpu_lacks(real: Path) -> None:
    assert not Library(real).is_double
    able = ability_of(real)
    assert able.library is None
    assert able.built
    assert able.why_not in ("the CPU has no AMX", "the CPU has no AVX-512")


@pytest.mark.skipif(AMX, reason="this CPU has AMX")
def test_a_kernel_that_gives_no_permission_is_a_reason(real: Path) -> None:
    functions = ctypes.CDLL(str(real))
    functions.hardtack_permission_lacks.restype = ctypes.c_char_p
    assert b"does not let this process use AMX" in functions.hardtack_permission_lacks()


def test_the_real_one_multiplies_with_tiles_and_shows_nobody_its_insides(real: Path) -> None:
    listed = subprocess.run(["nm", "-D", "--defined-only", str(real)], capture_output=True, text=True, check=True)
    names = {line.split()[-1] for line in listed.stdout.splitlines()}
    assert {name for name in names if not name.startswith("hardtack_")} == set()
    assert not any("test" in name for name in names)
    code = subprocess.run(["objdump", "-d", str(real)], capture_output=True, text=True, check=True).stdout
    for instruction in ("ldtilecfg", "tileloaddt1", "tdpbf16ps", "tilestored", "tilerelease"):
        assert instruction in code


def test_no_library_at_all(tmp_path: Path) -> None:
    able = ability_of(tmp_path / "none.so")
    assert (able.library, able.built) == (None, False)
    assert "C++ compiler" in able.why_not


def test_a_file_that_is_no_library_or_another_one(tmp_path: Path) -> None:
    (tmp_path / "broken.so").write_bytes(b"\x7fELF nothing")
    assert "cannot be loaded" in ability_of(tmp_path / "broken.so").why_not
    other = next(word for word in Path("/proc/self/maps").read_text().split() if "/libc" in word)
    assert "cannot be loaded" in ability_of(Path(other)).why_not


def test_a_library_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ABI", 99)
    assert "not 99" in ability_of(double_file()).why_not


def test_structures_are_those_of_the_header(tmp_path: Path) -> None:
    """Sizes and places of every field, asked of the compiler."""
    fields = [("HardtackShape", module.CShape), ("HardtackBatch", module.CBatch)]
    prints = []
    for name, structure in fields:
        prints.append(f'printf("%zu ", sizeof({name}));')
        prints += [f'printf("%zu ", offsetof({name}, {field[0]}));' for field in structure._fields_]
    source = tmp_path / "sizes.cpp"
    source.write_text(
        f'#include <cstddef>\n#include <cstdio>\n#include "abi.h"\nint main() {{ {"".join(prints)} }}\n'
    )  # fmt: skip
    double_file()  # skips where there is no compiler
    cxx = script("compiling").compiler()
    subprocess.run([cxx, "-I", str(SOURCES), str(source), "-o", str(tmp_path / "sizes")], check=True)
    said = subprocess.run([str(tmp_path / "sizes")], capture_output=True, text=True, check=True).stdout
    due = []
    for _, structure in fields:
        due += [ctypes.sizeof(structure), *(getattr(structure, field[0]).offset for field in structure._fields_)]
    assert [int(word) for word in said.split()] == due


def test_nothing_is_loaded_with_the_package() -> None:
    code = (
        "import hardtack, hardtack.runtime.choosing as c, sys; print('libhardtack' in open('/proc/self/maps').read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "False"


def test_ability_is_asked_once() -> None:
    assert ability_once() is ability_once()
