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


@dataclass(frozen=True, eq=False)
class Guess:
    """A classical guess of the edited clip.

    Attributes:
        frames: uint8 (F, H, W, 3).
        trust: float32 (F, H, W) in [0, 1]: where the guess needs no repair: the motion is sure, or the colour map
            explains the style so well that there is no detail to carry; 1 at the keyframes.
    """

    frames: UInt8[np.ndarray, "F H W 3"]
    trust: Float32[np.ndarray, "F H W"]


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
    detail = {index: image - _tinted(base[index], image) for index, image in keys.items()}
    # Half the detail around mid grey fits a picture, which is what can be carried.
    carried = propagate(frames, {i: np.rint(d / 2 + _HALF).clip(0, 255).astype(np.uint8) for i, d in detail.items()})
    share = np.sqrt(carried.confidence)[..., None]
    mixed = base + share * 2 * (carried.frames.astype(np.float64) - _HALF)
    left = np.mean([np.square(d).mean() for d in detail.values()])
    doubt = (1 - carried.confidence) * np.float32(min(1.0, left / _UNEXPLAINED**2))
    return Guess(np.rint(mixed).clip(0, 255).astype(np.uint8), 1 - doubt)


def _tinted(base: Float64[np.ndarray, "H W 3"], image: UInt8[np.ndarray, "H W 3"]) -> Float64[np.ndarray, "H W 3"]:
    """The recoloured frame with the keyframe's own tint: the affine change of its colours nearest to the keyframe."""
    pixels = base.reshape(-1, 3)
    terms = np.concatenate([pixels / 255, np.ones((len(pixels), 1))], axis=1)
    error = image.reshape(-1, 3) - pixels
    gram = terms.T @ terms / len(terms) + _TINT_RIDGE / 255**2 * np.eye(4)
    tint = np.linalg.solve(gram, terms.T @ error / len(terms))
    return (pixels + terms @ tint).reshape(base.shape)
