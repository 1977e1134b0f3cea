"""What a run asks for, and what of it needs no torch: reading the files, and the classical estimate.

Loading torch takes seconds of one processor core, and so does the estimate; whoever has torch to load lets another
process make the estimate meanwhile. (A thread would share Python's lock with the import, and took twice as long.)
"""

import os
import pickle
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from flowedit.estimate import Estimate, estimate
from flowedit.job import EditJob, load_job, video_window
from flowedit.presets import model_defaults
from flowedit.settings import EditSettings

if TYPE_CHECKING:
    from flowedit.wan.lora import Lora
    from flowedit.wan.parallel import Spread


@dataclass(frozen=True, kw_only=True)
class Styling:
    """What the run that painted an edit's keyframes left for it.

    Attributes:
        prompt: the clip in its style, in words.
        negative_prompt: what the editor should avoid.
        notes: what did not go as planned, one sentence each.
        usage: calls to a model, tokens, and estimated US dollars, by name.
    """

    prompt: str = ""
    negative_prompt: str = ""
    notes: tuple[str, ...] = ()
    usage: Mapping[str, float] = field(default_factory=dict[str, float])


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
        styling: what painted the keyframes; None where they came as pictures.
        loras: what is added to the model's transformer.
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
    styling: Styling | None = None
    loras: "Sequence[Lora]" = ()


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
    """A request's clip and keyframes, read, and the estimate in the making where the edit wants one.

    Attributes:
        begun: when, on the clock of `time.perf_counter`.
        job: what was read.
        estimate: waits for the estimate and gives it; None where the edit makes none, or its own for windows.
    """

    estimate: Callable[[], Estimate] | None

    def __init__(self, request: EditRequest) -> None:
        """Read the files, then begin the estimate; the process that makes it ends with this object at the latest.

        Raises:
            FlowEditError: the request does not fit its files.
        """
        self.begun = time.perf_counter()
        settings = request.settings
        wanted = settings.method == "refine" and bool(request.keyframes)
        # Its Python starts while this one reads the files.
        process = _started() if wanted else None
        if process is not None:
            weakref.finalize(self, process.kill)
        self.job = read_job(request)
        self.estimate = None
        if process is not None and len(self.job.frames) <= model_defaults(request.model).window:
            self._given = self.job.frames, {keyframe.index: keyframe.image for keyframe in self.job.keyframes}
            self._process, self._said = process, b""
            self._thread = Thread(target=self._make, daemon=True)
            self._thread.start()
            self.estimate = self._wait

    def _make(self) -> None:
        self._said, _ = self._process.communicate(pickle.dumps(self._given))

    def _wait(self) -> Estimate:
        self._thread.join()
        # Whatever kept the other process from it is seen and said by making the estimate here.
        return pickle.loads(self._said) if self._process.returncode == 0 else estimate(*self._given)


def _started() -> "subprocess.Popen[bytes]":
    """A process that reads what `estimate` takes and writes what it gives."""
    code = f"from {__name__} import answer; answer()"
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=nothing, env=path)


def answer() -> None:
    """Make one estimate from standard input to standard output, both this program's own pickles."""
    frames, images = pickle.load(sys.stdin.buffer)
    pickle.dump(estimate(frames, images), sys.stdout.buffer)
