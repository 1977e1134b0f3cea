"""Dense motion between the frames of a clip: measured step by step and chained, and measured at one stroke."""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from flowedit.frames import check_sides

Flow = Float32[np.ndarray, "h w 2"]

_SMALL_SIDE, _FINE_SIDE, _LARGE_SIDE = 192, 512, 1024
"""Longer side up to which frames are doubled, measured down to the last pixel, and left unshrunk."""
_KEPT_SIDE = 640
"""Longer side of the grid that motion is kept on: large frames are measured down to every second pixel."""
_SHADES = 4
"""Frames kept in grey: the two of a step, or a frame and the keyframes before and after it."""


class Motions(NamedTuple):
    """Motion between two frames, both ways, (h, w, 2) float32, x then y, in pixels of its own grid.

    Attributes:
        there: where each pixel of the first lies in the second, minus its own place.
        back: the same from the second to the first.
    """

    there: Flow
    back: Flow

    @property
    def gap(self) -> Float32[np.ndarray, "h w"]:
        """How far from its own place a pixel ends that goes there and back, in pixels."""
        x, y = cv2.split(self.there + sample(self.back, self.there))
        return np.sqrt(x * x + y * y)  # cv2.magnitude rounds as the memory happens to lie


class Motion:
    """Motion inside one clip, by DIS optical flow (Kroeger et al. 2016, in OpenCV).

    Small frames are measured at twice their size and down to the last pixel, which halves the error that thin outlines
    leave; large ones at no more than 1024 pixels a side.

    Args:
        frames: uint8 (F, H, W, 3).
    """

    def __init__(self, frames: UInt8[np.ndarray, "F H W 3"]) -> None:
        height, width = frames.shape[1:3]
        check_sides(height, width)  # OpenCV's flow would end the program
        longer = max(height, width)
        self._scale = 2.0 if longer <= _SMALL_SIDE else min(1.0, _LARGE_SIDE / longer)
        self._size = (round(width * self._scale), round(height * self._scale))
        kept = min(1.0, _KEPT_SIDE / longer)
        self._kept_size = (round(width * kept), round(height * kept))
        self._frames = frames
        self._steps: dict[tuple[int, int], Flow] = {}
        self._grey: dict[int, UInt8[np.ndarray, "h w"]] = {}
        # The fastest preset, at full depth: it smooths less than the others, and keeps thin outlines apart.
        self._fine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._fine.setFinestScale(0 if longer <= _FINE_SIDE else 1)
        self._coarse = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._coarse.setFinestScale(1)

    @property
    def tolerance(self) -> float:
        """Disagreement of the two directions, in pixels of the flow's grid, that still speaks for a right flow."""
        return 6.0 / self._scale * self._kept_size[0] / self._frames.shape[2]

    def direct(self, i: int, j: int) -> Motions:
        """Motion between frames `i` and `j` measured at one stroke: right where a chain has lost its way."""
        return Motions(self._flow(self._coarse, i, j), self._flow(self._coarse, j, i))

    def walk(self, start: int, stop: int, known: tuple[int, Motions] | None = None) -> Iterator[tuple[int, Motions]]:
        """Motion between each frame from `start` (exclusive) towards `stop` (exclusive) and frame `start`.

        Small steps are easy to measure and are put together, so a far frame costs no more than a near one.

        Args:
            start: the frame that all motion leads to.
            stop: where the walk ends.
            known: a frame on the way that an earlier walk gave, to go on behind it; None begins at `start`.
        """
        direction = 1 if stop > start else -1
        begun, total = known or (start, None)
        for i in range(begun + direction, stop, direction):
            near = i - direction
            step = Motions(self._step(i, near), self._step(near, i))
            total = step if total is None else Motions(_chain(step.there, total.there), _chain(total.back, step.back))
            yield i, total

    def forget(self) -> None:
        """Drop the steps kept for a walk the other way, where none will come."""
        self._steps.clear()

    def _step(self, i: int, j: int) -> Flow:
        """Motion between neighbours, kept for the walk that comes the other way and dropped once that has used it."""
        if (i, j) in self._steps:
            return self._steps.pop((i, j))
        self._steps[i, j] = self._flow(self._fine, i, j)
        return self._steps[i, j]

    def _flow(self, measure: cv2.DISOpticalFlow, i: int, j: int) -> Flow:
        still = np.zeros((self._size[1], self._size[0], 2), np.float32)
        flow = np.asarray(measure.calc(self._shade(i), self._shade(j), still), dtype=np.float32)
        if self._kept_size == self._size:
            return flow
        ratio = np.asarray(self._kept_size, np.float32) / np.asarray(self._size, np.float32)
        return cv2.resize(flow, self._kept_size, interpolation=cv2.INTER_AREA) * ratio

    def _shade(self, i: int) -> UInt8[np.ndarray, "h w"]:
        shade = self._grey.pop(i, None)
        if shade is None:
            grey = cv2.cvtColor(self._frames[i], cv2.COLOR_RGB2GRAY)
            how = cv2.INTER_CUBIC if self._scale > 1 else cv2.INTER_AREA
            shade = cv2.resize(grey, self._size, interpolation=how)
        # The one used last stands last; the first one has waited longest.
        self._grey[i] = shade
        if len(self._grey) > _SHADES:
            del self._grey[next(iter(self._grey))]
        return shade


def full_places(flow: Flow, size: tuple[int, int]) -> Float32[np.ndarray, "H W 2"]:
    """Where each pixel of a (height, width) lies by a flow of any grid, x then y, in pixels."""
    height, width = size
    places = cv2.resize(flow, (width, height))
    places *= np.asarray([width / flow.shape[1], height / flow.shape[0]], np.float32)
    return _moved(places)


def sample(image: np.ndarray, flow: Flow) -> np.ndarray:
    """`image` read where `flow` points: pixel p of the result is `image[p + flow[p]]`, bilinear, edges repeated."""
    return read_at(image, _moved(flow.copy()))


def read_at(image: np.ndarray, places: Float32[np.ndarray, "h w 2"], how: int = cv2.INTER_LINEAR) -> np.ndarray:
    """`image` at some places, x then y, edges repeated; interpolated linearly unless OpenCV is told otherwise."""
    x, y = cv2.split(places)
    return cv2.remap(image, x, y, how, borderMode=cv2.BORDER_REPLICATE)


def _moved(flow: Flow) -> Flow:
    """Every pixel's own place added to a flow, in place."""
    height, width = flow.shape[:2]
    flow[..., 0] += np.arange(width, dtype=np.float32)
    flow[..., 1] += np.arange(height, dtype=np.float32)[:, None]
    return flow


def _chain(first: Flow, second: Flow) -> Flow:
    """From i to j by `first`, then from j to k by `second`: the flow from i to k."""
    return first + sample(second, first)
