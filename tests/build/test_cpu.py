from __future__ import annotations

from pathlib import Path

import pytest

from hardtack.build.cpu import Native, native


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
def test_what_the_kernel_says(tmp_path: Path, line: str, has: Native) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\n{line}\n")
    assert native(info) is has


def test_where_there_is_no_such_file(tmp_path: Path) -> None:
    assert native(tmp_path / "absent") is Native.NONE
