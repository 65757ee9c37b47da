from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hardtack.bake import cpu_only
from hardtack.errors import Misused, UnsupportedModel
from tests.hub import lay_out

PLUGIN = "libs/libopenvino_intel_cpu_plugin.so"


def test_what_no_cpu_needs_goes_and_the_rest_stays(tmp_path: Path) -> None:
    spare = {
        "libs/libopenvino_intel_gpu_plugin.so": "12", "libs/libopenvino_intel_npu_plugin.so": "3",
        "libs/cache.json": "4", "tools/ovc/cli.py": "",
        "libs/libopenvino_tensorflow_lite_frontend.so.2641": "5", "include/a.hpp": "67",
    }  # fmt: skip
    kept = {PLUGIN, "libs/libopenvino_ir_frontend.so.2641", "libs/libopenvino_onnx_frontend.so.2641",
            "libs/libopenvino.so.2641", "libs/libtbb.so.12",
            "op/include.py", "__init__.py"}  # fmt: skip
    package = lay_out(tmp_path, spare | dict.fromkeys(kept, "x"))
    assert cpu_only.cut(package) == 7
    assert {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()} == kept
    assert cpu_only.cut(package) == 0


def test_this_openvino_runs() -> None:
    cpu_only.show()


def test_one_that_does_not_run_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_only, "_SHOW", "raise SystemExit('no plugin for CPU')")
    with pytest.raises(UnsupportedModel) as refused:
        cpu_only.show()
    assert refused.value.found == "no plugin for CPU"


@pytest.mark.parametrize("arguments", [[], ["/elsewhere"], [sys.prefix, "more"]])
def test_no_environment_is_cut_by_accident(arguments: list[str]) -> None:
    with pytest.raises(Misused) as refused:
        cpu_only.main(arguments)
    assert refused.value.mend.endswith(sys.prefix)
