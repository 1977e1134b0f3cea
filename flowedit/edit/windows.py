"""Clips longer than a model's window: overlapping windows, anchored by shared keyframes and one noise.

Windows start at multiples of four, so that a window's latent slots are slots of the whole clip. Every window edits the
source's own latents under the same settings; the noise is one for the whole clip; of the classical estimate, where the
method refines one, each frame is made once, when a window needs it; and what two windows share is held together by the
result of the one done first, which enters the other as keyframes where the user has given none.

With an estimate, which knows every keyframe, windows run from the first to the last and share one frame. Without one,
those with keyframes of the user's run first, then those next to them, and so on outwards: a style fades as it is handed
from one to the next, so it is handed on as seldom as can be, and windows that meet between two keyframes are held from
both sides.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowedit.edit.preparation import PreparedEdit, clip_shape, draw_noise
from flowedit.edit.result import EditResult
from flowedit.edit.steps import edit_steps, finish, prepare
from flowedit.errors import FlowEditError, VideoShapeError
from flowedit.estimate import Estimate, WindowEstimates
from flowedit.frames import GROUP, check_num_frames, slot_of
from flowedit.keyframes import Keyframe, check_keyframes
from flowedit.methods.branches import Step
from flowedit.model import VideoModel
from flowedit.settings import EditSettings
from flowedit.trace import FIELDS, StepTrace, Trace

OVERLAP = 9
"""Frames that neighbouring windows share: two whole slots and the frame before them."""


def window_starts(num_frames: int, window: int, overlap: int = OVERLAP) -> list[int]:
    """First frames of the windows that cover a clip, multiples of four; the last window ends with the clip.

    Lengths are `4n + 1`; `overlap` is the least that two neighbours share.

    >>> window_starts(65, 33, 9), window_starts(33, 33, 9)
    ([0, 24, 32], [0])
    """
    for length in (num_frames, window, overlap):
        check_num_frames(length)
    if overlap >= window:
        raise VideoShapeError(
            f"Windows of {window} frames cannot share {overlap}; let them share at most {window - GROUP}."
        )
    last = max(0, num_frames - window)
    return [*range(0, last, window - overlap), last]


def window_order(starts: Sequence[int], window: int, keyframes: Sequence[Keyframe]) -> list[int]:
    """The windows that hold keyframes, then their neighbours, and so on; those equally near from the first to the last.

    >>> window_order([0, 24, 48, 72, 96], 33, [Keyframe(i, np.zeros((8, 8, 3), np.uint8)) for i in (0, 128)])
    [0, 96, 24, 72, 48]
    """
    holding = [n for n, start in enumerate(starts) if any(start <= k.index < start + window for k in keyframes)]
    away = {start: min((abs(n - other) for other in holding), default=0) for n, start in enumerate(starts)}
    return sorted(starts, key=lambda start: away[start])


def edit_long_video(
    frames: np.ndarray,
    keyframes: Sequence[Keyframe],
    model: VideoModel,
    settings: EditSettings,
    *,
    window: int,
    mask: np.ndarray | None = None,
) -> EditResult:
    """`edit_video` of a clip of any legal length, in windows; arguments as in `LongEdit`, whose steps can be watched.

    A clip that fits one window gives what `edit_video` gives. The trace holds every window's keyframes, the shared ones
    included.
    """
    edit = LongEdit(frames=frames, keyframes=keyframes, model=model, settings=settings, window=window, mask=mask)
    deque(edit.steps(), maxlen=0)
    return edit.finish()


@dataclass(kw_only=True)
class LongEdit:
    """An edit in windows, one step at a time.

    Attributes:
        frames: the clip, uint8 (F, H, W, 3), F `4n + 1`.
        keyframes: styled keyframes by clip index, in order.
        model: the video model.
        settings: of every window.
        window: frames that the model edits at once, `4n + 1`.
        mask: where the edit may change the clip, float32 (F, H, W) in [0, 1]; None for everywhere.
        estimate: of the clip, for the method `refine`; None makes that of each window when its turn comes.
        trace: readings of the windows done, of the first one its steps so far; None before there are any.
    """

    frames: np.ndarray
    keyframes: Sequence[Keyframe]
    model: VideoModel
    settings: EditSettings
    window: int
    mask: np.ndarray | None = None
    estimate: Estimate | None = None

    def __post_init__(self) -> None:
        check_keyframes(self.keyframes, clip_shape(self.frames, self.model.size_multiple))
        self._starts = window_starts(len(self.frames), self.window)
        if self.settings.method == "refine":  # the estimate holds windows together
            self._starts = [*range(0, len(self.frames) - 1, self.window - 1)] or [0]
        self._begin()

    def _begin(self) -> None:
        self._edited = np.zeros_like(self.frames)
        self._traces: dict[int, Trace] = {}
        self._seconds: Counter[str] = Counter()
        self.trace: Trace | None = None

    def steps(self) -> Iterator[tuple[int, int, Step]]:
        """Edit window after window, from the beginning.

        Yields:
            Steps done in all windows, steps in all, and the step just done.

        Raises:
            FlowEditError: as from `edit_video`.
        """
        self._begin()
        estimates, order = None, window_order(self._starts, self.window, self.keyframes)
        if self.settings.method == "refine":
            images = {keyframe.index: keyframe.image for keyframe in self.keyframes}
            estimates, order = self.estimate or WindowEstimates(self.frames, images), self._starts
        done = 0
        for start in order:
            inside = slice(start, min(start + self.window, len(self.frames)))
            shared = self._shared(inside)
            prepared = self._prepare(inside, shared, estimates)
            total = len(order) * (len(prepared.problem.sigmas) - 1)
            latents = prepared.reference.latents
            for step in edit_steps(prepared):
                latents, done = step.latents, done + 1
                self.trace = self.trace if self._traces else prepared.trace
                yield done, total, step
            result = finish(prepared, latents)
            _blend(self._edited[inside], result.frames, shared)
            self._traces[start] = result.trace
            self.trace = _joined(self._traces)
            self._seconds.update(result.seconds)
            # Latents, conditions and noise of a window go before the next one has its own.
            del result, prepared, latents

    def finish(self) -> EditResult:
        """The whole clip, once `steps` has come to its end; its trace holds the shared keyframes too.

        Raises:
            FlowEditError: windows are missing.
        """
        if self.trace is None or len(self._traces) < len(self._starts):
            done, windows = len(self._traces), len(self._starts)
            raise FlowEditError(f"{done} of {windows} windows are done; go through all of steps() first.")
        return EditResult(
            frames=self._edited,
            source=self.frames,
            keyframes=tuple(self.keyframes),
            settings=self.settings,
            model=self.model.name,
            trace=self.trace,
            seconds=dict(self._seconds),
        )

    def _prepare(
        self, inside: slice, shared: tuple[int, int], estimates: Estimate | WindowEstimates | None
    ) -> PreparedEdit:
        """A window, with the whole clip's noise."""
        own = _window_keyframes(self.keyframes, self._edited, inside, shared)
        mask = None if self.mask is None else self.mask[inside]
        estimate = None if estimates is None else estimates.window(inside)
        prepared = prepare(self.frames[inside], own, self.model, self.settings, mask, estimate)
        slots = slot_of(len(self.frames) - 1) + 1
        noise = draw_noise(prepared.problem.source, self.settings.seed, first=inside.start // GROUP, slots=slots)
        prepared.problem = replace(prepared.problem, noise=noise)
        return prepared

    def _shared(self, inside: slice) -> tuple[int, int]:
        """Frames at the beginning and at the end of a window that lie in windows that are done."""
        before = max((start + self.window for start in self._traces if start < inside.start), default=inside.start)
        after = min((start for start in self._traces if start > inside.start), default=inside.stop)
        return max(0, before - inside.start), max(0, inside.stop - after)


def _window_keyframes(
    keyframes: Sequence[Keyframe], edited: np.ndarray, inside: slice, shared: tuple[int, int]
) -> list[Keyframe]:
    """The user's keyframes in a window, and done windows' results where they overlap it and the user gave none."""
    own = [Keyframe(k.index - inside.start, k.image) for k in keyframes if inside.start <= k.index < inside.stop]
    taken = {k.slot for k in own}
    length, (left, right) = inside.stop - inside.start, shared
    for side in (range(0, left, GROUP), range(-(-(length - right) // GROUP) * GROUP, length, GROUP)):
        free = [i for i in side if slot_of(i) not in taken]
        ends = free[:1] + free[-1:] if len(free) > 1 else free
        own += [Keyframe(i, edited[inside.start + i]) for i in ends]
        taken |= {slot_of(i) for i in ends}
    return sorted(own, key=lambda k: k.index)


def _blend(edited: np.ndarray, part: np.ndarray, shared: tuple[int, int]) -> None:
    """Lay a window's frames down, fading over to and from the windows that it overlaps."""
    left, right = shared
    length = len(part)
    rising, falling = np.arange(1, length + 1) / (left + 1), np.arange(length, 0, -1) / (right + 1)
    for i, w in enumerate(np.minimum(np.minimum(rising, falling), 1)):
        edited[i] = part[i] if w == 1 else np.round((1 - w) * edited[i] + w * part[i])


def _joined(traces: Mapping[int, Trace]) -> Trace:
    """One trace of all windows: the same sigmas, every window's keyframes side by side by clip index."""
    ordered = sorted(traces.items())
    steps: list[StepTrace] = []
    for rows in zip(*(trace.steps for _, trace in ordered), strict=True):
        readings = {name: tuple(value for row in rows for value in getattr(row, name)) for name in FIELDS}
        steps.append(replace(rows[0], seconds=sum(row.seconds for row in rows), **readings))
    keyframes = [k + start for start, trace in ordered for k in trace.keyframes]
    return replace(ordered[0][1], keyframes=tuple(keyframes), slots=tuple(slot_of(k) for k in keyframes), steps=steps)
