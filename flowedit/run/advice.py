"""What a finished edit suggests doing differently, and why: every sentence has one trigger."""

from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np

from flowedit.edit.result import EditResult
from flowedit.estimate.colour_map import colour_map
from flowedit.settings import EditSettings

HIGH_GAP = 0.25
"""Relative final gap above which a keyframe's style visibly did not arrive."""
STYLE_DRIFT = 12.0
"""Difference, in 8-bit levels, of two keyframes' mean colours beyond what one colour map makes of both frames."""
FEW_STEPS = 8
"""Steps up to which a distilled LoRA is usually run."""


def advise(result: EditResult) -> list[str]:
    """Sentences of advice about an edit, the most telling first; empty when nothing stands out."""
    return [sentence for check in (_gap_advice, _drift_advice) if (sentence := check(result)) is not None]


def lora_advice(settings: EditSettings, given: Collection[str]) -> str | None:
    """What a run with LoRAs should set if they are distilled ones, which a file does not say, of what was not given."""
    left = {"steps": settings.steps > FEW_STEPS, "guidance": settings.guidance != 1}
    options = {"steps": f"--steps {FEW_STEPS}", "guidance": "--cfg 1"}
    unset = [options[name] for name, wrong in left.items() if wrong and name not in given]
    if not unset:
        return None
    return (
        f"A distilled LoRA is made for 4 to {FEW_STEPS} steps without guidance, and this run takes {settings.steps} at "
        f"guidance {settings.guidance:g}: set {' '.join(unset)} if yours is one."
    )


def _gap_advice(result: EditResult) -> str | None:
    """The keyframes were not reached."""
    if not result.trace.steps or not result.trace.keyframes:
        return None
    gaps = np.nan_to_num(result.trace.steps[-1].gap_norm, nan=0.0)  # an unstyled keyframe has nothing to reach
    worst = int(np.argmax(gaps))
    if gaps[worst] <= HIGH_GAP:
        return None
    missing = f"{gaps[worst]:.0%} of the style change is" if gaps[worst] < 1 else "all of the style change, or more, is"
    return (
        f"Keyframe {result.trace.keyframes[worst]} was not reached: {missing} missing there. "
        f"{_sentence([*_ways_to_reach(result.settings), 'add a keyframe near it'])}"
    )


def _ways_to_reach(settings: EditSettings) -> list[str]:
    """What can still be raised, in half sentences; the share a step where it was given, for alpha is not read then."""
    name, value = ("alpha", settings.alpha) if settings.kappa is None else ("kappa", settings.kappa)
    ways = [] if settings.kappa == 1 else [f"raise {name} (now {value:g}) to pull harder"]
    if settings.strength < 1:
        ways.append(f"raise strength (now {settings.strength:g}) to leave the model more room")
    return ways


def _drift_advice(result: EditResult) -> str | None:
    """The keyframes disagree about the style."""
    if len(result.keyframes) < 2:
        return None
    # What one colour map for all of them leaves over: a dark and a bright frame change differently in one style, too.
    sources = np.stack([result.source[k.index] for k in result.keyframes])
    common = colour_map(sources, {i: k.image for i, k in enumerate(result.keyframes)})
    tints = [
        styled.image.mean(axis=(0, 1)) - mapped.mean(axis=(0, 1))
        for styled, mapped in zip(result.keyframes, common, strict=True)
    ]
    apart = [
        (float(np.abs(a - b).max()), result.keyframes[i].index, result.keyframes[i + 1].index)
        for i, (a, b) in enumerate(pairwise(tints))
    ]
    size, first, second = max(apart)
    if size <= STYLE_DRIFT:
        return None
    return (
        f"Keyframes {first} and {second} ask for different colours (apart by {size:.0f} of 255 levels beyond what one "
        "style explains), so the clip will drift between them. Style them from one reference, or drop one."
    )


def _sentence(ways: Sequence[str]) -> str:
    """Half sentences as one: `Raise a, raise b, or add c` with its stop."""
    text = f"{', '.join(ways[:-1])}, or {ways[-1]}" if len(ways) > 1 else ways[0]
    return f"{text[0].upper()}{text[1:]}."
