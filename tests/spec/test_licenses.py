"""The policy's words against the repositories': case, lists and expressions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardtack.errors import Refused
from hardtack.spec.licenses import is_allowed, refuse_licenses
from hardtack.spec.lock import Lock, LockedModel
from hardtack.spec.manifest import parse_manifest
from hardtack.spec.words import Task

NAMES = st.sampled_from(["mit", "apache-2.0", "cc-by-4.0", "gpl-3.0", "other"])
MODEL = LockedModel("emb", Task.EMBED, "org/tiny", commit="1" * 40, license="apache-2.0")
MANIFEST = '[models.emb]\ntask = "embed"\nrepo = "org/tiny"\n'


@pytest.mark.parametrize(
    ("said", "allowed", "answer"),
    [
        ("apache-2.0", ["Apache-2.0"], True),
        ("MIT", ["mit"], True),
        ("mit, apache-2.0", ["mit"], False),
        ("mit, apache-2.0", ["apache-2.0", "mit"], True),
        ("MIT OR GPL-3.0", ["mit"], True),
        ("MIT AND GPL-3.0", ["mit"], False),
        ("gpl-3.0 or mit and apache-2.0", ["mit", "apache-2.0"], True),
        ("(MIT OR GPL-3.0) AND BSD", ["mit", "bsd"], False),
        ("(MIT OR GPL-3.0)", ["(mit or gpl-3.0)"], True),
        ("", ["mit"], False),
        ("mit", [], False),
    ],
)
def test_what_is_allowed(said: str, allowed: list[str], answer: bool) -> None:
    assert is_allowed(said, allowed) is answer


@given(st.lists(NAMES, min_size=1), st.sets(NAMES))
def test_a_list_needs_all_and_a_choice_needs_one(names: list[str], allowed: set[str]) -> None:
    assert is_allowed(", ".join(names), allowed) == all(name in allowed for name in names)
    assert is_allowed(" OR ".join(names), allowed) == any(name in allowed for name in names)
    assert is_allowed(" AND ".join(name.upper() for name in names), allowed) == all(name in allowed for name in names)


def test_the_policy() -> None:
    lock = Lock("", (MODEL,))
    refuse_licenses(lock, parse_manifest(MANIFEST))
    refuse_licenses(lock, parse_manifest(MANIFEST + '[policy]\nallow-licenses = ["MIT", "Apache-2.0"]\n'))
    with pytest.raises(Refused, match="policy") as caught:
        refuse_licenses(lock, parse_manifest(MANIFEST + '[policy]\nallow-licenses = ["mit"]\n'))
    assert (caught.value.found, caught.value.mend) == ("apache-2.0", "hardtack remove emb")
    with pytest.raises(Refused) as caught:
        refuse_licenses(
            Lock("", (replace(MODEL, license=""),)), parse_manifest(MANIFEST + '[policy]\nallow-licenses = ["mit"]\n')
        )
    assert caught.value.found == "no licence said"


def test_an_expected_licence() -> None:
    refuse_licenses(Lock("", (MODEL,)), parse_manifest(MANIFEST + 'license = "Apache-2.0"\n'))
    with pytest.raises(Refused, match="expected") as caught:
        refuse_licenses(Lock("", (MODEL,)), parse_manifest(MANIFEST + 'license = "mit"\n'))
    assert (caught.value.expected, caught.value.found) == ("mit", "apache-2.0")


def test_of_a_directory_the_manifest_speaks() -> None:
    text = '[models.emb]\ntask = "embed"\nrepo = "./mine"\n{}\n[policy]\nallow-licenses = ["mit"]\n'
    lock = Lock("", (replace(MODEL, repo="./mine", source="local", license=""),))
    refuse_licenses(lock, parse_manifest(text.format('license = "MIT"')))
    with pytest.raises(Refused):
        refuse_licenses(lock, parse_manifest(text.format("")))


def test_other_services_have_none() -> None:
    lock = Lock("", (LockedModel("llm", Task.EXTERNAL, note="elsewhere"),))
    refuse_licenses(lock, parse_manifest('[models.llm]\ntask = "external"\n[policy]\nallow-licenses = ["mit"]\n'))
