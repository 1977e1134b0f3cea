"""The best classical guess: two maps common to all keyframes, and on top the keyframes' own detail carried along.

The colour map knows what every colour becomes, occluded or not, but nothing of lines and texture; the map from a
pixel's surroundings knows outlines and glow; propagation knows everything, but not behind an occlusion, and it carries
each keyframe's own mistakes. So each keyframe is split into what the colour map explains, what a keyframe's own tint
adds (dropped: keyframes painted one by one disagree in it), what the surroundings explain, and the detail that is
left; the detail alone is carried, and counts as far as the motion can be trusted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from flowedit.methods.classical import checked_keyframes
from flowedit.methods.colour_map import colour_map
from flowedit.methods.propagation import Propagated, propagate_sets
from flowedit.methods.surroundings import Surroundings

_TINT_RIDGE = 4.0
"""Weight, in squared 8-bit levels, that draws a keyframe's tint towards none."""
_HALF = 128
_UNEXPLAINED = 12.0
"""Detail, root mean square in 8-bit levels, from which carrying it counts as a risk."""
_NOTHING = 1.5
"""Detail up to which the colour map has explained the style, and surroundings have nothing to tell."""
_EAGER = 8.0
"""How many times the doubt a repair is laid on the guess: it is better nearly from where doubt begins."""
_AGREE, _DISAGREE = 3.0, 7.0
"""Tints, root mean square in 8-bit levels, up to which keyframes count as agreeing and from which as disagreeing."""
_COMMON = 1.0
"""Share of the repair everywhere when keyframes disagree, for then the guess is uncertain everywhere."""


@dataclass(frozen=True, eq=False)
class Guess:
    """A classical guess of the edited clip.

    Attributes:
        frames: uint8 (F, H, W, 3).
        trust: float32 (F, H, W) in [0, 1]: where the guess needs no repair: the motion is sure, or the colour map
            explains the style so well that there is no detail to carry; 1 at the keyframes.
        tint: how far the keyframes' own colours are from the common map, root mean square in 8-bit levels, the mean
            over the keyframes: near 0 where they agree.
    """

    frames: UInt8[np.ndarray, "F H W 3"]
    trust: Float32[np.ndarray, "F H W"]
    tint: float = 0.0

    def repair_share(self) -> Float32[np.ndarray, "F H W"]:
        """How far a model's repair takes the guess's place at each pixel, in [0, 1].

        The numbers in it were chosen on the benchmark's validation scenes; see docs/quality.md.
        """
        disagree = min(1.0, max(0.0, (self.tint - _AGREE) / (_DISAGREE - _AGREE)))
        return np.clip(_EAGER * (1 - self.trust), np.float32(_COMMON * disagree), 1)

    def window(self, part: slice) -> "Guess":
        """The guess of some of the frames."""
        return Guess(self.frames[part], self.trust[part], self.tint)


def classical_guess(
    frames: UInt8[np.ndarray, "F H W 3"], keyframes: Mapping[int, UInt8[np.ndarray, "H W 3"]]
) -> UInt8[np.ndarray, "F H W 3"]:
    """The frames of `guess`, without the trust."""
    return guess(frames, keyframes).frames


def guess(frames: UInt8[np.ndarray, "F H W 3"], keyframes: Mapping[int, UInt8[np.ndarray, "H W 3"]]) -> Guess:
    """Recolour the clip by the common map and carry the keyframes' detail to every frame.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        keyframes: styled images, uint8 (H, W, 3), by pixel index.

    Raises:
        KeyframeError: no keyframe, or one outside the clip, or of another size.
    """
    return guesses(frames, [keyframes])[0]


