"""``hardtack doctor``: what is here, what it decides, and what mends what is not right."""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import click

from hardtack.cli.environment import decisions, former_names
from hardtack.cli.output import print_json, reporting, table
from hardtack.offline.guard import can_guard
from hardtack.places import policy_of, store_of
from hardtack.runtime.cpus import usable_cpus
from hardtack.runtime.instructions import read_instructions
from hardtack.runtime.native.library import ability
from hardtack.settings import Policy, Settings, read_settings
from hardtack.supply.health import (
    Finding,
    Health,
    hub_finding,
    legacy_findings,
    network_findings,
    store_findings,
)
from hardtack.supply.hub import Hub
from hardtack.supply.patience import Patience

_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16")
_ENGINES = {
    "openvino": ("what runs the models", "pip install openvino"),
    "torch": ("only for models that nothing here draws", "pip install 'hardtack[torch]'"),
    "transformers": ("only for models that nothing here draws", "pip install 'hardtack[torch]'"),
    "sentence_transformers": ("only for comparing with it", "pip install 'hardtack[torch]'"),
}
_SECONDS = 3.0
_SIGNS = {Health.GOOD: "✓", Health.NOTE: "·", Health.BROKEN: "✗"}


@click.command("doctor")
@click.option("--offline", is_flag=True, help="Do not ask whether the Hub answers.")
@reporting
def command(offline: bool, as_json: bool, quiet: bool) -> int:
    """Show what the environment decides, what machine, store and network are like, and what mends what is not right.

    Exit 0 unless something is broken. The Hub is asked only where the policy is online.
    """
    settings = read_settings()
    rows = list(decisions(settings, os.environ, Path.cwd()))
    findings = [
        *former_names(os.environ), *_machine(), *_engines(), _native(), _guard(), *store_findings(store_of(settings)),
        *legacy_findings(Path.home(), settings.hub_cache, settings.legacy_caches), *network_findings(os.environ),
        *_hub(settings, offline=offline),
    ]  # fmt: skip
    broken = any(finding.health is Health.BROKEN for finding in findings)
    if as_json:
        print_json({
            "good": not broken, "environment": [asdict(row) for row in rows],
            "findings": [asdict(finding) for finding in findings],
        })  # fmt: skip
    else:
        if not quiet:
            click.echo(table([(row.what, row.value, row.source) for row in rows], ("what", "is", "by")) + "\n")
        for finding in findings:
            if not quiet or finding.health is Health.BROKEN:
                click.echo(f"{_SIGNS[finding.health]} {finding.topic}: {finding.text}")
                if finding.mend:
                    click.echo(f"    mend: {finding.mend}")
    return 1 if broken else 0


def _machine() -> Iterator[Finding]:
    flags = read_instructions().flags
    here = ", ".join(name for name in _FEATURES if name in flags) or "none of those that matter"
    yield Finding("cpu", Health.GOOD, f"{platform.machine()}, {usable_cpus()} usable, {here}")


def _engines() -> Iterator[Finding]:
    for name, (use, install) in _ENGINES.items():
        # not imported: torch takes seconds, and a broken installation would end the doctor
        if importlib.util.find_spec(name) is not None:
            yield Finding("engine", Health.GOOD, f"{name} is installed")
        else:
            # where the native engine runs, an image may be meant to have no other
            needed = name == "openvino" and ability().library is None
            health = Health.BROKEN if needed else Health.NOTE
            yield Finding("engine", health, f"{name} is not installed: {use}", install)


def _native() -> Finding:
    able = ability()
    if able.library is not None:
        return Finding("engine", Health.GOOD, "native can run here: BERT, RoBERTa, XLM-R and MPNet in bf16 on AMX")
    if not read_instructions().tiles:
        return Finding(
            "engine", Health.NOTE, "native is only for CPUs with AMX, which this one is not: nothing is missed"
        )
    mend = "" if able.built else "pip install --force-reinstall --no-deps --no-binary=hardtack 'hardtack'"
    return Finding("engine", Health.NOTE, f"native, fastest on this CPU, does not run: {able.why_not}", mend)


def _guard() -> Finding:
    guarding = can_guard()
    if guarding.able:
        return Finding("guard", Health.GOOD, f"{guarding.kernel} can keep a process off the network: prove works")
    return Finding("guard", Health.NOTE, f"`prove` does not work here: {guarding.why_not}", "hardtack verify")


def _hub(settings: Settings, *, offline: bool) -> Iterator[Finding]:
    if offline or policy_of(settings) is not Policy.ONLINE:
        why = "--offline" if offline else "the policy is strict"
        yield Finding("hub", Health.NOTE, f"{settings.endpoint} was not asked: {why}")
        return
    quick = replace(settings, timeout=_SECONDS, token=None)
    yield hub_finding(Hub.of(quick, patience=Patience(attempts=1)))
