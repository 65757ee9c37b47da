"""From a mirror to this disk: `hardtack pull`, which hashes and syncs, beside `hf download`, which does neither.

And `verify` beside what two cores can hash at all. Needs 4 GB of disk. Both clients run as processes, into a cache of
their own that is empty each time; the disk is synced before each, so that none pays for what the other left unwritten.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.measure import alternate, target
from benchmarks.mirror import FILE, REPO, SIZE, fill, running_mirror
from hardtack.spec.digest import sha256_file
from hardtack.spec.lock import LockedFile
from hardtack.spec.verify import check_files

EQUAL = 8
MANIFEST = f'[models.big]\ntask = "files"\nrepo = "{REPO}"\n'
HF = "import sys; from huggingface_hub.cli.hf import main; sys.exit(main())"


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "big" / FILE)
        for path in ("config.json", "tokenizer.json"):
            (folder / "big" / path).write_text("{}")
        with running_mirror(folder) as (_, url):
            _pull(folder, url)
    with tempfile.TemporaryDirectory() as name:
        _verify(Path(name))


def _pull(folder: Path, url: str) -> None:
    project = folder / "project"
    project.mkdir()
    (project / "hardtack.toml").write_text(MANIFEST)
    hardtack = [sys.executable, "-m", "hardtack"]
    _run([*hardtack, "lock", "-q"], project, _environment(folder / "locking", url))
    peaks: list[float] = []

    def timed(command: list[str], seen: list[float]) -> Callable[[], float]:
        def once() -> float:
            home = folder / "home"
            os.sync()
            took, peak = _run(command, project, _environment(home, url))
            seen.append(peak)
            shutil.rmtree(home)
            return took

        return once

    took = alternate(
        {
            "hardtack pull": timed([*hardtack, "pull", "-q"], peaks),
            "hf download": timed([sys.executable, "-c", HF, "download", REPO, "--quiet"], []),
            "hf download, then sync": timed(
                ["sh", "-c", '"$0" -c "$1" download "$2" --quiet && sync', sys.executable, HF, REPO], []
            ),
        },
        rounds=5,
    )
    for name, seconds in took.items():
        print(f"  {name:<28} {seconds:10.2f} s   {SIZE / seconds / 1e9:6.2f} GB/s")
    target("pull beside hf download", took["hardtack pull"] / took["hf download"], 1.15, at_least=False)
    target("the memory of a pull, peak", max(peaks), 150, unit="MB", at_least=False)


def _verify(folder: Path) -> None:
    """Eight files of 125 MB that are in memory already, so that hashing is what is measured and not the disk."""
    data = os.urandom(SIZE // EQUAL)
    files = []
    for number in range(EQUAL):
        path = folder / f"model-{number}.safetensors"
        path.write_bytes(data)
        files.append(LockedFile(path.name, len(data), sha256_file(path)))

    def ours() -> float:
        began = time.perf_counter()
        assert check_files(folder, files).good
        return SIZE / (time.perf_counter() - began) / 1e9

    def raw() -> float:
        began = time.perf_counter()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: hashlib.sha256(data).digest(), range(EQUAL)))
        return SIZE / (time.perf_counter() - began) / 1e9

    rates = alternate({"verify": ours, "two cores, bytes in memory": raw}, rounds=7)
    for name, rate in rates.items():
        print(f"  {name:<28} {rate:10.2f} GB/s")
    target("verify beside two cores' sha256", rates["verify"] / rates["two cores, bytes in memory"], 0.8)


def _environment(home: Path, url: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
    return kept | {
        "HOME": str(home), "HF_HOME": str(home), "HF_ENDPOINT": url, "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }  # fmt: skip


def _run(command: list[str], folder: Path, env: dict[str, str]) -> tuple[float, float]:
    """Seconds and MB of the process, which must end well."""
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.stderr is not None
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(command[:4])} …: {process.stderr.read().decode()[-500:]}")
    return took, usage.ru_maxrss * 1024 / 1e6
