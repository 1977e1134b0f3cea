"""What a finished edit suggests doing differently, and why: every sentence has one trigger."""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from flowedit.edit.result import EditResult
from flowedit.estimate.colour_map import colour_map, explains
from flowedit.presets import KNOWN, model_defaults
from flowedit.settings import CLASSICAL, EditSettings

HIGH_GAP = 0.25
"""Relative final gap above which a keyframe's style visibly did not arrive."""
EXPLAINED_DB = 35.0
"""PSNR in dB from which a fitted colour map reproduces a keyframe to the eye."""
STYLE_DRIFT = 12.0
"""Difference, in 8-bit levels, of two keyframes' mean colours beyond what one colour map makes of both frames."""
SLOW_SECONDS = 120.0
"""Length of a run from which faster settings are worth naming."""
FEW_STEPS = 8
"""Steps up to which a distilled LoRA is usually run."""
_WORK = ("steps",)
"""Settings of a preset that make a run shorter the smaller they are."""


def advise(result: EditResult) -> list[str]:
    """Sentences of advice about an edit, the most telling first; empty when nothing stands out."""
    checks = (_gap_advice, _colour_map_advice, _drift_advice, _speed_advice)
    return [sentence for check in checks if (sentence := check(result)) is not None]


def lora_advice(settings: EditSettings, given: Collection[str]) -> str | None:
    """What a run with LoRAs should set if they are distilled ones, which a file does not say.

    Args:
        settings: of the run.
        given: names of the settings that the user gave.

    Returns:
        One sentence; None where nothing is left to set.
    """
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


def _colour_map_advice(result: EditResult) -> str | None:
    """A plain colour map would do."""
    if not result.keyframes or result.settings.classical:
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


def _speed_advice(result: EditResult) -> str | None:
    """The run was slow, and a setting would make it faster."""
    seconds = sum(result.seconds.values())
    if seconds <= SLOW_SECONDS or not result.trace.steps:
        return None
    ways = _ways_to_hurry(result)
    return f"This run took {seconds:.0f} s. {_sentence(ways)}" if ways else None


def _ways_to_hurry(result: EditResult) -> list[str]:
    """What would take less work, in half sentences."""
    settings = result.settings
    ways = _draft_ways(settings, model_defaults(result.model).settings("draft")) if result.model in KNOWN else []
    if settings.guidance != 1:
        ways.append(f"set guidance to 1 (now {settings.guidance:g}) to halve the work of each step")
    return ways


def _draft_ways(settings: EditSettings, draft: Mapping[str, Any]) -> list[str]:
    """What the model's draft does less of; nothing for a model without presets of its own."""
    if draft["method"] in CLASSICAL:
        return [] if settings.classical else ["use --preset draft, which takes no model"]
    now = settings.to_dict()
    less = [
        f"{name} {draft[name]:g} (now {now[name]:g})" for name in _WORK if name in draft and draft[name] < now[name]
    ]
    return [f"use --preset draft for {' and '.join(less)}"] if less else []


def _sentence(ways: Sequence[str]) -> str:
    """Half sentences as one: `Raise a, raise b, or add c` with its stop."""
    text = f"{', '.join(ways[:-1])}, or {ways[-1]}" if len(ways) > 1 else ways[0]
    return f"{text[0].upper()}{text[1:]}."
