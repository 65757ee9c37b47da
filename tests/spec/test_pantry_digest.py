from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from hardtack.spec.digest import hash_file
from hardtack.spec.lock import Lock, LockedBuild, LockedFile, LockedModel
from hardtack.spec.pantry_digest import pantry_digest
from hardtack.spec.words import Precision, Task


def test_sha256sum_reproduces_it(tmp_path: Path) -> None:
    def put(path: str, text: str, below: str) -> LockedFile:
        file = tmp_path / below / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        hashes = hash_file(file)
        return LockedFile(path, hashes.size, hashes.sha256)

    build = LockedBuild("int8-x", Precision.INT8, "", (put("hardtack/int8-x/model.bin", "four", "emb"),))
    emb = LockedModel(
        key="emb", task=Task.EMBED,
        files=(put("config.json", "one", "emb"), put("1_Pooling/config.json", "two", "emb")),
        added=(put("hardtack/golden.json", "three", "emb"),), builds=(build,),
    )  # fmt: skip
    ocr = LockedModel(
        key="ocr", task=Task.FILES, path="/app/models/ocr", files=(put("x.bin", "five", "app/models/ocr"),)
    )
    note = LockedModel(key="llm", task=Task.EXTERNAL, note="elsewhere")
    lock = Lock("sha256:0", (emb, ocr, note))
    (tmp_path / "hardtack.lock").write_text("the lock's very bytes")

    command = r"find . -type f -printf '%P\0' | xargs -0 sha256sum | LC_ALL=C sort | sha256sum"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True, text=True)
    made = pantry_digest(lock, (tmp_path / "hardtack.lock").read_bytes())
    assert made == "sha256:" + done.stdout.split()[0]
    assert pantry_digest(lock, b"another lock") != made


def test_no_model_is_still_a_digest() -> None:
    line = hashlib.sha256(b"x").hexdigest() + "  hardtack.lock\n"
    assert pantry_digest(Lock("", ()), b"x") == "sha256:" + hashlib.sha256(line.encode()).hexdigest()
