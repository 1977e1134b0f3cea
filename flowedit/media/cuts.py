"""Where one shot ends and another begins."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from jaxtyping import Float32

from flowedit.media.images import Picture

_THUMB = (48, 27)
_CUT = 5.0
_PROMINENCE = 4.0


def find_cuts(frames: Iterable[Picture]) -> tuple[int, ...]:
    """First frames of the shots after the first, found where neighbouring frames differ far more than around them.

    A camera that pans or a light that flares changes many neighbouring frames alike; a cut changes one pair.
    """
    thumbs = np.stack([_thumb(frame) for frame in frames])
    steps = np.abs(np.diff(thumbs, axis=0)).mean(axis=(1, 2, 3))
    cuts = []
    for k, step in enumerate(steps):
        around = np.concatenate([steps[max(0, k - 6) : k], steps[k + 1 : k + 7]])
        usual = float(np.median(around)) if len(around) else 0.0
        if step > _CUT and step > _PROMINENCE * usual and not _flash(thumbs, k):
            cuts.append(k + 1)
    return tuple(cuts)


def cuts_note(frames: Sequence[Picture] | np.ndarray, window: range) -> list[str]:
    """What is to be said of cuts inside a clip, before it is edited; `window` has the file's frame of each."""
    found = ", ".join(str(window[k]) for k in find_cuts(frames)) if len(frames) > 1 else ""
    return (
        [f"a new shot begins at frame {found} of the file: styles mix across it, so edit each shot by itself"]
        if found
        else []
    )


def _thumb(frame: Picture) -> Float32[np.ndarray, "h w 3"]:
    small = cv2.resize(frame, _THUMB, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
    return cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2Lab), (0, 0), 1.0)


def _flash(thumbs: Float32[np.ndarray, "F h w 3"], k: int) -> bool:
    """Whether the picture before frame `k + 1` comes back within a few frames: a flash, not a cut."""
    step = np.abs(thumbs[k + 1] - thumbs[k]).mean()
    later, earlier = thumbs[k + 2 : k + 6], thumbs[max(0, k - 4) : k]
    back = any(np.abs(after - thumbs[k]).mean() < 0.35 * step for after in later)
    return back or any(np.abs(before - thumbs[k + 1]).mean() < 0.35 * step for before in earlier)
