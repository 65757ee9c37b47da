from __future__ import annotations

from pathlib import Path

import pytest

from hardtack.runtime.instructions import Instructions, Native, read_instructions


def read(folder: Path, *lines: str) -> Instructions:
    info = folder / "cpuinfo"
    info.write_text("\n".join(("processor\t: 0", *lines, "")))
    return read_instructions(info)


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("flags\t\t: fpu avx512_vnni amx_tile amx_bf16 amx_int8", Native.AMX),
        ("flags\t\t: fpu avx512f avx512_vnni avx512_bf16", Native.VNNI),
        ("flags\t\t: fpu avx2 avx_vnni", Native.VNNI),
        ("Features\t: fp asimd asimddp i8mm", Native.VNNI),
        ("flags\t\t: fpu avx2 fma", Native.NONE),
        ("bugs\t\t: avx_vnni_bug avx_vnni", Native.NONE),
        ("", Native.NONE),
    ],
)
def test_the_best_for_small_numbers(tmp_path: Path, line: str, has: Native) -> None:
    assert read(tmp_path, line).native is has


@pytest.mark.parametrize(
    ("vendor", "flags", "pays"),
    [
        ("GenuineIntel", "avx512f avx512_bf16 amx_tile amx_bf16 amx_int8", True),
        ("GenuineIntel", "avx512f avx512_vnni avx512_bf16", False),
        ("AuthenticAMD", "avx512f avx512_vnni avx512_bf16", True),
    ],
)
def test_whether_bf16_is_faster_than_fp32(tmp_path: Path, vendor: str, flags: str, pays: bool) -> None:
    assert read(tmp_path, f"vendor_id\t: {vendor}", f"flags\t\t: fpu {flags}").bf16_pays is pays


def test_where_no_vendor_is_named(tmp_path: Path) -> None:
    assert read(tmp_path, "Features\t: fp asimd bf16").bf16_pays


def test_the_first_cpu_speaks_for_all(tmp_path: Path) -> None:
    found = read(tmp_path, "flags\t\t: avx2", "", "processor\t: 1", "flags\t\t: avx2 avx_vnni")
    assert found.flags == {"avx2"}


def test_where_there_is_no_such_file(tmp_path: Path) -> None:
    assert read_instructions(tmp_path / "absent") == Instructions()
