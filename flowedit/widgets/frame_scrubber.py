"""Clips in step: scrub, play, and compare two by wipe or difference, without a kernel."""

from collections.abc import Mapping, Sequence

import numpy as np
import traitlets

from flowedit.errors import WidgetError
from flowedit.frames import slot_of
from flowedit.show.display import picture_tag, spread, table_tag
from flowedit.widgets._base import FlowWidget
from flowedit.widgets._sprites import check_same_shape, contact_sheet, encode_clips
from flowedit.widgets.export import script, style

MODES = ("side", "wipe", "difference")


class FrameScrubber(FlowWidget):
    """Any number of clips of one shape, moved through together.

    Keys: arrows step, PgUp and PgDn move by one latent slot (4 frames), Home and End, space plays, `[` and `]` jump
    between keyframes.

    Args:
        clips: name to uint8 (F, H, W, 3), all of one shape, such as `{"source": ..., "edited": ...}`.
        fps: frames per second.
        keyframes: pixel indices marked on the track.

    Attributes:
        index: pixel frame shown, from 0; follows the user and can be set or linked.
        mode: "side", "wipe" or "difference".
        pair: positions of the two clips compared.

    Raises:
        WidgetError: clips that differ in shape or cannot be shown, or a keyframe outside the clip.

    >>> scrubber = FrameScrubber({"source": np.zeros((5, 16, 16, 3), np.uint8)}, keyframes=[4])
    >>> scrubber.index, scrubber.keyframes
    (0, [4])
    """

    _esm = script("save", "player", "frame_scrubber")
    _css = style("frame_scrubber")

    clips = traitlets.List().tag(sync=True)
    fps = traitlets.Float(16.0).tag(sync=True)
    keyframes = traitlets.List(traitlets.Int()).tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)
    mode = traitlets.Enum(MODES, "side").tag(sync=True)
    pair = traitlets.List(traitlets.Int()).tag(sync=True)

    def __init__(
        self,
        clips: Mapping[str, np.ndarray],
        *,
        fps: float = 16.0,
        keyframes: Sequence[int] = (),
        **traits: object,
    ) -> None:
        count = check_same_shape(clips)[0]
        outside = [i for i in keyframes if not 0 <= i < count]
        if outside:
            raise WidgetError(f"Keyframes {outside} lie outside the clip's frames 0 to {count - 1}.")
        if not fps > 0:
            raise WidgetError(f"fps is {fps}; it must be positive. Use the clip's own, such as 16.")
        self._clips = {name: np.asarray(clip) for name, clip in clips.items()}
        super().__init__(
            clips=encode_clips(clips),
            fps=float(fps),
            keyframes=sorted({int(i) for i in keyframes}),
            **{"pair": [0, min(1, len(clips) - 1)], "heading": "Frames", **traits},
        )

    def _still(self) -> str:
        names, (source, *others) = list(self._clips), self._clips.values()
        shown = spread(len(source), self.keyframes)
        words = f"Rows: {', '.join(names)}. Columns: frames {', '.join(map(str, shown))}."
        rows = np.concatenate([contact_sheet(clip[shown]) for clip in self._clips.values()])
        far = {i: [float(np.abs(clip[i] - source[i].astype(float)).mean()) for clip in others] for i in shown}
        values = [(i, slot_of(i), i in self.keyframes, *far[i]) for i in shown]
        distances = (f"mean |{name} - {names[0]}|, 0 to 255" for name in names[1:])
        table = table_tag(words, ("frame", "latent slot", "keyframe", *distances), values)
        return picture_tag(rows, words, max_side=900) + table
