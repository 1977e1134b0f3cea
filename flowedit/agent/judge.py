"""Are the keyframes of one clip consistent? Measured on the pictures, with thresholds, so that it works offline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from flowedit.agent.card import StyleCard, Swatch, measure, shrink
from flowedit.agent.colour import palette_distance
from flowedit.agent.nudge import Nudge
from flowedit.agent.state import Fault, Styled, Verdict
from flowedit.agent.stylers import LOOKS

Picture = UInt8[np.ndarray, "_H _W 3"]

_SIDE = 192
_LEAST_MASS = 0.01
_LEAST_OVERLAP = 0.1
"""Share of two pictures that must have like source colours before their styled colours are compared."""
_NEAR = 12.0
"""Palette distance, in Lab units, that counts as near the reference whatever the source's was."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What the judge accepts.

    Attributes:
        structure: least likeness of contours to the source; None takes the look's own.
        disagreement: most that a keyframe's colours may lie from the other keyframes', in Lab units, beyond what the
            same colours of the source differ.
        change: least mean colour change from the source, in Lab units: below it the style has not been laid on.
        style_distance: most of the source's palette distance to the reference that may remain, as a share.
    """

    structure: float | None = None
    disagreement: float = 9.0
    change: float = 2.0
    style_distance: float = 1.0


def judge_keyframes(
    sources: Mapping[int, Picture],
    styled: Mapping[int, tuple[Styled, Picture]],
    card: StyleCard,
    thresholds: Thresholds,
) -> dict[int, Verdict]:
    """Read every keyframe against its source and against the others.

    Args:
        sources: source frame by keyframe index.
        styled: the attempt and its picture by keyframe index.
        card: the style; its palette defines which source colours count as the same.
        thresholds: what is accepted.

    Returns:
        A verdict by keyframe index, with reasons in words that a styler can act on.
    """
    small = {index: _aligned(sources[index], styled[index][1]) for index in styled}
    disagreement = _disagreements(small, card)
    return {
        index: _verdict(attempt, small[index], disagreement[index], card, thresholds)
        for index, (attempt, _) in styled.items()
    }


def structure_likeness(source: Picture, styled: Picture) -> float:
    """Correlation of the contours of two pictures of one size, in [-1, 1]; colours and contrast do not count."""
    first, second = (_contours(picture) for picture in (source, styled))
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / scale if scale > 1e-9 else 0.0


def _verdict(
    attempt: Styled,
    pair: tuple[Picture, Picture],
    disagreement: tuple[float, float, Nudge],
    card: StyleCard,
    thresholds: Thresholds,
) -> Verdict:
    source, styled = pair
    apart, usual, towards = disagreement
    verdict = Verdict(
        index=attempt.index,
        attempt=attempt.attempt,
        structure=round(structure_likeness(source, styled), 4),
        disagreement=round(apart, 3),
        change=round(float(np.linalg.norm(_lab(source) - _lab(styled), axis=2).mean()), 3),
        style_distance=_left_to_reference(styled, card),
    )
    faults = (
        *_lost_contours(verdict, card, thresholds),
        *_other_colours(verdict, usual + thresholds.disagreement, towards),
        *_too_faint(verdict, thresholds),
        *_wrong_palette(verdict, pair, card, thresholds),
    )
    return verdict.model_copy(update={"faults": faults})


def _lost_contours(verdict: Verdict, card: StyleCard, thresholds: Thresholds) -> list[Fault]:
    least = LOOKS[card.look].structure if thresholds.structure is None else thresholds.structure
    if verdict.structure >= least:
        return []
    text = (
        f"It keeps too little of the source's contours ({verdict.structure:.2f}, {least:.2f} is needed): "
        "keep every shape where it is in the source frame."
    )
    return [Fault(kind="contours", text=text)]


def _other_colours(verdict: Verdict, most: float, towards: Nudge) -> list[Fault]:
    if verdict.disagreement <= most:
        return []
    text = (
        f"Its colours lie {verdict.disagreement:.0f} Lab units from the other keyframes' where the source is alike "
        f"({most:.0f} at most): use the palette and light of the reference picture.{_said(towards)}"
    )
    return [Fault(kind="colours", text=text, nudge=towards)]


def _too_faint(verdict: Verdict, thresholds: Thresholds) -> list[Fault]:
    if verdict.change >= thresholds.change:
        return []
    text = f"It is almost the source frame (colour change {verdict.change:.1f}): apply the style fully."
    return [Fault(kind="too_faint", text=text)]


def _wrong_palette(
    verdict: Verdict, pair: tuple[Picture, Picture], card: StyleCard, thresholds: Thresholds
) -> list[Fault]:
    source, styled = pair
    # A look painted over the reference's colours has its own palette (a pencil has none), so only what is meant to
    # carry the reference's palette is held to it.
    if card.reference is None or verdict.style_distance is None:
        return []
    if card.look != "transfer" and card.analysed_by == "offline":
        return []
    before = palette_distance(measure([source]).palette, card.reference.palette)
    towards = _towards(_centre(card.reference.palette) - _centre(measure([styled]).palette))
    if verdict.style_distance <= max(thresholds.style_distance * before, _NEAR):
        return []
    text = (
        f"Its palette is farther from the reference picture ({verdict.style_distance:.0f} Lab units) than the source "
        f"frame was ({before:.0f}): use the reference picture's colours.{_said(towards)}"
    )
    return [Fault(kind="palette", text=text, nudge=towards)]


def _said(towards: Nudge) -> str:
    return f" It should be {words}, in Lab units." if (words := towards.words()) else ""


def _left_to_reference(styled: Picture, card: StyleCard) -> float | None:
    if card.reference is None:
        return None
    return round(palette_distance(measure([styled]).palette, card.reference.palette), 3)


def _disagreements(
    small: Mapping[int, tuple[Picture, Picture]], card: StyleCard
) -> dict[int, tuple[float, float, Nudge]]:
    """How far a keyframe's colours are from the others' for like source colours, styled and in the source, by index.

    The third value is what would bring it to the others.
    """
    swatches = np.array([swatch.lab for swatch in card.master.palette])
    tables = {index: _response(source, styled, swatches) for index, (source, styled) in small.items()}
    out = {}
    for index, (mass, before, after) in tables.items():
        gaps = []
        for other in (tables[k] for k in tables if k != index):
            shared = np.minimum(mass, other[0])
            shared[shared < _LEAST_MASS] = 0
            if shared.sum() >= _LEAST_OVERLAP:
                apart, usual = np.linalg.norm(after - other[2], axis=1), np.linalg.norm(before - other[1], axis=1)
                move = shared @ (other[2] - after - (other[1] - before)) / shared.sum()
                gaps.append((_mean(apart, shared), _mean(usual, shared), tuple(move)))
        # The lower median over the others: one odd keyframe must not make the good ones look odd.
        apart, usual, move = sorted(gaps)[(len(gaps) - 1) // 2] if gaps else (0.0, 0.0, (0.0, 0.0, 0.0))
        out[index] = apart, usual, _towards(np.array(move))
    return out


def _towards(move: Float[np.ndarray, " 3"]) -> Nudge:
    """A step in Lab, no longer than a nudge may be."""
    lightness, red, yellow = (round(float(step), 2) for step in np.clip(move, -40, 40))
    return Nudge(lightness=lightness, red=red, yellow=yellow)


def _centre(palette: Sequence[Swatch]) -> Float[np.ndarray, " 3"]:
    weights = np.array([swatch.weight for swatch in palette])
    return weights @ np.array([swatch.lab for swatch in palette]) / weights.sum()


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float((values * weights).sum() / max(float(weights.sum()), 1e-9))


def _response(
    source: Picture, styled: Picture, swatches: Float[np.ndarray, "k 3"]
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "k 3"], Float[np.ndarray, "k 3"]]:
    """For each swatch: share of the picture nearest to it, its mean colour there before and after styling."""
    before, after = _lab(source).reshape(-1, 3), _lab(styled).reshape(-1, 3)
    nearest = ((before[:, None] - swatches[None]) ** 2).sum(axis=2).argmin(axis=1)
    count = np.bincount(nearest, minlength=len(swatches))
    means = [
        np.stack([np.bincount(nearest, pixels[:, c], len(swatches)) for c in range(3)], axis=1)
        / np.maximum(count, 1)[:, None]
        for pixels in (before, after)
    ]
    return count / len(before), means[0], means[1]


def _aligned(source: Picture, styled: Picture) -> tuple[Picture, Picture]:
    source = shrink(source, _SIDE)
    return source, cv2.resize(styled, source.shape[1::-1], interpolation=cv2.INTER_AREA)


def _lab(image: Picture) -> Float[np.ndarray, "H W 3"]:
    return cv2.cvtColor(image.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2Lab).astype(np.float64)


def _contours(image: Picture) -> Float[np.ndarray, "H W"]:
    calm = cv2.GaussianBlur(_lab(image)[..., 0], (0, 0), 1.5)
    slope = np.hypot(cv2.Sobel(calm, cv2.CV_64F, 1, 0), cv2.Sobel(calm, cv2.CV_64F, 0, 1))
    return np.sqrt(slope)
