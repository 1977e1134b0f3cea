"""The classical estimate: two maps common to all keyframes, and on top the keyframes' own detail carried along.

The colour map knows what every colour becomes, occluded or not, but nothing of lines and texture; the map from a
pixel's surroundings knows outlines and glow; propagation knows everything, but not behind an occlusion, and it carries
each keyframe's own mistakes. So each keyframe is split into what the colour map explains, what a keyframe's own tint
adds (dropped as far as keyframes painted one by one disagree in it), what the surroundings explain, what stays on the
screen while the clip moves, and the detail that is left; the detail is carried, and counts as far as the motion can be
trusted. Where the maps explain little and the motion is sure, the keyframe itself is carried in its place.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from flowedit.errors import VideoShapeError
from flowedit.estimate.colour_map import Frame, Video, checked_keyframes, fitted_map
from flowedit.estimate.local_regression import LocalRegression
from flowedit.estimate.propagation import Carried, carry, write_frames
from flowedit.estimate.texture import painted_anew, screen_layer

_TINT_RIDGE = 4.0
"""Weight, in squared 8-bit levels, that draws a keyframe's tint towards none."""
_HALF = 128
_UNEXPLAINED = 12.0
"""Detail, root mean square in 8-bit levels, from which carrying it counts as a risk."""
_NOTHING = 1.5
"""Detail up to which the colour map has explained the style, and surroundings have nothing to tell."""
_EAGER = 8.0
"""How many times the doubt a refinement is laid on the estimate: it is better nearly from where doubt begins."""
_SHRUNK_SHARE, _SHRUNK_POWER = 0.5, 8
"""Share, and power of the doubt, with which a refinement of a smaller copy is laid: only where nothing is known."""
_SHARPEST, _SOFTEST = 0.125, 0.5
"""Power of the confidence with which carried detail is laid down, where keyframes agree and where they do not."""
_STEADY = 12.0
"""Power to which the steadiness of whole keyframes, beside that of their detail, is raised."""
_SLIP = 0.25
"""Weight of what a carried keyframe says otherwise than the maps, beside the detail that they leave unexplained."""
_NEAR = 128
"""The shorter side over the reach within which both are averaged; twice as far for the detail."""
_AGREE, _DISAGREE = 3.0, 7.0
"""Tints, root mean square in 8-bit levels, up to which keyframes count as agreeing and from which as disagreeing."""
_COMMON = 1.0
"""Need everywhere when keyframes disagree, for then the estimate is uncertain everywhere."""
_STRIP = 1 << 17
"""Pixels that are painted at a time, for the memory of large frames."""
_FIT_PIXELS = 1 << 17
"""Of a keyframe, at most, that its tint is fitted on."""
_KEPT_SIDE = 512
"""Longer side of the grid that confidence is kept on."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """A classical estimate of the edited clip.

    Attributes:
        frames: uint8 (F, H, W, 3).
        confidence: float32 (F, h, w) in [0, 1], of a smaller grid where frames are large: where the estimate needs no
            model: the motion is sure, or the colour map explains the style so well that there is no detail to carry; 1
            at the keyframes.
        tint: how far the keyframes' own colours are from the common map, root mean square in 8-bit levels, the mean
            over the keyframes: near 0 where they agree.
        shrunk: whether it was made at a larger size, where a change at this one mends hidden places and nothing else.
    """

    frames: UInt8[np.ndarray, "F H W 3"]
    confidence: Float32[np.ndarray, "F h w"]
    tint: float = 0.0
    shrunk: bool = False

    def need(self) -> Float32[np.ndarray, "F h w"]:
        """How far a model's refinement takes the estimate's place at each pixel, in [0, 1].

        The numbers in it were chosen on the benchmark's validation scenes; see docs/quality.md.
        """
        doubt = 1 - self.confidence
        laid = _SHRUNK_SHARE * doubt**_SHRUNK_POWER if self.shrunk else _EAGER * doubt
        return np.clip(laid, np.float32(_COMMON * (1 - self.agreement)), 1)

    def window(self, part: slice) -> "Estimate":
        """The estimate of some of the frames."""
        return replace(self, frames=self.frames[part], confidence=self.confidence[part])

    @property
    def agreement(self) -> float:
        """How far the keyframes bear one another out in their colours, in [0, 1]: how far the map of all is right."""
        return _agreement(self.tint)


def estimated_frames(frames: Video, keyframes: Mapping[int, Frame], out: Video | None = None) -> Video:
    """The frames of `estimate`, without the confidence."""
    return estimate(frames, keyframes, out).frames


def estimate(frames: Video, keyframes: Mapping[int, Frame], out: Video | None = None) -> Estimate:
    """Recolour the clip by the common map and carry the keyframes' detail to every frame.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        keyframes: styled images, uint8 (H, W, 3), by pixel index.
        out: where the estimate's frames are written; `frames` itself will do. None takes new memory.

    Raises:
        KeyframeError: no keyframe, or one outside the clip, or of another size.
    """
    style = _Style(frames, checked_keyframes(frames, keyframes))
    made = style.room(len(frames), out)

    def frames_alone() -> Iterator[tuple[int, Frame]]:
        for i, frame, confidence in style.painted():
            made.confidence[i] = confidence
            yield i, frame

    write_frames(made.frames, frames_alone(), keyframes)
    return made


class WindowEstimates:
    """`estimate` for the windows of a long clip, from the first to the last: equal to the bit, and never made whole.

    Memory: the frames of two windows, and the motion of 20 frames and of one in 20 between two keyframes.

    Args:
        frames: the source, uint8 (F, H, W, 3).
        keyframes: styled images, uint8 (H, W, 3), by pixel index.

    Raises:
        KeyframeError: as for `estimate`.
    """

    def __init__(self, frames: Video, keyframes: Mapping[int, Frame]) -> None:
        self._style = _Style(frames, checked_keyframes(frames, keyframes))
        self._coming = self._style.painted()
        self._start, self._last = 0, self._style.room(0)

    def window(self, part: slice) -> Estimate:
        """The estimate of some of the frames.

        Raises:
            VideoShapeError: they begin before those asked for last, of which nothing earlier is kept.
        """
        start, last = self._start, self._last
        if part.start < start:
            raise VideoShapeError(f"Windows come in order; the last began at frame {start}, this one at {part.start}.")
        made = self._style.room(part.stop - part.start)
        for place, i in enumerate(range(part.start, part.stop)):
            if i < start + len(last.frames):
                one = last.frames[i - start], last.confidence[i - start]
            else:
                one = next(rest for index, *rest in self._coming if index == i)
            made.frames[place], made.confidence[place] = one
        self._start, self._last = part.start, made
        return made


class _Style:
    """What a set of keyframes tells of its style, and the frames painted in it.

    Nothing of a frame is read once `painted` has given it, but of the keyframes' sources. What is left of a keyframe is
    in floats and so four times as large: it is made anew for each use, of one keyframe at a time.

    Attributes:
        tint: how far the keyframes' own colours are from what the maps tell, root mean square in 8-bit levels.
    """

    def __init__(self, frames: Video, keys: Mapping[int, Frame]) -> None:
        self._frames, self._keys, self._recolour = frames, keys, fitted_map(frames, keys)
        share = min(1.0, _KEPT_SIDE / max(frames.shape[1:3]))
        self._grid = max(1, round(frames.shape[2] * share)), max(1, round(frames.shape[1] * share))
        self._regression: LocalRegression | None = None
        self._screen: Float32[np.ndarray, "H W 3"] | None = None
        self._known = {i: self._recolour(frames[i]) for i in keys}
        self._told = dict[int, np.ndarray]()
        self._fit_tints()
        if np.mean([np.square(self._detail(i)).mean() for i in keys]) > _NOTHING**2:
            screen = screen_layer(frames, [*keys], self._detail)
            added = self._detail if screen is None else lambda i: self._detail(i) - screen
            regression = LocalRegression({i: frames[i] for i in keys}, added)
            if regression.belief > 0:
                self._regression = regression
                self._told = {i: regression.told(frames[i]) for i in keys}
            self._screen = screen
            self._fit_tints()

    def room(self, count: int, out: Video | None = None) -> Estimate:
        """An estimate of so many frames, to be filled in."""
        frames = np.empty((count, *self._frames.shape[1:]), np.uint8) if out is None else out
        return Estimate(frames, np.empty((count, *self._grid[::-1]), np.float32), self.tint)

    def painted(self) -> Iterator[tuple[int, Frame, Float32[np.ndarray, "h w"]]]:
        """Each frame in order, with its index and its confidence; at a keyframe, that as far as keyframes agree."""
        disagreement = 1 - _agreement(self.tint)
        powers, details, wholes = list[np.float32](), dict[int, Frame](), dict[int, Frame]()
        for i, image in self._keys.items():
            left = self._detail(i, disagreement)
            powers.append(np.square(left).mean())
            details[i] = _as_picture(left / 2 + _HALF)  # half of it around mid grey fits a picture
            wholes[i] = _as_picture(image - disagreement * self._tinted(i))
            del left
        power = np.mean(powers)
        risk = np.float32(min(1.0, power / _UNEXPLAINED**2))
        apart = painted_anew(self._frames, partial(self._detail, dropped=disagreement), self._keys, power)
        self._known.clear()
        sharpness = _SHARPEST + (_SOFTEST - _SHARPEST) * disagreement
        return map(partial(self._finished, sharpness, risk), carry(self._frames, [details, wholes], apart))

    def _finished(
        self, sharpness: float, risk: np.float32, one: tuple[int, list[Carried]]
    ) -> tuple[int, Frame, Float32[np.ndarray, "h w"]]:
        """A frame, with its index and confidence."""
        i, (detail, whole) = one
        painted = whole.frame if i in self._keys else self._paint(i, detail, whole, sharpness)
        confidence = cv2.resize(detail.confidence, self._grid, interpolation=cv2.INTER_AREA)
        return i, painted, 1 - (1 - confidence) * risk

    def _fit_tints(self) -> None:
        """The affine change of the recoloured frame's colours nearest to what the maps leave of each keyframe."""
        self._tints, powers = dict[int, np.ndarray](), list[float]()
        for i in self._keys:
            left = self._left(i)
            thin = slice(None, None, max(1, left[..., 0].size // _FIT_PIXELS))
            terms = np.insert(self._known[i].reshape(-1, 3)[thin] / 255, 3, 1.0, axis=1)
            gram = terms.T @ terms / len(terms) + _TINT_RIDGE / 255**2 * np.eye(4)
            tint = np.linalg.solve(gram, terms.T @ left.reshape(-1, 3)[thin] / len(terms))
            self._tints[i] = (tint.T / [255, 255, 255, 1]).astype(np.float32)
            powers.append(float(np.sqrt(np.square(terms @ tint).mean())))
        self.tint = float(np.mean(powers))

    def _base(self, i: int) -> Float32[np.ndarray, "H W 3"]:
        """What the maps know of a frame."""
        known = self._known[i] if i in self._known else self._recolour(self._frames[i])
        coloured = known.astype(np.float32, order="C")  # OpenCV writes to no other layout
        if self._regression is not None:
            told = self._told[i] if i in self._told else self._regression.told(self._frames[i])
            cv2.add(coloured, cv2.resize(told, coloured.shape[1::-1]), dst=coloured)
        return coloured if self._screen is None else cv2.add(coloured, self._screen, dst=coloured)

    def _tinted(self, i: int) -> Float32[np.ndarray, "H W 3"]:
        """What a keyframe's own tint adds to it."""
        return cv2.transform(self._known[i].astype(np.float32), self._tints[i])

    def _left(self, i: int) -> Float32[np.ndarray, "H W 3"]:
        """What the maps leave of a keyframe, in 8-bit levels."""
        base = self._base(i)
        return np.subtract(self._keys[i], base, out=base)

    def _detail(self, i: int, dropped: float = 1.0) -> Float32[np.ndarray, "H W 3"]:
        """What the maps, and a share of its own tint, leave of a keyframe, in 8-bit levels."""
        left, tinted = self._left(i), self._tinted(i)
        tinted *= np.float32(dropped)
        left -= tinted
        return left

    def _paint(self, i: int, detail: Carried, whole: Carried, sharpness: float) -> Frame:
        """The carried detail on the base, as far as it is trusted, or the carried keyframe where that is surer."""
        base, painted = self._base(i), np.empty_like(whole.frame)
        share = _whole_share(base, detail, whole)
        for rows in _strips(base.shape, 1):
            left, slip = _parts(base, detail, whole, rows)
            mixed = base[rows] + _threefold(cv2.pow(detail.confidence[rows], sharpness)) * (
                left + _threefold(share[rows]) * slip
            )
            painted[rows] = np.rint(mixed).clip(0, 255)
        return painted


def _whole_share(base: Float32[np.ndarray, "H W 3"], detail: Carried, whole: Carried) -> Float32[np.ndarray, "H W"]:
    """How far a carried keyframe is better than its carried detail on the base, in [0, 1].

    It is where the maps explain little, for what they get wrong differs from frame to frame, and where the keyframe
    says nearly what they say, so that the motion cannot be far off; and where the candidates for whole keyframes agree
    no less than those for their detail.
    """
    height, width = base.shape[:2]
    coarse = max(1, min(height, width) // _NEAR)
    powers = [
        [_power(part, coarse) for part in _parts(base, detail, whole, rows)] for rows in _strips(base.shape, coarse)
    ]
    unexplained, slip = (np.concatenate(each) for each in zip(*powers, strict=True))
    reach = min(height, width) / _NEAR / coarse
    unexplained, slip = cv2.GaussianBlur(unexplained, (0, 0), 2 * reach), cv2.GaussianBlur(slip, (0, 0), reach)
    share = cv2.resize(unexplained / (unexplained + _SLIP * slip + 1), (width, height))
    steady = np.minimum(1, whole.confidence / np.maximum(detail.confidence, np.float32(1e-3)))
    return share * cv2.pow(steady, _STEADY)


def _strips(shape: tuple[int, ...], coarse: int) -> list[slice]:
    """Rows of a picture, so many that their pixels fit a processor's cache, and a multiple of `coarse`."""
    height, width = shape[:2]
    step = max(1, _STRIP // width // coarse) * coarse
    return [slice(top, min(top + step, height)) for top in range(0, height, step)]


def _parts(base: np.ndarray, detail: Carried, whole: Carried, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Of some rows, the carried detail in 8-bit levels, and what the carried keyframe says beside base and detail."""
    left = 2 * (detail.frame[rows].astype(np.float32) - _HALF)
    return left, whole.frame[rows] - base[rows] - left


def _power(picture: Float32[np.ndarray, "h w 3"], coarse: int) -> Float32[np.ndarray, "_h _w"]:
    """Mean square over channels and squares of pixels, in squared 8-bit levels."""
    power = cv2.transform(cv2.multiply(picture, picture), np.full((1, 3), 1 / 3, np.float32))
    size = (max(1, picture.shape[1] // coarse), max(1, len(picture) // coarse))
    return cv2.resize(power, size, interpolation=cv2.INTER_AREA)


def _as_picture(levels: Float32[np.ndarray, "H W 3"]) -> Frame:
    return np.rint(levels).clip(0, 255).astype(np.uint8)


def _threefold(plane: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w 3"]:
    """A plane for each of three channels."""
    return cv2.merge([plane] * 3)


def _agreement(tint: float) -> float:
    """How far keyframes whose tints are so strong agree, in [0, 1]."""
    return min(1.0, max(0.0, (_DISAGREE - tint) / (_DISAGREE - _AGREE)))
