"""Are the keyframes of one clip consistent? Measured on the pictures, so that it works offline."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from flowedit.agent.adjustment import MOST, ColourAdjustment
from flowedit.agent.card import OFFLINE, StyleCard, measure, shrink
from flowedit.agent.colour import Picture, centre, lab_of, palette_distance, to_lab
from flowedit.agent.state import Fault, Styled, Verdict
from flowedit.agent.stylers import LOOKS

_SIDE = 192
_LEAST_MASS = 0.01
_LEAST_OVERLAP = 0.1
"""Share of two pictures that must have like source colours before their styled colours are compared."""
_MOST_DISAGREEMENT = 9.0
"""Lab units that colours may lie from the other keyframes', beyond what the same colours of the source differ by."""
_LEAST_CHANGE = 2.0
"""Mean colour change from the source, in Lab units, below which the style has not been laid on."""
_NEAR = 12.0
"""Palette distance, in Lab units, that counts as near the reference whatever the source's was."""


class _Apart(NamedTuple):
    """How far a keyframe's colours, styled and in the source, are from the others' for like source colours, in Lab.

    `move` is what would bring the styled ones to the others'.
    """

    styled: float = 0.0
    source: float = 0.0
    move: tuple[float, ...] = (0.0, 0.0, 0.0)


def judge_keyframes(
    sources: Mapping[int, Picture], styled: Mapping[int, tuple[Styled, Picture]], card: StyleCard
) -> dict[int, Verdict]:
    """Read every keyframe against its source frame and against the others, by keyframe index.

    The card's palette defines which source colours count as the same.
    """
    small = {index: _aligned(sources[index], picture) for index, (_, picture) in styled.items()}
    apart = _disagreements(small, card)
    return {index: _verdict(pair, apart[index], card) for index, pair in small.items()}


def structure_likeness(source: Picture, styled: Picture) -> float:
    """Correlation of the contours of two pictures of one size, in [-1, 1]; colours and contrast do not count."""
    first, second = (contours - contours.mean() for contours in map(_contours, (source, styled)))
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / scale if scale > 1e-9 else 0.0


def change_ratio(sources: Sequence[Picture], styled: Sequence[Picture], *, regions: int = 24) -> float:
    """How much more regions differ between styled keyframes than between their source frames.

    The root mean square, over all pairs of keyframes of one static-camera clip and all regions (so many across the
    shorter side), of the Lab distance between the region's mean colours, styled divided by source. 1 means that the
    style adds no change of its own.
    """
    moved, restyled = (
        sum(float(((one - other) ** 2).sum()) for one, other in combinations(means, 2))
        for means in ([_region_means(image, regions) for image in images] for images in (sources, styled))
    )
    return float(np.sqrt(restyled / max(moved, 1e-12)))


def _verdict(pair: tuple[Picture, Picture], apart: _Apart, card: StyleCard) -> Verdict:
    source, styled = pair
    change = np.linalg.norm(_lab(source) - _lab(styled), axis=2).mean()
    left = None if card.reference is None else palette_distance(measure([styled]).palette, card.reference.palette)
    verdict = Verdict(
        structure=round(structure_likeness(source, styled), 4),
        disagreement=round(apart.styled, 3),
        change=round(float(change), 3),
        style_distance=None if left is None else round(left, 3),
    )
    faults = *_own_faults(verdict, apart, card), *_wrong_palette(verdict, pair, card)
    return verdict.model_copy(update={"faults": faults})


def _own_faults(verdict: Verdict, apart: _Apart, card: StyleCard) -> Iterator[Fault]:
    least, most = LOOKS[card.look].structure, apart.source + _MOST_DISAGREEMENT
    if verdict.structure < least:
        text = (
            f"It keeps too little of the source's contours ({verdict.structure:.2f}, {least:.2f} is needed): "
            "keep every shape where it is in the source frame."
        )
        yield Fault(kind="contours", text=text)
    if verdict.disagreement > most:
        towards, said = _towards(apart.move)
        text = (
            f"Its colours lie {verdict.disagreement:.0f} Lab units from the other keyframes' where the source is alike "
            f"({most:.0f} at most): use the palette and light of the reference picture.{said}"
        )
        yield Fault(kind="colours", text=text, adjustment=towards)
    if verdict.change < _LEAST_CHANGE:
        text = f"It is almost the source frame (colour change {verdict.change:.1f}): apply the style fully."
        yield Fault(kind="too_faint", text=text)


