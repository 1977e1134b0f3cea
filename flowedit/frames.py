"""Pixel frames and latent slots of a causal video autoencoder that groups frames 1, 4, 4, 4, ... (Wan).

Pixel frame `i` lies in latent slot `(i + 3) // 4`; a clip of `4n + 1` frames has `n + 1` slots. Indices that a user
sees are always pixel indices; `slots_of` is the one place where they become slots.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import UInt8

from flowedit.errors import KeyframeError, VideoShapeError

Image = UInt8[np.ndarray, "H W 3"]
Video = UInt8[np.ndarray, "F H W 3"]

GROUP = 4
"""Pixel frames in every latent slot but the first, which holds one."""
MOST_PIXELS, LONGEST, SHORTEST = 8192 * 4320, 32, 16
"""Pixels that a frame may have in all, its longer side in its shorter ones, beyond which memory runs out, and the least
of its shorter side, below which no motion can be followed."""


@dataclass(frozen=True, kw_only=True)
class ClipShape:
    """The size of a clip in pixels: frames, height, width."""

    num_frames: int
    height: int
    width: int


def slot_of(index: int) -> int:
    """The latent slot of pixel frame `index` (from 0).

    >>> [slot_of(i) for i in (0, 1, 4, 5, 8)]
    [0, 1, 1, 2, 2]
    """
    return (index + GROUP - 1) // GROUP


def group_of(slot: int) -> range:
    """The pixel frames that latent `slot` stands for: 0 alone, then 1 to 4, and so on."""
    return range(1) if slot == 0 else range(GROUP * (slot - 1) + 1, GROUP * slot + 1)


def slot_count(num_frames: int) -> int:
    """The number of latent slots of a clip of `4n + 1` frames."""
    check_num_frames(num_frames)
    return (num_frames - 1) // GROUP + 1


def check_num_frames(num_frames: int) -> None:
    """Refuse a number of frames that is not `4n + 1`, naming the nearest that are."""
    if num_frames < 1 or num_frames % GROUP != 1:
        lower = longest_legal(max(num_frames, 1))
        raise VideoShapeError(f"Wan needs 4n + 1 frames; got {num_frames}. Use {lower} or {lower + GROUP}.")


def longest_legal(num_frames: int) -> int:
    """The largest `4n + 1` that does not exceed `num_frames` (at least 1)."""
    return (num_frames - 1) // GROUP * GROUP + 1


def check_size(height: int, width: int, multiple: int) -> None:
    """Refuse a frame size that the model cannot divide, naming the nearest that it can."""
    if height % multiple or width % multiple or height < multiple or width < multiple:
        low = [max(multiple, side // multiple * multiple) for side in (height, width)]
        high = [max(multiple, -(-side // multiple) * multiple) for side in (height, width)]
        raise VideoShapeError(
            f"The model needs height and width in multiples of {multiple}; got {height}x{width}. "
            f"Use {low[0]}x{low[1]} or {high[0]}x{high[1]}."
        )
    if height * width > MOST_PIXELS:
        raise VideoShapeError(f"A frame may have {MOST_PIXELS:,} pixels; {height}x{width} has {height * width:,}.")


def check_sides(height: int, width: int) -> None:
    """Refuse a frame that is too small or too long to follow motion in."""
    if min(height, width) < SHORTEST or max(height, width) > LONGEST * min(height, width):
        raise VideoShapeError(
            f"A frame is at least {SHORTEST}x{SHORTEST} and at most {LONGEST} times as long as wide; got "
            f"{height}x{width}. Crop or enlarge it."
        )


def fit_size(height: int, width: int, *, area: int, multiple: int) -> tuple[int, int]:
    """The (height, width) in multiples of `multiple` nearest to a clip's aspect at about `area` pixels.

    Among those around the ideal size it takes the one whose aspect is nearest, then whose area is nearest.

    >>> fit_size(720, 1280, area=128 * 128, multiple=16)
    (96, 176)
    """
    check_sides(height, width)
    ideal = ((area * height / width) ** 0.5, (area * width / height) ** 0.5)
    sides = [[max(multiple, (int(side) // multiple + k) * multiple) for k in (0, 1)] for side in ideal]
    candidates = [(h, w) for h in sides[0] for w in sides[1]]

    def misfit(size: tuple[int, int]) -> float:
        stretch = max(size[0] * width, size[1] * height) / min(size[0] * width, size[1] * height)
        growth = max(size[0] * size[1], area) / min(size[0] * size[1], area)
        return stretch * growth**0.5

    return min(candidates, key=misfit)


def slots_of(indices: Sequence[int], num_frames: int) -> tuple[int, ...]:
    """The latent slots of keyframes given by pixel index, in a clip of `num_frames`, `4n + 1`."""
    check_num_frames(num_frames)
    for index in indices:
        if not 0 <= index < num_frames:
            raise KeyframeError(f"Keyframe {index} is outside the clip; its frames are 0 to {num_frames - 1}.")
    for first, second in pairwise(indices):
        if first == second:
            raise KeyframeError(f"Keyframe {first} is given twice; give each frame once.")
        if first > second:
            raise KeyframeError(f"Keyframe {second} comes after {first}; give the indices in increasing order.")
        if slot_of(first) == slot_of(second):
            slot = slot_of(first)
            free = GROUP * (slot + 1 if slot < slot_of(num_frames - 1) else slot - 1)
            raise KeyframeError(
                f"Keyframes {first} and {second} lie in one latent slot (frames {group_of(slot)[0]} to "
                f"{group_of(slot)[-1]}); keep one, or move one to frame {free}."
            )
    return tuple(slot_of(index) for index in indices)
