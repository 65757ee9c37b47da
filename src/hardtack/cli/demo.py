"""``hardtack demo``: all of it, in a minute, with no network.

The starter models, served by a mirror on loopback, go the whole way: manifest, lock, pull, bake, prove; then each
answers a question in a process that the kernel keeps off every network. Same code as everywhere else, nothing faked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from hardtack.cli.output import Talk, print_json, reporting, size, table
from hardtack.errors import NotProven

T = TypeVar("T")

PATTERNS = ("Light turns on at 7 AM", "The lamp is switched on in the morning", "The garage door is closed")
QUERY = "how do I keep the house warm at night"
DOCUMENTS = (
    "Lock the garage door when everybody has left.",
    "Raise the thermostat after sunset so that the rooms stay at twenty degrees.",
    "Play the news in the kitchen at breakfast.",
)
PATTERN = "Lock the front door and arm the alarm when everybody has left"
NEXT = (
    "hardtack init && hardtack add sentence-transformers/all-MiniLM-L6-v2",
    "hardtack lock && hardtack pull && hardtack bake && hardtack prove",
    'hardtack embed "Light turns on at 7 AM"',
)
_CONTROL = "import socket; socket.create_connection(('192.0.2.1', 443), 5)"


@dataclass
class Show:
    """What the demo did: rows of the table, answers, and what was denied."""

    steps: list[tuple[str, str, float, int]] = field(default_factory=list)
    answers: list[tuple[str, str, str]] = field(default_factory=list)
    denied: int = 0
    control: int = 0

    def step(self, name: str, work: Callable[[], T], told: Callable[[T], tuple[str, int]]) -> T:
        """Do one step and note its seconds, what it came to, and its bytes."""
        began = time.perf_counter()
        result = work()
        what, count = told(result)
        self.steps.append((name, what, time.perf_counter() - began, count))
        return result


@click.command("demo")
@reporting
def command(as_json: bool, quiet: bool) -> int:
    """Lock, pull, bake and prove the three starter models, then ask each a question with the network denied.

    Needs no network but loopback, and leaves nothing behind.
    """
    # huggingface_hub reads these at import; whatever they are set to, the demo talks to its own mirror alone
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HUGGING_FACE_HUB_TOKEN"):
        os.environ.pop(name, None)
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    talk = Talk(quiet=quiet or as_json)
    with tempfile.TemporaryDirectory(prefix="hardtack-demo-") as folder:
        os.environ["HF_HOME"] = folder
        show = _sail(Path(folder), talk)
    if as_json:
        print_json({
            "steps": [{"step": s, "what": w, "seconds": round(t, 3), "bytes": b} for s, w, t, b in show.steps],
            "answers": [{"task": t, "asked": q, "answered": a} for t, q, a in show.answers],
            "denied": show.denied, "control_denied": show.control,
        })  # fmt: skip
    else:
        click.echo(_describe(show))
    return 0


def _sail(folder: Path, talk: Talk) -> Show:
    from hardtack.cli.progress import Bar
    from hardtack.mirror import Content, MirrorServer, Served
    from hardtack.places import Store
    from hardtack.project import Project
    from hardtack.spec.lock import MANIFEST_NAME
    from hardtack.starter import STARTERS
    from hardtack.supply.hub import Hub

    show = Show()
    served = [Served(starter.repo, starter.directory) for starter in STARTERS]
    talk.say("a Hub of our own, on loopback, with three small models")
    content = show.step("mirror", lambda: Content.gather(served), lambda c: (f"{len(c.repos)} repositories", 0))
    with MirrorServer(content) as mirror:
        (folder / MANIFEST_NAME).write_text(_manifest(STARTERS), encoding="utf-8")
        project = Project(
            folder / MANIFEST_NAME, folder / "hardtack.lock", Store(folder / "hub", folder / "own"),
            Hub(mirror.url), Bar(talk),
        )  # fmt: skip
        talk.say("locking")
        show.step("lock", project.lock, lambda k: (f"{sum(len(m.files) for m in k.models)} files to the byte", 0))
        talk.say("pulling")
        show.step(
            "pull", project.pull, lambda p: (f"{sum(len(s.files) for s in p.snapshots)} files verified", p.transferred)
        )
    talk.say("the mirror is down; baking")
    pantry = folder / "pantry"
    show.step("bake", lambda: project.bake(pantry), lambda b: (b.digest[:19] + "…", b.bytes))
    talk.say("proving, each model behind the kernel's guard")
    proof = show.step(
        "prove", lambda: project.prove(pantry), lambda p: ("proven" if p.proven else p.why, p.files.bytes)
    )
    if not proof.proven:
        raise NotProven(
            "the demo's pantry is not proven", where=str(pantry), expected="every model good, no attempt at a network",
            found=proof.why, mend="hardtack prove --json",
        )  # fmt: skip
    show.denied += proof.attempts
    talk.say("asking, with the network denied")
    _ask(show, pantry, folder)
    return show


def _manifest(starters: Any) -> str:
    from hardtack.spec.manifest_edit import NEW_MANIFEST, add_model

    text = NEW_MANIFEST
    for starter in starters:
        values: dict[str, object] = {"task": starter.task.value, "repo": starter.repo}
        if starter.labels:
            values["labels"] = {g.name: {"values": list(g.values), "prompt": g.prompt} for g in starter.labels}
        text = add_model(text, starter.key, values)
    return text


def _ask(show: Show, pantry: Path, folder: Path) -> None:
    env = {**os.environ, "HARDTACK_PANTRY": str(pantry), "HARDTACK_POLICY": "strict", "HF_HUB_OFFLINE": "1"}
    env.pop("HARDTACK_LOCK", None)

    def guarded(*arguments: str) -> Any:
        return show.step(
            f"ask {arguments[0]}", lambda: _guarded(show, folder, env, *arguments), lambda _: ("one process, denied", 0)
        )

    vectors = guarded("embed", "--json", *PATTERNS)["vectors"]
    cosines = [sum(a * b for a, b in zip(vectors[0], other, strict=True)) for other in vectors[1:]]
    best = max(range(len(cosines)), key=lambda n: cosines[n])
    close = ", ".join(f"{cosine:.2f}" for cosine in cosines)
    show.answers.append(("embed", PATTERNS[0], f"nearest: “{PATTERNS[1 + best]}” (cosine {close})"))
    ranked = guarded("rerank", "--json", QUERY, *DOCUMENTS)["ranked"]
    show.answers.append(("rerank", QUERY, f"first: “{ranked[0]['text']}” (score {ranked[0]['score']:.2f})"))
    labels = guarded("classify", "--json", PATTERN)["classified"][0]
    said = ", ".join(f"{group}: {label}" for group, label in labels["labels"].items())
    show.answers.append(("classify", PATTERN, said))
    # the control: without it "nothing was denied" could mean that nobody was looking
    from hardtack.offline.guard import run_guarded

    watched = run_guarded([sys.executable, "-c", _CONTROL], stderr=subprocess.DEVNULL)
    show.control = sum(attempt.count for attempt in watched.attempts)
    if not show.control or watched.returncode == 0:
        raise NotProven(
            "the guard let the control through", where="hardtack demo", expected="one denied attempt", found="none",
            mend="hardtack prove --json",
        )  # fmt: skip


def _guarded(show: Show, folder: Path, env: Mapping[str, str], *arguments: str) -> Any:
    from hardtack.offline.guard import run_guarded

    with tempfile.TemporaryFile(dir=folder) as out, tempfile.TemporaryFile(dir=folder) as talk:
        watched = run_guarded([sys.executable, "-m", "hardtack", *arguments], env=env, stdout=out, stderr=talk)
        out.seek(0)
        talk.seek(0)
        if watched.returncode != 0:
            raise NotProven(
                f"`hardtack {arguments[0]}` did not answer behind the guard", where="hardtack demo", expected="exit 0",
                found=talk.read().decode(errors="replace").strip(), mend=f"hardtack {arguments[0]} --help",
            )  # fmt: skip
        show.denied += sum(attempt.count for attempt in watched.attempts)
        return json.loads(out.read())


def _describe(show: Show) -> str:
    rows = [(name, f"{seconds:.2f} s", size(count) if count else "", what) for name, what, seconds, count in show.steps]
    rows.append(("in all", f"{sum(seconds for _, _, seconds, _ in show.steps):.2f} s", "", ""))
    lines = [table(rows, ("step", "seconds", "bytes", "")), ""]
    for task, asked, answered in show.answers:
        lines += [f"{task:<9} {asked}", f"{'':<9} → {answered}"]
    lines += [
        "",
        f"network   {show.denied} attempts by hardtack or a model; the kernel denied {show.control} of 1 by a control",
        "",
        "next, with your own model:",
        *(f"  {command}" for command in NEXT),
    ]
    return "\n".join(lines)
