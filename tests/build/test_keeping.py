from __future__ import annotations

from dataclasses import replace

from hardtack.build.keeping import kept
from hardtack.build.recipe import Recipe
from hardtack.spec.lock import LockedBuild, LockedModel, Overrides
from hardtack.spec.words import Precision, Task

CALIBRATION = "sha256:" + "1" * 64
RECIPE = str(Recipe("static", 1, "2026.4.1", "3.4.0", CALIBRATION))


def test_builds_stay_locked_while_nothing_that_decides_them_changed() -> None:
    build = LockedBuild(RECIPE, Precision.INT8, "sha256:9", ())
    old = LockedModel("m", Task.EMBED, digest="sha256:1", precision=Precision.INT8, builds=(build,))
    new = replace(old, builds=())
    assert kept(old, new, CALIBRATION) == (build,)
    assert kept(old, replace(new, license="mit", gate={"rank": 0.5}), CALIBRATION) == (build,)
    assert kept(old, replace(new, precision=Precision.AUTO), CALIBRATION) == (build,)
    for other in (
        replace(new, digest="sha256:2"),
        replace(new, precision=Precision.FP32),
        replace(new, overrides=Overrides(max_length=9)),
    ):
        assert kept(old, other, CALIBRATION) == ()
    assert kept(old, new, "sha256:" + "2" * 64) == ()
