"""What runs behind the guard for ``prove``: loads one model of a pantry, asks it, and prints one line of JSON.

Run as ``python -m hardtack.offline.prove_child PANTRY KEY``; not meant for people.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

_STARTED = time.perf_counter()


def main(directory: Path, key: str) -> dict[str, object]:
    """Load, ask, compare.

    Raises:
        HardtackError: the model could not be loaded, or its golden answers are not what the lock says.
    """
    # imported here, so that they count into the seconds
    from hardtack.runtime import golden
    from hardtack.runtime.load import Options, load_model
    from hardtack.settings import read_settings
    from hardtack.spec.lock import LOCK_NAME
    from hardtack.spec.lock_text import read_lock

    settings = read_settings()
    model = read_lock(directory / LOCK_NAME).find(key)
    folder = directory / model.folder
    began = time.perf_counter()
    options = Options(
        engine=settings.engine,
        verify=settings.verify,
        strict=True,
        threads=settings.threads,
        device=settings.device,
        allow_code=key in settings.allow_code,
    )
    with closing(load_model(folder, model.task, locked=model, source="pantry", options=options)) as loaded:
        loaded_at = time.perf_counter()
        drift = None
        if any(file.path == golden.GOLDEN_NAME for file in model.added):
            data = (folder / golden.GOLDEN_NAME).read_bytes()
            recorded = golden.parse(data, str(folder / golden.GOLDEN_NAME))
            drift = asdict(
                golden.compare(model.task, golden.ask(loaded), recorded, loaded.engine.precision, model.gate)
            )
        return {
            "seconds": round(time.perf_counter() - _STARTED, 3),
            "load_seconds": round(loaded_at - began, 3),
            "engine": loaded.engine.name,
            "precision": loaded.engine.precision,
            "drift": drift,
        }


if __name__ == "__main__":
    from hardtack.errors import HardtackError

    try:
        said = main(Path(sys.argv[1]), sys.argv[2])
    except HardtackError as problem:
        said = {"error": problem.fields()}
    print(json.dumps(said))  # noqa: T201
