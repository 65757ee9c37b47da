"""The small JSON files of a model directory, read with the errors a loader owes: which file, which key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from hardtack.errors import DiskError, Mismatch, NotDrawn

T = TypeVar("T")


def read_object(file: Path) -> dict[str, Any]:
    """A JSON object; ``{}`` where the file is not there, as sentence-transformers takes it for its own files.

    Raises:
        Mismatch: the file is not JSON.
        UnsupportedModel: it is, but not an object.
        DiskError: it cannot be read.
    """
    value = read_value(file)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise unsupported(file, "", "a JSON object", type(value).__name__)
    return value


def read_value(file: Path) -> Any:
    """Whatever JSON the file holds, or None where it is not there; raises as :func:`read_object`."""
    try:
        return json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DiskError("A file of the model cannot be read.", where=str(file), found=error.strerror or "") from error
    except ValueError as error:
        raise Mismatch(
            "A file of the model is not JSON.", where=str(file), found=str(error), mend="hardtack pull"
        ) from error


def optional(file: Path, values: Mapping[str, Any], key: str, kind: type[T], default: T) -> T:
    """``values[key]``, or ``default`` where it is missing or null.

    Raises:
        UnsupportedModel: it is of another type than ``kind``; True and False are no numbers.
    """
    value = values.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise unsupported(file, key, f"of type {kind.__name__}", repr(value))
    return value


def unsupported(file: Path, key: str, expected: str, found: str) -> NotDrawn:
    """The error for a value that is not understood here; torch's libraries may understand it."""
    return NotDrawn(
        "The model's files ask for something that is not understood here.",
        where=f"{file}: {key}" if key else str(file),
        expected=expected,
        found=found,
    )
