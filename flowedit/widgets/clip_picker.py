"""Choose a clip and its keyframes in a notebook, with plain controls; `value` is what the editor takes."""

import html
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import ipywidgets as ui
import numpy as np
import traitlets

from flowedit.errors import FlowEditError, WidgetError
from flowedit.frames import longest_legal
from flowedit.keyframes import Keyframe
from flowedit.widgets._base import Column
from flowedit.widgets._picking import Source, keep_upload, match_image
from flowedit.widgets._sprites import MAX_FRAMES
from flowedit.widgets.run_panel import RunPanel
from flowedit.widgets.slot_map import SlotMap

Painter = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]

NO_CLIP = "No clip yet: upload one, or give its path."
"""What a picker says before a clip is chosen."""
NO_FRAME = "No frame is picked; click frames on the map first."


class Picked(NamedTuple):
    """Inputs for the editor: a window of the clip at the size it is edited at, and its keyframes in order."""

    frames: np.ndarray  # uint8 (F, H, W, 3)
    keyframes: tuple[Keyframe, ...]
    fps: Fraction  # of the source
    start: int  # source frame that became frame 0


class ClipPicker(Column):
    """Upload or name a clip, choose the window, pick frames on the slot map, paint them elsewhere, bring them back.

    Args:
        path: a clip to begin with.
        area: pixels of a frame that the model works at; sides are multiples of 16.
        window: most frames that the model edits at once, `4n + 1`.
        looks: by name, what paints pictures, uint8 (H, W, 3) each, all in one look.
        panel: makes the panel that runs the edit, from a callable that gives `value`.

    Attributes:
        ready: whether `value` can be taken; observe it to go on by itself.
        problem: what is missing or wrong, in one line; empty when ready.

    Raises:
        WidgetError: a window too long for the slot map.
        VideoFileError: `path` is not a video that can be read.

    >>> ClipPicker().problem
    'No clip yet: upload one, or give its path.'
    """

    ready = traitlets.Bool(default_value=False)
    problem = traitlets.Unicode()

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        area: int = 128 * 128,
        window: int = 33,
        looks: Mapping[str, Painter] | None = None,
        panel: Callable[[Callable[[], Picked]], RunPanel] | None = None,
    ) -> None:
        if window > MAX_FRAMES:
            raise WidgetError(f"window is {window}; a slot map holds {longest_legal(MAX_FRAMES)} frames or fewer.")
        self._area, self._window, self._looks = area, window, dict(looks or {})
        self.panel = panel(lambda: self.value) if panel else None
        self._folder = tempfile.TemporaryDirectory(prefix="flowedit-picker-")
        self._source: Source | None = None
        self._frames: np.ndarray | None = None
        self._cuts = ""
        self._images: dict[int, np.ndarray] = {}
        self._complaint = ""
        self._changing = False  # controls set by the program are no wish of the reader's
        super().__init__(self._controls())
        self.add_class("fe-picker")  # the slot map's script keeps the keys of all controls in this box
        self._judge()
        if path is not None:
            self.open_clip(path)

    @property
    def value(self) -> Picked:
        """Frames, keyframes, rate and first frame, ready for the editor, or a `WidgetError` that says `problem`."""
        if self.problem or self._frames is None:
            raise WidgetError(self.problem)
        keyframes = tuple(Keyframe(index, self._images[index]) for index in self.map.keyframes)
        return Picked(self._frames, keyframes, self._opened().fps, self.start.value)

    @property
    def fps(self) -> float:
        """Frames a second of the clip, or 16 while there is none: for what shows the clip or its edit."""
        return float(self._source.fps) if self._source else 16.0

    def open_clip(self, path: str | Path, name: str | None = None) -> None:
        """Take a video file, or refuse it with a `VideoFileError`; keyframes picked so far stay where they fit."""
        path = Path(path)
        self._source = Source.open(path, name or path.name, area=self._area)
        self._take_window(0)

    def fallback(self) -> str:
        """What was chosen, in words and on the map, where no script runs."""
        return self.facts.value + (_words(self.problem, tag="p") if self._frames is None else self.map.fallback())

    def _controls(self) -> list[ui.Widget]:
        auto, wrap = {"width": "auto"}, {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 12px"}
        self.upload = ui.FileUpload(accept="video/*", description="Upload a clip", layout=auto)
        place = "or a path on the kernel's machine, then Enter"
        self.path = ui.Text(placeholder=place, continuous_update=False, layout={"width": "100%", "max_width": "560px"})
        self.start = ui.BoundedIntText(0, min=0, max=0, description="First frame")
        self.length = ui.IntSlider(1, min=1, max=5, step=4, description="Frames", continuous_update=False)
        self.map = SlotMap(1, heading="Pick the keyframes", note="frames 0, 4, 8, ... are natural places")
        self.grab = ui.Button(description="Make a zip of the picked frames", layout=auto)
        self.images = ui.FileUpload(
            accept="image/*", multiple=True, description="Bring painted frames back", layout=auto
        )
        self.look = ui.Dropdown(options=list(self._looks), description="Paint as")
        self.brush = ui.Button(description="Paint the picked frames", layout=auto)
        self.link, self.facts, self.verdict = (ui.HTML() for _ in range(3))
        self.upload.observe(lambda change: self._each(change["new"], self._take_video), "value")
        self.path.observe(self._on_path, "value")
        self.start.observe(lambda change: self._on_window(change["new"], None), "value")
        self.length.observe(lambda change: self._on_window(self.start.value, change["new"]), "value")
        self.map.observe(lambda _: self._judge(), "keyframes")
        self.grab.on_click(lambda _: self._attempt(self._offer_frames))
        self.brush.on_click(lambda _: self._attempt(self._paint))
        self.images.observe(lambda change: self._each(change["new"], self._take_image), "value")
        window = ui.HBox([self.start, self.length], layout=wrap)
        painted = ui.HBox([self.look, self.brush] if self._looks else [], layout=wrap)
        elsewhere = ui.HBox([self.grab, self.link, self.images], layout=wrap)
        self._later = ui.VBox([window, self.map, painted, elsewhere])
        self._run = ui.VBox([self.panel] if self.panel else [])
        return [ui.HBox([self.upload, self.path], layout=wrap), self.facts, self._later, self.verdict, self._run]

    def _each(self, files: Sequence[dict], take: Callable[[str, Path], None]) -> None:
        """Hand every uploaded file, by its own name and where it lies now, to `take`."""
        for file in files:
            path = keep_upload(Path(self._folder.name), file["name"], bytes(file["content"]))
            self._attempt(lambda path=path, name=file["name"]: take(name, path))

    def _take_video(self, name: str, path: Path) -> None:
        self.open_clip(path, name)

    def _take_image(self, name: str, path: Path) -> None:
        source = self._opened()
        self._images[match_image(name, self.map.keyframes, self._images)] = source.fit_image(path, name)

    def _paint(self) -> None:
        """Paint the picked frames in one look."""
        source, picked = self._opened(), self.map.keyframes
        if not picked:
            raise WidgetError(NO_FRAME)
        for index, image in zip(
            picked, self._looks[self.look.value](source.pictures(self.start.value, picked)), strict=True
        ):
            self._images[index] = source.fitted(image, f"frame {index}")

    def _on_path(self, change: traitlets.Bunch) -> None:
        if change["new"].strip():
            self._attempt(lambda: self.open_clip(Path(change["new"].strip()).expanduser()))

    def _on_window(self, start: int, length: int | None) -> None:
        if self._source is not None and not self._changing:
            self._attempt(lambda: self._take_window(start, length))

    def _take_window(self, start: int, length: int | None = None) -> None:
        """Read a window, the longest where no length is given; images of what is now another frame are let go."""
        source = self._opened()
        longest = longest_legal(min(source.total - start, self._window))
        self._images = {i: image for i, image in self._images.items() if length is not None and i < length}
        self._changing = True
        try:
            self.start.max, self.start.value = source.total - 1, start
            self.length.max, self.length.value = longest, length or longest
        finally:
            self._changing = False
        self._frames = source.read(start, self.length.value)
        from flowedit.media.cuts import cuts_note  # it loads OpenCV

        window = range(start, start + len(self._frames))
        self._cuts = "".join(f" Note: {note}." for note in cuts_note(self._frames, window))
        self.map.show_clip(self._frames)
        self.link.value = ""
        self._judge()

    def _opened(self) -> Source:
        """The clip, or a refusal that says to choose one."""
        if self._source is None:
            raise WidgetError(NO_CLIP)
        return self._source

    def _offer_frames(self) -> None:
        if not self.map.keyframes:
            raise WidgetError(NO_FRAME)
        source = self._opened()
        address = source.zipped(self.start.value, self.map.keyframes)
        size = f"{source.size[1]}x{source.size[0]}"
        self.link.value = f'<a download="keyframes.zip" href="{address}">Save keyframes.zip ({size})</a>'

    def _attempt(self, action: Callable[[], None]) -> None:
        """Do it, or say in place why it cannot be done."""
        self._complaint = ""
        try:
            action()
        except FlowEditError as error:
            self._complaint = str(error).replace(f"{self._folder.name}{os.sep}", "")
        self._judge()

    def _judge(self) -> None:
        """Say what is missing, and what was refused."""
        picked = self.map.keyframes
        missing = [index for index in picked if index not in self._images]
        if self._frames is None:
            problem = NO_CLIP
        elif not picked:
            problem = "No keyframe yet: click frames on the map."
        elif self.map.problem or not missing:
            problem = self.map.problem
        else:
            problem = f"No image yet for {'frame' if len(missing) == 1 else 'frames'} {', '.join(map(str, missing))}."
        self.problem, self.ready = problem, not problem
        self._later.layout.display = "none" if self._frames is None else None
        self._run.layout.display = "none" if problem else None
        if self._frames is not None:
            source, (count, height, width) = self._opened(), self._frames.shape[:3]
            self.facts.value = _words(
                f"{source.name}: {source.total} frames of {source.size[1]}x{source.size[0]} at {float(source.fps):.3g} "
                f"fps. Frames {self.start.value} to {self.start.value + count - 1} are edited at {width}x{height}."
                f"{self._cuts}"
            )
        said = " ".join(filter(None, (self._complaint, problem))) or "Ready: the clip and its keyframes fit."
        colour = "#b3261e" if self._complaint else "#8a5200" if problem else "#2b7338"
        self.verdict.value = _words(said, f"padding:6px 12px;border-left:3px solid {colour}", "p role='status'")


def _words(text: str, style: str = "", tag: str = "span") -> str:
    if not text:
        return ""
    return f'<{tag} style="overflow-wrap:anywhere;line-height:1.5;{style}">{html.escape(text)}</{tag.split()[0]}>'
