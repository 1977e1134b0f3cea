"""What a finished edit suggests doing differently, and why: every sentence has one trigger."""

from itertools import pairwise

import numpy as np

from flowedit.methods import CLASSICAL
from flowedit.methods.colour_map import explains
from flowedit.result import EditResult

HIGH_GAP = 0.25
"""Relative final gap above which a keyframe's style visibly did not arrive."""
EXPLAINED_DB = 35.0
"""PSNR in dB from which a fitted colour map reproduces a keyframe to the eye."""
STYLE_DRIFT = 12.0
"""Difference, in 8-bit levels, of the colour changes that two keyframes ask for."""
SLOW_SECONDS = 120.0
"""Length of a run from which faster settings are worth naming."""


def advise(result: EditResult) -> list[str]:
    """Sentences of advice about an edit, the most telling first; empty when nothing stands out."""
    checks = (_gap_advice, _colour_map_advice, _drift_advice, _speed_advice)
    return [sentence for check in checks if (sentence := check(result)) is not None]


def _gap_advice(result: EditResult) -> str | None:
    """The keyframes were not reached."""
    held = result.settings.fill == "guess"  # the guess shows the keyframes, whatever the latents do
    if held or not result.trace.steps or not result.keyframes:
        return None
    gaps = np.nan_to_num(result.trace.steps[-1].gap_norm, nan=0.0)  # an unstyled keyframe has nothing to reach
    worst = int(np.argmax(gaps))
    if gaps[worst] <= HIGH_GAP:
        return None
    settings = result.settings
    return (
        f"Keyframe {result.trace.keyframes[worst]} was not reached: {gaps[worst]:.0%} of the style change is missing "
        f"there. Raise alpha (now {settings.alpha:g}) to pull harder, raise strength (now {settings.strength:g}) to "
        "leave the model more room, or add a keyframe near it."
    )


def _colour_map_advice(result: EditResult) -> str | None:
    """A plain colour map would do."""
    if not result.keyframes or result.settings.method in CLASSICAL:
        return None
    reached = explains(result.source, {k.index: k.image for k in result.keyframes})
    least = min(reached.values())
    if least < EXPLAINED_DB:
        return None
    return (
        f"A colour map fitted on the keyframes reproduces them at {least:.1f} dB or better: this style changes colours "
        "only, so --method colour-map is exact, and faster."
    )


def _drift_advice(result: EditResult) -> str | None:
    """The keyframes disagree about the style."""
    changes = [k.image.mean(axis=(0, 1)) - result.source[k.index].mean(axis=(0, 1)) for k in result.keyframes]
    if len(changes) < 2:
        return None
    apart = [
        (float(np.abs(a - b).max()), result.keyframes[i].index, result.keyframes[i + 1].index)
        for i, (a, b) in enumerate(pairwise(changes))
    ]
    size, first, second = max(apart)
    if size <= STYLE_DRIFT:
        return None
    return (
        f"Keyframes {first} and {second} ask for different colours (their changes differ by {size:.0f} of 255 levels), "
        "so the clip will drift between them. Style them from one reference, or drop one."
    )


def _speed_advice(result: EditResult) -> str | None:
    """The run was slow, and a setting would make it faster."""
    seconds = sum(result.seconds.values())
    if seconds <= SLOW_SECONDS or not result.trace.steps:
        return None
    settings = result.settings
    guided = f", and guidance 1 (now {settings.guidance:g}) halves the work of each" if settings.guidance != 1 else ""
    return f"This run took {seconds:.0f} s. --preset draft takes fewer steps (now {settings.steps}){guided}."
