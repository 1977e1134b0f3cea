"""What the classical methods ask of their keyframes."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8

from flowedit.errors import KeyframeError


def checked_keyframes(
    frames: UInt8[np.ndarray, "F H W 3"], keyframes: Mapping[int, UInt8[np.ndarray, "H W 3"]]
) -> dict[int, UInt8[np.ndarray, "H W 3"]]:
    """The keyframes in order of time.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        keyframes: styled images by pixel index.

    Raises:
        KeyframeError: there is none, or one lies outside the clip, or has another size than the frames.
    """
    if not keyframes:
        raise KeyframeError("A classical method needs at least 1 keyframe; got 0.")
    for index, image in keyframes.items():
        if not 0 <= index < len(frames):
            raise KeyframeError(f"Keyframe {index} is outside the clip; use 0 to {len(frames) - 1}.")
        if image.shape != frames.shape[1:] or image.dtype != np.uint8:
            raise KeyframeError(
                f"Keyframe {index} is {image.dtype} {image.shape}, the frames uint8 {frames.shape[1:]}; resize it."
            )
    return dict(sorted(keyframes.items()))
