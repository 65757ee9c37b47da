"""Importing OpenVINO without its converter: no telemetry, no model frontends it would drag in, a third less time.

``import openvino`` tries ``from openvino.tools.ovc import convert_model``, and that half of the package imports
openvino-telemetry, which resolves a Google Analytics host and writes under ``~/intel``. The package goes on without
it where the import fails (``openvino/__init__.py``, at the end), so here it fails: a ``None`` in ``sys.modules`` is
Python's own way to say that a module is not to be had. It stands only for the time of the import; whoever wants the
converter later can import ``openvino.tools.ovc`` by its name. Where openvino was imported before, it is left as it is.

https://docs.python.org/3/reference/import.html#the-module-cache
"""

from __future__ import annotations

import sys
import threading
from types import ModuleType
from typing import Any, cast

from hardtack.errors import UnsupportedModel

_CONVERTER = "openvino.tools.ovc"

_lock = threading.Lock()


def import_openvino() -> Any:
    """The ``openvino`` package, without its converter; the first call takes about 60 ms.

    Raises:
        UnsupportedModel: it is not installed, as in an image for the native engine alone.
    """
    with _lock:
        modules = cast("dict[str, ModuleType | None]", sys.modules)
        shut = "openvino" not in modules and _CONVERTER not in modules
        if shut:
            modules[_CONVERTER] = None
        try:
            import openvino
        except ModuleNotFoundError as problem:
            if problem.name != "openvino":
                raise
            raise UnsupportedModel(
                "the openvino engine is not installed", where=sys.prefix, expected="openvino", found="no such package",
                mend="pip install openvino",
            ) from None  # fmt: skip
        finally:
            if shut:
                del modules[_CONVERTER]
        return openvino