def _wrong_palette(verdict: Verdict, pair: tuple[Picture, Picture], card: StyleCard) -> Iterator[Fault]:
    # A look painted over the reference's colours has its own palette (a pencil has none), so only what is meant to
    # carry the reference's palette is held to it.
    meant = card.look == "transfer" or card.analysed_by != OFFLINE
    if card.reference is None or verdict.style_distance is None or not meant:
        return
    source, styled = (measure([picture]).palette for picture in pair)
    before = palette_distance(source, card.reference.palette)
    if verdict.style_distance > max(before, _NEAR):
        towards, said = _towards(centre(card.reference.palette) - centre(styled))
        text = (
            f"Its palette is farther from the reference picture ({verdict.style_distance:.0f} Lab units) than the "
            f"source frame was ({before:.0f}): use the reference picture's colours.{said}"
        )
        yield Fault(kind="palette", text=text, adjustment=towards)


def _towards(move: Sequence[float] | np.ndarray) -> tuple[ColourAdjustment, str]:
    """A move in Lab as an adjustment and in words."""
    lightness, red, yellow = (round(float(step), 2) for step in np.clip(move, -MOST, MOST))
    towards = ColourAdjustment(lightness=lightness, red=red, yellow=yellow)
    return towards, f" It should be {words}, in Lab units." if (words := towards.words()) else ""


def _disagreements(small: Mapping[int, tuple[Picture, Picture]], card: StyleCard) -> dict[int, _Apart]:
    swatches = lab_of(card.master.palette)
    tables = {index: _response(source, styled, swatches) for index, (source, styled) in small.items()}
    out = {}
    for index, (mass, before, after) in tables.items():
        gaps = []
        for other in (tables[k] for k in tables if k != index):
            shared = np.minimum(mass, other[0])
            shared[shared < _LEAST_MASS] = 0
            if (total := shared.sum()) >= _LEAST_OVERLAP:
                styled, source = np.linalg.norm(after - other[2], axis=1), np.linalg.norm(before - other[1], axis=1)
                move = shared @ (other[2] - after - (other[1] - before)) / total
                gaps.append(_Apart(float(shared @ styled / total), float(shared @ source / total), tuple(move)))
        # The lower median over the others: one odd keyframe must not make the good ones look odd.
        out[index] = sorted(gaps)[(len(gaps) - 1) // 2] if gaps else _Apart()
    return out


def _response(
    source: Picture, styled: Picture, swatches: Float[np.ndarray, "k 3"]
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "k 3"], Float[np.ndarray, "k 3"]]:
    """For each swatch: share of the picture nearest to it, its mean colour there before and after styling."""
    before, after = _lab(source).reshape(-1, 3), _lab(styled).reshape(-1, 3)
    nearest = ((before[:, None] - swatches[None]) ** 2).sum(axis=2).argmin(axis=1)
    count = np.bincount(nearest, minlength=len(swatches))
    sums = (
        np.stack([np.bincount(nearest, pixels[:, c], len(swatches)) for c in range(3)], axis=1)
        for pixels in (before, after)
    )
    one, other = (total / np.maximum(count, 1)[:, None] for total in sums)
    return count / len(before), one, other


def _aligned(source: Picture, styled: Picture) -> tuple[Picture, Picture]:
    source = shrink(source, _SIDE)
    return source, cv2.resize(styled, source.shape[1::-1], interpolation=cv2.INTER_AREA)


def _lab(image: Picture) -> Float[np.ndarray, "H W 3"]:
    return to_lab(image).astype(np.float64)


def _region_means(image: Picture, regions: int) -> Float[np.ndarray, "rows columns 3"]:
    """Mean Lab colour by region; what is left over at the right and at the bottom is left out."""
    side = max(1, min(image.shape[:2]) // regions)
    rows, columns = image.shape[0] // side, image.shape[1] // side
    whole = _lab(image)[: rows * side, : columns * side]
    return whole.reshape(rows, side, columns, side, 3).mean(axis=(1, 3))


def _contours(image: Picture) -> Float[np.ndarray, "H W"]:
    calm = cv2.GaussianBlur(_lab(image)[..., 0], (0, 0), 1.5)
    slope = np.hypot(cv2.Sobel(calm, cv2.CV_64F, 1, 0), cv2.Sobel(calm, cv2.CV_64F, 0, 1))
    return np.sqrt(slope)
