"""The figures of one edit: which frames each of them looks at."""

import numpy as np
import pytest

from benchmarks.cases import Case, Condition, World
from benchmarks.score import score
from flowedit.keyframes import Keyframe


def test_each_figure_looks_at_its_own_frames():
    """Catches: keyframes among the others, a frame four away counted as near, and SSIM of other frames than PSNR's."""
    rng = np.random.default_rng(0)
    truth = rng.integers(60, 200, (17, 16, 16, 3), dtype=np.uint8)
    keyframes = tuple(Keyframe(i, truth[i]) for i in (0, 16))
    case = Case(
        world=World.OWN,
        scene=0,
        family="thick outlines",
        condition=Condition.EXACT,
        caption="",
        source_caption="",
        frames=truth,
        truth=truth,
        ink=np.zeros(truth.shape[:3], np.float32),
        hidden=None,
        flow=None,
        visible=None,
        keyframes=keyframes,
    )
    near, far = [1, 2, 3, 13, 14, 15], list(range(4, 13))
    for spoilt, name in (([0, 16], "key"), (near, "near"), (far, "far")):
        edited = truth.copy()
        edited[spoilt] += 20
        found = score(case, edited)
        for place in ("key", "near", "far"):
            if place == name:
                assert found[f"psnr_{place}"] == pytest.approx(20 * np.log10(255 / 20), abs=0.01)
                assert found[f"ssim_{place}"] < 0.999
            else:
                assert found[f"psnr_{place}"] == 40
                assert found[f"ssim_{place}"] == pytest.approx(1)
