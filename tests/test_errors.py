from __future__ import annotations

import copy
import pickle
import re

import pytest

from hardtack import errors
from hardtack.errors import HardtackError, LockError, Misused, Refused, Unable

ALL = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HardtackError)]


def drawn() -> dict[str, str]:
    """Each class of the docstring's tree, and the class above it."""
    above: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"(?P<lead>[ │├└─]*)(?P<name>[A-Z]\w+)(?: {2,}|$)", line):
            depth, name = len(found["lead"]), found["name"]
            stack = [item for item in stack if item[0] < depth]
            if stack:
                above[name] = stack[-1][1]
            stack.append((depth, name))
    return above


def test_the_drawn_tree_is_the_tree() -> None:
    real = {kind.__name__: kind.__base__.__name__ for kind in ALL if kind is not HardtackError and kind.__base__}
    assert drawn() == real


@pytest.mark.parametrize("kind", ALL)
def test_exit_code_is_that_of_its_branch(kind: type[HardtackError]) -> None:
    branch = next(code for base, code in ((Refused, 1), (Misused, 2), (Unable, 3), (HardtackError, 3))
                  if issubclass(kind, base))  # fmt: skip
    assert kind.exit_code == branch


@pytest.mark.parametrize("kind", ALL)
def test_fields_survive_pickle_and_copy(kind: type[HardtackError]) -> None:
    error = kind("it broke", where="here:3", expected="this", found="that", mend="mend it")
    expected = {
        "kind": kind.__name__, "what": "it broke", "where": "here:3", "expected": "this", "found": "that",
        "mend": "mend it",
    }  # fmt: skip
    for again in (error, pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind
        assert again.fields() == expected


def test_text_shows_what_is_known_and_no_empty_rows() -> None:
    assert str(LockError("it broke")) == "it broke"
    assert str(LockError("it broke", where="a.lock:3", found="7", mend="hardtack lock")) == (
        "it broke\n  where:    a.lock:3\n  found:    7\n  mend:     hardtack lock"
    )
