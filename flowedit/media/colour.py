"""A decoded frame as an upright 8-bit RGB picture of square pixels in BT.709, and in words what that took."""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from itertools import chain

import cv2
import numpy as np
from av.error import BlockingIOError as NotYetError
from av.filter import Graph
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc, Interpolation

from flowedit.media.images import Picture

EXACT_SCALING = int(
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
"""Scaler flags for RGB <-> YUV: without them every colour comes back 1 to 1.5 grey levels too dark."""

_UNSPECIFIED_COLOURS = 2
_HD_HEIGHT = 720
_PAPER_WHITE, _PEAK, _KNEE, _GAMMA = 203.0, 1000.0, 0.3, 2.4
"""Nits of an HDR picture's white (ITU-R BT.2408) and of its brightest part; from where, relative to white, highlights
are compressed; and the exponent of the screens that BT.709 is made for (BT.1886)."""
_HDR = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}
_WIDE = {int(ColorPrimaries.BT2020): "BT.2020", int(ColorPrimaries.SMPTE432): "Display P3"}
_TO_BT709 = {
    "BT.2020": [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]],
    "Display P3": [[1.224940, -0.224940, 0.0], [-0.042057, 1.042057, 0.0], [-0.019638, -0.078636, 1.098274]],
}
"""Linear light of wider primaries in those of BT.709, from their chromaticities."""


