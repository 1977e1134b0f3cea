"""Frames to latent slots: which frames share one latent, where keyframes go, and which of them collide."""

import html
import math
from collections.abc import Sequence

import numpy as np
import traitlets

from flowedit.errors import FlowEditError, WidgetError
from flowedit.frames import check_num_frames, group_of, longest_legal, slot_count, slots_of
from flowedit.show.display import figure_tag, table_tag
from flowedit.widgets._base import FlowWidget
from flowedit.widgets._sprites import MAX_FRAMES, check_clip, encode_clip
from flowedit.widgets.export import script, style

_PREVIEW_BYTES = 150_000
_PER_ROW = 8  # slots in a row of the static picture


class SlotMap(FlowWidget):
    """The frames of a clip in their latent slots; a click or Enter makes a frame a keyframe or takes it back.

    Keys: left and right move by a frame, up and down by a slot, PgUp and PgDn by four slots, Home and End, space or
    Enter toggles a keyframe.

    Args:
        num_frames: frames of the clip, `4n + 1`; taken from `frames` where they are given.
        keyframes: pixel indices to begin with.
        frames: the clip itself, uint8 (F, H, W, 3), to see the frame that is read out.

    Attributes:
        num_frames: frames of the clip, `4n + 1`.
        keyframes: pixel indices of the keyframes; two in one slot are shown as a collision, not dropped.
        index: frame that is read out, from 0.

    Raises:
        VideoShapeError: a number of frames that is not `4n + 1`.
        WidgetError: too many frames, or a clip of another length.

    >>> SlotMap(33, keyframes=[0, 5, 6]).problem
    'Keyframes 5 and 6 lie in one latent slot (frames 5 to 8); keep one, or move one to frame 12.'
    """

    _esm = script("player", "slot_map")
    _css = style("slot_map")

    num_frames = traitlets.Int(33).tag(sync=True)
    keyframes = traitlets.List(traitlets.Int()).tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)
    clip = traitlets.List().tag(sync=True)

    def __init__(
        self,
        num_frames: int | None = None,
        *,
        keyframes: Sequence[int] = (),
        frames: np.ndarray | None = None,
        **traits: object,
    ) -> None:
        count = _frame_count(num_frames, frames)
        super().__init__(
            num_frames=count,
            keyframes=[int(i) for i in keyframes],
            clip=[] if frames is None else [_encoded(frames)],
            **{"heading": "Frames and latent slots", **traits},
        )

    def show_clip(self, frames: np.ndarray) -> None:
        """Change to another clip, uint8 (F, H, W, 3), of `4n + 1` frames; keyframes outside it are dropped."""
        count = _frame_count(None, frames)
        with self.hold_sync():
            self.clip = [_encoded(frames)]
            self.num_frames = count
            self.keyframes = [i for i in self.keyframes if i < count]
            self.index = min(self.index, count - 1)

    @property
    def problem(self) -> str:
        """Why the keyframes do not fit the clip, in one line, or nothing."""
        try:
            slots_of(self.keyframes, self.num_frames)
        except FlowEditError as error:
            return str(error)
        return ""

    @traitlets.validate("num_frames")
    def _check_num_frames(self, proposal: traitlets.Bunch) -> int:
        check_num_frames(proposal["value"])
        return proposal["value"]

    def _still(self) -> str:
        from flowedit.show.figures import Shown  # matplotlib takes a second to load

        words = f"{self.num_frames} frames in {slot_count(self.num_frames)} slots, keyframes {self.keyframes}"
        groups = [group_of(slot) for slot in range(slot_count(self.num_frames))]
        inside = [[i for i in self.keyframes if i in group] for group in groups]
        figure = Shown(figsize=(8, 0.3 + 0.45 * math.ceil(len(groups) / _PER_ROW)))
        axis = figure.add_axes((0, 0, 1, 1), xlim=(-0.5, 5 * _PER_ROW), ylim=(-len(groups) / _PER_ROW - 0.4, 0.7))
        axis.set_axis_off()
        for slot, (group, keys) in enumerate(zip(groups, inside, strict=True)):
            row, left = divmod(slot, _PER_ROW)
            for place, frame in enumerate(group):
                colour = "#ffffff" if frame not in keys else "#f0a173" if len(keys) == 1 else "#ff9a91"
                box = {"facecolor": colour, "hatch": "//" if frame in keys and len(keys) > 1 else None}
                axis.text(5 * left + place, -row, str(frame), ha="center", va="center", fontsize=8, bbox=box)
        rows = [
            (slot, group[0], group[-1], ", ".join(map(str, keys)) or "none", len(keys) > 1)
            for slot, (group, keys) in enumerate(zip(groups, inside, strict=True))
        ]
        problem = f"<p>{html.escape(self.problem)}</p>" if self.problem else ""
        columns = ("slot", "first frame", "last frame", "keyframes", "collision")
        return figure_tag(figure, words) + problem + table_tag("Latent slots", columns, rows)


def _frame_count(num_frames: int | None, frames: np.ndarray | None) -> int:
    if frames is not None:
        num_frames = len(check_clip(frames, "clip"))
    if num_frames is None:
        raise WidgetError("Pass num_frames, such as 33, or the frames.")
    check_num_frames(num_frames)
    if num_frames > MAX_FRAMES:
        raise WidgetError(
            f"{num_frames} frames do not fit a map; use a window of {longest_legal(MAX_FRAMES)} or fewer."
        )
    return num_frames


def _encoded(frames: np.ndarray) -> dict:
    return {"name": "clip", **encode_clip(np.asarray(frames), _PREVIEW_BYTES)}
