"""The best classical guess: a common colour map, and on top of it the keyframes' own detail carried along the motion.

The colour map knows what every colour becomes, occluded or not, but nothing of lines and texture; propagation knows
those, but not behind an occlusion, and it carries each keyframe's own mistakes. So each keyframe is split into what the
common map explains, what a keyframe's own tint adds (dropped: keyframes painted one by one disagree in it), and the
detail that is left; the detail alone is carried, and counts as far as the motion can be trusted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from flowedit.methods.classical import checked_keyframes
from flowedit.methods.colour_map import colour_map
from flowedit.methods.propagation import propagate

_TINT_RIDGE = 4.0
"""Weight, in squared 8-bit levels, that draws a keyframe's tint towards none."""
_HALF = 128
_UNEXPLAINED = 12.0
"""Detail, root mean square in 8-bit levels, from which a style counts as beyond a colour map."""
_EAGER = 3.0
"""How many times the doubt a repair is laid on the guess: it is mostly better from where doubt begins."""
_AGREE, _DISAGREE = 3.0, 7.0
"""Tints, root mean square in 8-bit levels, up to which keyframes count as agreeing and from which as disagreeing."""
_COMMON = 0.65
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
    keys = checked_keyframes(frames, keyframes)
    base = colour_map(frames, keys).astype(np.float64)
    tinted = {index: _tinted(base[index], image) for index, image in keys.items()}
    detail = {index: image - tinted[index] for index, image in keys.items()}
    # Half the detail around mid grey fits a picture, which is what can be carried.
    carried = propagate(frames, {i: np.rint(d / 2 + _HALF).clip(0, 255).astype(np.uint8) for i, d in detail.items()})
    share = np.sqrt(carried.confidence)[..., None]
    mixed = base + share * 2 * (carried.frames.astype(np.float64) - _HALF)
    left = np.mean([np.square(d).mean() for d in detail.values()])
    doubt = (1 - carried.confidence) * np.float32(min(1.0, left / _UNEXPLAINED**2))
    tint = float(np.mean([np.sqrt(np.square(tinted[index] - base[index]).mean()) for index in keys]))
    return Guess(np.rint(mixed).clip(0, 255).astype(np.uint8), 1 - doubt, tint)


def _tinted(base: Float64[np.ndarray, "H W 3"], image: UInt8[np.ndarray, "H W 3"]) -> Float64[np.ndarray, "H W 3"]:
    """The recoloured frame with the keyframe's own tint: the affine change of its colours nearest to the keyframe."""
    pixels = base.reshape(-1, 3)
    terms = np.concatenate([pixels / 255, np.ones((len(pixels), 1))], axis=1)
    error = image.reshape(-1, 3) - pixels
    gram = terms.T @ terms / len(terms) + _TINT_RIDGE / 255**2 * np.eye(4)
    tint = np.linalg.solve(gram, terms.T @ error / len(terms))
    return (pixels + terms @ tint).reshape(base.shape)