def to_picture(frame: VideoFrame, pixel_aspect: Fraction = Fraction(1)) -> Picture:
    """The frame as players show it: upright, its pixels square, on white where it is transparent, in BT.709.

    Args:
        frame: as it was decoded.
        pixel_aspect: width of a stored pixel by its height; the shorter side of the picture grows to make it 1.
    """
    # Files that do not say which matrix they use mean BT.709 when they are high definition: players assume it too.
    unsaid = frame.colorspace == _UNSPECIFIED_COLOURS and frame.height >= _HD_HEIGHT
    width, height = square_size(frame.width, frame.height, pixel_aspect)
    wide, clear = _wide(frame), _transparent(frame)
    stored = frame.reformat(
        width=width,
        height=height,
        format="rgb48le" if wide else "rgba" if clear else "rgb24",
        interpolation=EXACT_SCALING,
        src_colorspace=Colorspace.ITU709 if unsaid else None,
    ).to_ndarray()
    if wide:
        stored = _to_bt709(stored, int(frame.color_trc), wide)
    elif clear:
        share = stored[..., 3:].astype(np.uint16)
        stored = ((stored[..., :3] * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(_upright(stored, frame))


def remarks(frame: VideoFrame, pixel_aspect: Fraction, *, interlaced: bool) -> tuple[str, ...]:
    """What was decided for the user to make pictures of such frames, a phrase each."""
    width, height = square_size(frame.width, frame.height, pixel_aspect)
    hdr, wide = _HDR.get(int(frame.color_trc)), _wide(frame)
    return tuple(
        said
        for holds, said in (
            (interlaced, "interlaced: deinterlaced by bwdif, a frame from each pair of fields"),
            (
                (width, height) != (frame.width, frame.height),
                f"pixels are not square ({pixel_aspect}): {frame.width}x{frame.height} is read as {width}x{height}",
            ),
            (
                hdr,
                f"HDR ({hdr}) is mapped to BT.709: white at {_PAPER_WHITE:.0f} nits, a Mobius curve from "
                f"{_KNEE:.0%} of it, {_PEAK:.0f} nits and more to the brightest",
            ),
            (wide and not hdr, f"{wide} colours are brought to BT.709, those outside it clipped"),
            (_transparent(frame), "transparent parts are laid on white"),
            (
                frame.colorspace == _UNSPECIFIED_COLOURS and not frame.format.is_rgb,
                f"colours are untagged: read as BT.{'709' if frame.height >= _HD_HEIGHT else '601'}, as players do",
            ),
        )
        if holds
    )


def deinterlaced(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """The frames, those of two fields made whole by FFmpeg's bwdif; each keeps its time."""
    first = next(frames)
    graph = Graph()
    source = graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=first.time_base)
    whole = graph.add("bwdif", "mode=send_frame:deint=interlaced")
    graph.link_nodes(source, whole, graph.add("buffersink")).configure()
    for frame in chain([first], frames, [None]):
        graph.push(frame)
        with suppress(NotYetError, EOFError):
            while True:
                made = graph.vpull()
                made.colorspace, made.color_range = first.colorspace, first.color_range  # the filter may lose them
                made.color_trc, made.color_primaries = first.color_trc, first.color_primaries
                yield made


def square_size(width: int, height: int, pixel_aspect: Fraction) -> tuple[int, int]:
    """Width and height with square pixels; the side that grows is even, as most players want it."""
    if pixel_aspect > 1:
        return round(width * pixel_aspect / 2) * 2, height
    return width, height if pixel_aspect == 1 else round(height / pixel_aspect / 2) * 2


def _transparent(frame: VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components)


def _wide(frame: VideoFrame) -> str:
    """Name of the primaries where they are wider than BT.709's, or where HDR brings its own; else empty."""
    return _WIDE.get(int(frame.color_primaries), "BT.2020" if int(frame.color_trc) in _HDR else "")


def _upright(picture: np.ndarray, frame: VideoFrame) -> np.ndarray:
    """The picture after the file's display matrix: any quarter turn, mirrored or not."""
    # By `frame.side_data` each would hold the other, and the decoder's threads, until the garbage collector comes.
    matrix = SideDataContainer(frame).get("DISPLAYMATRIX")  # pyright: ignore[reportCallIssue]
    if matrix is None:
        return picture
    # A point goes to (a x + c y, b x + d y): ISO 14496-12; what is negative runs backwards.
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    across, down = (a, d) if abs(a) >= abs(b) else (c, b)
    if abs(b) > abs(a):
        picture = picture.swapaxes(0, 1)
    return picture[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]


def _to_bt709(stored: np.ndarray, trc: int, primaries: str) -> Picture:
    """16-bit RGB of wider primaries as 8-bit BT.709, highlights compressed where it is HDR."""
    light = _linear(trc)[stored]
    if trc == ColorTrc.ARIB_STD_B67:  # from the scene's light to the screen's (ITU-R BT.2100, 1000 nits)
        luma = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light = light * (np.maximum(luma, 1e-6) ** 0.2 * _PEAK / _PAPER_WHITE)[..., None]
    light = np.maximum(cv2.transform(light, np.array(_TO_BT709[primaries], np.float32)), 0)
    if trc in _HDR:
        brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
        light = light * (_compressed(brightest) / brightest)
    return np.rint(np.clip(light, 0, 1) ** np.float32(1 / _GAMMA) * 255).astype(np.uint8)


@lru_cache(maxsize=4)
def _linear(trc: int) -> np.ndarray:
    """Light of every 16-bit code, relative to white; of HLG the scene's light in [0, 1]."""
    code = np.linspace(0, 1, 1 << 16)
    if trc == ColorTrc.SMPTE2084:  # SMPTE ST 2084
        root = code ** (1 / 78.84375)
        ratio = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
        light = 10_000 / _PAPER_WHITE * ratio ** (1 / 0.1593017578125)
    elif trc == ColorTrc.ARIB_STD_B67:  # ITU-R BT.2100
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    else:
        light = code**_GAMMA
    return light.astype(np.float32)


def _compressed(light: np.ndarray) -> np.ndarray:
    """The Mobius curve: as it is up to the knee, and `_PEAK` nits become 1."""
    peak, knee = _PEAK / _PAPER_WHITE, _KNEE
    a = -(knee**2) * (peak - 1) / (knee**2 - 2 * knee + peak)
    b = (knee**2 - 2 * knee * peak + peak) / (peak - 1)
    return np.where(light <= knee, light, (b + knee) ** 2 / (b - a) * (light + a) / (light + b))
