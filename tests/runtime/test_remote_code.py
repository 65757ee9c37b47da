"""Code that a model brings: only the locked bytes, only with leave, and nothing fetched for it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardtack.bake.pantry import bake
from hardtack.bake.stock import Origins
from hardtack.errors import Mismatch, UnsupportedModel
from hardtack.offline.guard import run_guarded
from hardtack.runtime.embedder import Embedder
from hardtack.runtime.load import Options, load_model
from hardtack.settings import Verify
from hardtack.spec.digest import hash_file
from hardtack.spec.lock import Lock, LockedCode, LockedFile, LockedModel
from hardtack.spec.words import Precision, Task
from tests.coded import CODE, make_code_repo, make_coded
from tests.models import make_bert
from tests.runtime.fakes import COMMIT, lock_of
from tests.runtime.running import TEXTS

pytestmark = [
    pytest.mark.torch,
    # theirs, while importing and loading: nothing this project could mend
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
REPO = "org/odd-code"


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there once the code ran."""
    monkeypatch.setenv("ODD_CODE_RAN", str(tmp_path / "ran"))
    return tmp_path / "ran"


def locked_code(directory: Path, repo: str = REPO) -> LockedCode:
    hashes = hash_file(directory / "modeling_odd.py")
    return LockedCode(repo, COMMIT, (LockedFile("modeling_odd.py", hashes.size, hashes.sha256),))


def load(
    directory: Path, locked: LockedModel | None, *, allow: bool = True, code: Mapping[str, Path] | None = None,
    verify: Verify = Verify.FULL,
) -> Embedder:  # fmt: skip
    options = Options(allow_code=allow, code_folders=code or {}, verify=verify, precision=Precision.FP32)
    model = load_model(directory, Task.EMBED, locked=locked, source="store", options=options)
    assert isinstance(model, Embedder)
    return model


def trusting(directory: Path, **given: Any) -> LockedModel:
    return replace(lock_of(directory), trust_remote_code=True, **given)


def test_the_locked_code_runs_with_leave_and_does_what_it_says(ran: Path, tmp_path: Path) -> None:
    directory = make_coded(tmp_path / "odd")
    model = load(directory, trusting(directory))
    assert ran.is_file()
    assert not Path(ran.read_text()).is_relative_to(directory)  # a copy of the bytes that were hashed
    # to turn each token's vector round is to turn the text's, as mean pooling and Normalize do not mind
    plain = load(make_bert(tmp_path / "plain"), None).encode(list(TEXTS))
    np.testing.assert_allclose(model.encode(list(TEXTS)), plain[:, ::-1], atol=1e-5)
    assert model.engine.name == "torch"
    assert "odd" in model.engine.why


@pytest.mark.parametrize(("locked", "allowed"), [(True, False), (False, True), (False, False)])
def test_it_takes_the_lock_and_the_caller(locked: bool, allowed: bool, ran: Path, tmp_path: Path) -> None:
    directory = make_coded(tmp_path / "odd")
    lock = trusting(directory) if locked else lock_of(directory)
    with pytest.raises(UnsupportedModel, match="may not run") as problem:
        load(directory, lock, allow=allowed)
    assert problem.value.mend
    assert not ran.exists()


def test_without_a_lock_no_leave_is_enough(ran: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="may not run"):
        load(make_coded(tmp_path / "odd"), None)
    assert not ran.exists()


@pytest.mark.parametrize("verify", list(Verify))
def test_changed_code_does_not_run(verify: Verify, ran: Path, tmp_path: Path) -> None:
    directory = make_coded(tmp_path / "odd")
    lock = trusting(directory)
    (directory / "modeling_odd.py").write_text(CODE.replace("flip(2)", "flip(1)"))
    with pytest.raises(Mismatch, match=r"modeling_odd\.py"):
        load(directory, lock, verify=verify)
    assert not ran.exists()


def test_code_that_the_lock_does_not_name_is_not_there(tmp_path: Path) -> None:
    helper = "from .helper import nothing\n" + CODE
    directory = make_coded(tmp_path / "odd", code=helper)
    lock = trusting(directory)
    (directory / "helper.py").write_text("nothing = None")
    with pytest.raises(UnsupportedModel, match="helper"):
        load(directory, lock)


def test_code_of_another_repository(ran: Path, tmp_path: Path) -> None:
    directory, code = make_coded(tmp_path / "odd", REPO), make_code_repo(tmp_path / "code")
    model = load(directory, trusting(directory, code=(locked_code(code),)), code={REPO: code})
    assert ran.is_file()
    plain = load(make_bert(tmp_path / "plain"), None).encode(list(TEXTS))
    np.testing.assert_allclose(model.encode(list(TEXTS)), plain[:, ::-1], atol=1e-5)


def test_changed_code_of_another_repository(ran: Path, tmp_path: Path) -> None:
    directory, code = make_coded(tmp_path / "odd", REPO), make_code_repo(tmp_path / "code")
    lock = trusting(directory, code=(locked_code(code),))
    (code / "modeling_odd.py").write_text(CODE.replace("flip(2)", "flip(1)"))
    with pytest.raises(Mismatch, match="it was not run"):
        load(directory, lock, code={REPO: code})
    assert not ran.exists()


def test_code_of_a_repository_that_the_lock_does_not_carry(ran: Path, tmp_path: Path) -> None:
    directory = make_coded(tmp_path / "odd", REPO)
    with pytest.raises(Mismatch, match="names code that the lock does not carry"):
        load(directory, trusting(directory))
    assert not ran.exists()


def test_a_pantry_carries_it_and_needs_no_network(tmp_path: Path) -> None:
    """Baked with leave, then loaded where the kernel denies every connection: nothing was tried."""
    directory, code = make_coded(tmp_path / "odd", REPO), make_code_repo(tmp_path / "code")
    model = replace(trusting(directory, code=(locked_code(code),)), key="odd", repo="org/odd")
    pantry = tmp_path / "pantry"
    bake(Lock("sha256:0", (model,)), Origins({"odd": directory}, {REPO: code}, ["odd"]), pantry)
    script = (
        "import json, sys; from hardtack import load_embedder\n"
        "model = load_embedder('odd', trust_remote_code=sys.argv[1] == 'yes')\n"
        "print(json.dumps(model.encode(['a cat']).tolist()))"
    )
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
    env = kept | {"HOME": str(tmp_path), "HARDTACK_PANTRY": str(pantry)}
    for leave in ("yes", "no"):
        with (tmp_path / leave).open("w+b") as out:
            watched = run_guarded([sys.executable, "-c", script, leave], env=env, stdin=None, stdout=out, stderr=out)
        said = (tmp_path / leave).read_text()
        assert (watched.returncode == 0) is (leave == "yes"), said
        assert not watched.attempts
        if leave == "yes":
            assert len(json.loads(said.splitlines()[-1])[0]) == 16
        else:
            assert "HARDTACK_ALLOW_CODE=odd" in said