def guesses(
    frames: UInt8[np.ndarray, "F H W 3"], sets: Sequence[Mapping[int, UInt8[np.ndarray, "H W 3"]]]
) -> list[Guess]:
    """`guess` for several sets of keyframes at the same indices, which share motion and surroundings.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        sets: styled images by pixel index, the same indices in each.

    Raises:
        KeyframeError: as for `guess`, or sets that differ in their indices.
    """
    drawings = [_Drawing(frames, checked_keyframes(frames, keyframes)) for keyframes in sets]
    _draw(frames, [drawing for drawing in drawings if drawing.power > _NOTHING**2])
    carried = propagate_sets(frames, [drawing.pictures() for drawing in drawings])
    return [drawing.with_detail(detail) for drawing, detail in zip(drawings, carried, strict=True)]


class _Drawing:
    """A guess in the making.

    Attributes:
        base: what the maps know of every frame so far, float32 (F, H, W, 3).
        detail: what base and tint leave of each keyframe, in 8-bit levels, by pixel index.
        tint: how far the keyframes' own colours are from the base.
    """

    def __init__(self, frames: UInt8[np.ndarray, "F H W 3"], keys: Mapping[int, UInt8[np.ndarray, "H W 3"]]) -> None:
        self.base = colour_map(frames, keys).astype(np.float32)
        self._keys = keys
        self._coloured = {index: self.base[index].copy() for index in keys}
        self.split()

    def split(self) -> None:
        """Take base and tint from each keyframe."""
        self.detail: dict[int, Float32[np.ndarray, "H W 3"]] = {}
        tints = []
        for index, image in self._keys.items():
            coloured = self._coloured[index]
            left = image - (self.base[index] - coloured)
            tinted = _tinted(coloured, left)
            self.detail[index] = left - tinted
            tints.append(float(np.sqrt(np.square(tinted - coloured).mean())))
        self.tint = float(np.mean(tints))

    @property
    def power(self) -> float:
        """Mean square of the detail, in squared 8-bit levels."""
        return float(np.mean([np.square(d).mean() for d in self.detail.values()]))

    def pictures(self) -> dict[int, UInt8[np.ndarray, "H W 3"]]:
        """The detail as something that can be carried: half of it around mid grey fits a picture."""
        return {i: np.rint(d / 2 + _HALF).clip(0, 255).astype(np.uint8) for i, d in self.detail.items()}

    def with_detail(self, carried: Propagated) -> Guess:
        """The carried detail on the base, as far as it is trusted."""
        share = np.sqrt(carried.confidence)[..., None]
        mixed = self.base + share * 2 * (carried.frames.astype(np.float32) - _HALF)
        doubt = (1 - carried.confidence) * np.float32(min(1.0, self.power / _UNEXPLAINED**2))
        return Guess(np.rint(mixed).clip(0, 255).astype(np.uint8), 1 - doubt, self.tint)


def _draw(frames: UInt8[np.ndarray, "F H W 3"], drawings: Sequence[_Drawing]) -> None:
    """Add to each base what the surroundings tell of its style, where the keyframes bear one another out."""
    if not drawings:
        return
    known = Surroundings({index: frames[index] for index in drawings[0].detail})
    learned = [(drawing, known.learn(drawing.detail)) for drawing in drawings]
    learned = [(drawing, style) for drawing, style in learned if style.belief > 0]
    for i, frame in enumerate(frames if learned else ()):
        for (drawing, _), added in zip(learned, known.tell(frame, [style for _, style in learned]), strict=True):
            drawing.base[i] += added
    for drawing, _ in learned:
        drawing.split()


def _tinted(base: Float32[np.ndarray, "H W 3"], image: Float32[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "H W 3"]:
    """The recoloured frame with the keyframe's own tint: the affine change of its colours nearest to the keyframe."""
    pixels = base.reshape(-1, 3).astype(np.float64)
    terms = np.concatenate([pixels / 255, np.ones((len(pixels), 1))], axis=1)
    error = image.reshape(-1, 3) - pixels
    gram = terms.T @ terms / len(terms) + _TINT_RIDGE / 255**2 * np.eye(4)
    tint = np.linalg.solve(gram, terms.T @ error / len(terms))
    return (pixels + terms @ tint).reshape(base.shape).astype(np.float32)
