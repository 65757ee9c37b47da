"""CPU quotas of control groups, version 1 and 2, seen through a made-up root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hardtack.runtime.cpus import usable_cpus


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 64 CPUs with no control groups."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    return tmp_path


def put(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n")


def test_no_groups_at_all(root: Path) -> None:
    assert usable_cpus(root) == 64


def test_affinity(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    put(root, "proc/self/cgroup", "0::/")
    put(root, "sys/fs/cgroup/cpu.max", "800000 100000")
    assert usable_cpus(root) == 2


@pytest.mark.parametrize(
    ("limit", "cpus"), [("max 100000", 64), ("200000 100000", 2), ("250000 100000", 2), ("50000 100000", 1)]
)
def test_version_2(limit: str, cpus: int, root: Path) -> None:
    put(root, "proc/self/cgroup", "0::/")
    put(root, "sys/fs/cgroup/cpu.max", limit)
    assert usable_cpus(root) == cpus


def test_the_smallest_of_a_groups_ancestors(root: Path) -> None:
    put(root, "proc/self/cgroup", "0::/kube.slice/pod/box")
    put(root, "sys/fs/cgroup/kube.slice/pod/box/cpu.max", "max 100000")
    put(root, "sys/fs/cgroup/kube.slice/pod/cpu.max", "300000 100000")
    put(root, "sys/fs/cgroup/kube.slice/cpu.max", "1600000 100000")
    assert usable_cpus(root) == 3


def test_a_container_that_sees_its_hosts_path(root: Path) -> None:
    put(root, "proc/self/cgroup", "0::/docker/0123abcd")
    put(root, "sys/fs/cgroup/cpu.max", "400000 100000")
    assert usable_cpus(root) == 4


@pytest.mark.parametrize("folder", ["cpu,cpuacct", "cpu"])
@pytest.mark.parametrize(("quota", "cpus"), [("-1", 64), ("600000", 6)])
def test_version_1(folder: str, quota: str, cpus: int, root: Path) -> None:
    put(root, "proc/self/cgroup", "4:memory:/box\n2:cpu,cpuacct:/box\n1:name=systemd:/box")
    put(root, f"sys/fs/cgroup/{folder}/box/cpu.cfs_quota_us", quota)
    put(root, f"sys/fs/cgroup/{folder}/box/cpu.cfs_period_us", "100000")
    assert usable_cpus(root) == cpus


def test_both_versions_at_once(root: Path) -> None:
    put(root, "proc/self/cgroup", "2:memory:/\n1:cpu:/\n0::/")
    put(root, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "500000")
    put(root, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000")
    put(root, "sys/fs/cgroup/unified/cpu.max", "700000 100000")
    assert usable_cpus(root) == 5


def test_a_group_outside_of_the_namespace(root: Path) -> None:
    put(root, "proc/self/cgroup", "0::/../../other")
    assert usable_cpus(root) == 64


def test_this_machine() -> None:
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)
