"""Carry an edit made at the model's size to the source's own resolution, with the full source as guide."""

from functools import partial

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from flowedit.errors import VideoShapeError
from flowedit.media.images import resize_image

RADIUS = 1
"""Half the side of the window in which the change is a linear function of the source's colour, in small pixels."""
EPSILON = 1e-4
"""Variance of the source's colours, white being 1, below which a window counts as flat: only its mean is changed."""
ROUNDS = 3
"""Times that what is still missing, seen at the small size, is added."""

Frame = UInt8[np.ndarray, "H W 3"]
SmallFrame = UInt8[np.ndarray, "h w 3"]


def carry_change(
    source: UInt8[np.ndarray, "F H W 3"], edited: UInt8[np.ndarray, "F h w 3"]
) -> UInt8[np.ndarray, "F H W 3"]:
    """The source at its own size with the change that was computed at a smaller one; frame by frame, `carry_frame`.

    Args:
        source: the source at full size, uint8 (F, H, W, 3).
        edited: the edit, uint8 (F, h, w, 3), of the source shrunk to its size by area average (`resize_video`).

    Raises:
        VideoShapeError: the frame counts differ, or the edit is larger than the source.
    """
    if len(source) != len(edited) or edited.shape[1] > source.shape[1] or edited.shape[2] > source.shape[2]:
        raise VideoShapeError(
            f"An edit of {edited.shape[:3]} cannot be carried to a source of {source.shape[:3]} (frames, height, "
            "width): give as many frames, and a source at least as large."
        )
    return np.stack([carry_frame(full, small) for full, small in zip(source, edited, strict=True)])


def carry_frame(source: Frame, edited: SmallFrame) -> Frame:
    """One frame of `carry_change`.

    In every small window the change `edited - small(source)` is fitted as a linear function of the source's colour
    (the guided filter of He, Sun and Tang 2013, with a colour guide); the coefficients are smooth, so they are
    enlarged, and applied to the full source (the fast guided filter of He and Sun 2015). Edges of the change then lie
    on edges of the source, and detail below the small pixel is recoloured with its surroundings. What a linear
    function cannot say, a drawn line for one, is still missing when the result is shrunk again; that remainder is
    enlarged smoothly and added. Where nothing was changed, the source is returned to the last bit.
    """
    shape, small_shape = source.shape[:2], edited.shape[:2]
    small = resize_image(source, small_shape)
    full, guide = _unit(source), _unit(small)
    change = _unit(edited) - guide
    slope, offset = _linear_models(guide, change)
    steep = _enlarged(slope.reshape(*small_shape, 9), shape).reshape(*shape, 3, 3)
    made = np.clip(full + np.einsum("hwi,hwio->hwo", full, steep) + _enlarged(offset, shape), 0, 1)
    return np.rint(_completed(made, full, change) * 255).astype(np.uint8)


def with_perfect_guide(source: Frame, edited: SmallFrame, truth: Frame) -> Frame:
    """What `carry_frame` would give if its guide were the answer itself: only what the small edit says stays wrong.

    About as much as any guide can give, so this tells an edit's own error from that of carrying it.

    Args:
        source: the frame at full size, uint8 (H, W, 3).
        edited: the edit of its smaller copy, uint8 (h, w, 3).
        truth: the exact edit at full size, uint8 (H, W, 3).
    """
    full = _unit(source)
    change = _unit(edited) - _unit(resize_image(source, edited.shape[:2]))
    return np.rint(_completed(_unit(truth), full, change) * 255).astype(np.uint8)


def _completed(
    made: Float32[np.ndarray, "H W 3"], full: Float32[np.ndarray, "H W 3"], change: Float32[np.ndarray, "h w 3"]
) -> Float32[np.ndarray, "H W 3"]:
    """Add smoothly what of the small change is missing in `made`, seen small."""
    shape, small_shape = full.shape[:2], change.shape[:2]
    for _ in range(ROUNDS):
        missing = change - cv2.resize(made - full, small_shape[::-1], interpolation=cv2.INTER_AREA)
        made = np.clip(made + cv2.resize(missing, shape[::-1], interpolation=cv2.INTER_CUBIC), 0, 1)
    return made


def _linear_models(
    guide: Float32[np.ndarray, "h w 3"], change: Float32[np.ndarray, "h w 3"]
) -> tuple[Float32[np.ndarray, "h w 3 3"], Float32[np.ndarray, "h w 3"]]:
    """For every pixel the mean over its windows of the best (slope, offset): `change = guide @ slope + offset`."""
    mean = partial(cv2.blur, ksize=(2 * RADIUS + 1,) * 2, borderType=cv2.BORDER_REFLECT)
    mean_guide, mean_change = mean(guide), mean(change)
    variance, shared = (
        mean((guide[..., :, None] * other[..., None, :]).reshape(*guide.shape[:2], 9)).reshape(*guide.shape[:2], 3, 3)
        - mean_guide[..., :, None] * centre[..., None, :]
        for other, centre in ((guide, mean_guide), (change, mean_change))
    )
    slope = np.linalg.solve(variance + EPSILON * np.eye(3, dtype=np.float32), shared)
    offset = mean_change - np.einsum("hwi,hwio->hwo", mean_guide, slope)
    return mean(slope.reshape(*guide.shape[:2], 9)).reshape(slope.shape), mean(offset)


def _unit(frame: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    return frame.astype(np.float32) / np.float32(255)


def _enlarged(values: Float32[np.ndarray, "h w c"], shape: tuple[int, int]) -> Float32[np.ndarray, "H W c"]:
    """cv2.resize takes at most 4 channels with most of its methods, any number with this one."""
    return cv2.resize(values, shape[::-1], interpolation=cv2.INTER_LINEAR)
