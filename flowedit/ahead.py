"""What a run asks for, and what of it needs no torch: reading the files, and the classical guess.

Loading torch takes seconds of one processor core, and so does the guess; whoever has torch still to load lets another
thread make the guess meanwhile.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from flowedit.config import EditSettings
from flowedit.job import EditJob, load_job, video_window
from flowedit.methods import CLASSICAL, check_method
from flowedit.methods.guess import Guess, guess
from flowedit.presets import model_defaults

if TYPE_CHECKING:
    from flowedit.wan.parallel import Spread


@dataclass(frozen=True, kw_only=True)
class EditRequest:
    """A run as a user asks for it.

    Attributes:
        video: the source file.
        keyframes: clip index and image file of each keyframe.
        output: folder for the results.
        settings: the settings of the edit.
        model: name of the model.
        size: (height, width) to edit at; None lets the model choose.
        num_frames: frames to edit; None takes the longest legal window.
        start: first source frame.
        overwrite: whether an earlier run in the folder may be replaced.
        lossless: whether the edited file keeps every pixel exactly.
        mask: picture or video of where to edit, white = edit; None for everywhere.
        fit: where a checkpoint's weights rest between uses, as `flowedit.models.fits_for` takes it; `auto` for the
            fastest way that fits, and one level lower if memory runs out.
        resume: whether to go on from the state that a stopped run of the same edit left in the folder.
        pace: how fast the model runs, as `flowedit.wan.pace.set_pace` takes it.
        spread: the processes that share each forward; None for this one alone.
    """

    video: Path
    keyframes: Sequence[tuple[int, Path]]
    output: Path
    settings: EditSettings
    model: str = "tiny"
    size: tuple[int, int] | None = None
    num_frames: int | None = None
    start: int = 0
    overwrite: bool = False
    lossless: bool = False
    mask: Path | None = None
    fit: str = "auto"
    resume: bool = False
    pace: str = "auto"
    spread: "Spread | None" = None


def read_job(request: EditRequest) -> EditJob:
    """Read the window of the video and the keyframes that a request names.

    Raises:
        FlowEditError: any of them does not fit.
    """
    defaults = model_defaults(request.model)
    frame_map = video_window(request.video, start=request.start, num_frames=request.num_frames, window=defaults.window)
    return load_job(
        request.video, request.keyframes, defaults, frame_map=frame_map, size=request.size, multiple=defaults.multiple
    )


class Ahead:
    """A request's clip and keyframes, read, and the guess in the making where the edit wants one.

    Attributes:
        begun: when, on the clock of `time.perf_counter`.
        job: what was read.
    """

    def __init__(self, request: EditRequest) -> None:
        """Read the files, then begin the guess; it is made in a thread that ends with the program.

        Raises:
            FlowEditError: the request does not fit its files.
        """
        self.begun = time.perf_counter()
        check_method(request.settings.method)
        self.job = read_job(request)
        self._made: Guess | BaseException | None = None
        self._thread = Thread(target=self._make, daemon=True)
        in_one_window = len(self.job.frames) <= model_defaults(request.model).window
        settings = request.settings
        self._wanted = settings.uses_guess and settings.method not in CLASSICAL and bool(self.job.keyframes)
        self._wanted = self._wanted and in_one_window
        if self._wanted:
            self._thread.start()

    def guess(self) -> Guess | None:
        """The guess, waited for; None where the edit makes none, or makes its own for several windows."""
        if not self._wanted:
            return None
        self._thread.join()
        if isinstance(self._made, BaseException):
            raise self._made
        return self._made

    def _make(self) -> None:
        try:
            self._made = guess(self.job.frames, {keyframe.index: keyframe.image for keyframe in self.job.keyframes})
        except BaseException as error:
            self._made = error
