"""Start, watch and stop a run from a notebook, without blocking it: progress, time left, memory and a live preview."""

import html
import sys
import traceback
from collections.abc import Callable, Generator, Iterable
from time import monotonic

import numpy as np
import traitlets

from flowedit.display import spread
from flowedit.errors import WidgetError
from flowedit.widgets._assets import script, style
from flowedit.widgets._base import FlowWidget, Table
from flowedit.widgets._jobs import IDLE, Job
from flowedit.widgets._picture import image
from flowedit.widgets._sprites import check_clip, contact_sheet, encode_clip, encode_image
from flowedit.widgets._svg import progress_plot

Work = Callable[[], Iterable[object]]
"""Makes the run: an iterable, usually a generator, with one item per step. A str among them is a line of news."""
Preview = Callable[[object], np.ndarray]
"""A step's item -> uint8 (F, H, W, 3)."""

# Under the 64 kB from which the kernel's messages are sent without a copy: a closing kernel cannot send those.
_PREVIEW_BYTES = 40_000
_RESULT_BYTES = 200_000
_LOG_LINES = 200


class RunPanel(FlowWidget):
    """A run in a thread of the kernel, with start and cancel.

    Cancel closes the run's generator as soon as the step under way ends, so that nothing of it goes on. The notebook
    stays free: other cells run meanwhile. A page that loses its kernel says so and keeps the last preview.

    Attributes:
        job: `state` (idle, running, cancelling, done, cancelled or failed), `done`, `total`, `text`, `seconds`.
        left: seconds left, estimated from the last steps; -1 while that is not known.
        memory: memory in use and its peak, in words.
        clip: the last preview, or the result.
        log: one line per step.
        every: steps between previews.
        preview_note: what the picture is, said on it.

    >>> panel = RunPanel(lambda: iter(range(3)), total=3)
    >>> panel.run()
    2
    """

    _esm = script("player", "run_panel")
    _css = style("player", "run_panel")

    job = traitlets.Dict(IDLE).tag(sync=True)
    left = traitlets.Float(-1.0).tag(sync=True)
    memory = traitlets.Unicode("").tag(sync=True)
    clip = traitlets.List().tag(sync=True)
    preview_note = traitlets.Unicode("").tag(sync=True)
    log = traitlets.List(traitlets.Unicode()).tag(sync=True)
    every = traitlets.Int(5, min=1).tag(sync=True)
    fps = traitlets.Float(4.0).tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)
    loop = traitlets.List(traitlets.Int()).tag(sync=True)
    speed = traitlets.Float(1.0).tag(sync=True)

    def __init__(
        self,
        work: Work,
        *,
        total: int,
        preview: Preview | None = None,
        finish: Callable[[object], object] | None = None,
        **traits: object,
    ) -> None:
        """Prepare a run; nothing starts before the button, `start` or `run`.

        Args:
            work: makes the run anew each time it starts, such as `lambda: edit_steps(prepared)`.
            total: steps of the run, at least 1.
            preview: shows a step, such as `step_preview(rgb_map)`.
            finish: makes the result from the last step, such as `lambda step: finish(prepared, step.latents)`; a result
                that is a clip, or has `frames`, is shown.
            **traits: any attribute above, and `heading` and `note`.

        Raises:
            WidgetError: a total below 1.
        """
        if total < 1:
            raise WidgetError(f"total is {total}; a run has at least 1 step.")
        self._work, self._total, self._preview, self._finish = work, int(total), preview, finish
        self._steps_began: list[float] = []
        self._runner = Job(self._report)
        self._shown: np.ndarray | None = None
        self.result: object = None
        self.error: BaseException | None = None
        super().__init__(**{"heading": "Run", **traits})
        self.on_msg(self._on_message)

    @classmethod
    def example(cls) -> "RunPanel":
        """A corrected edit of a small scene on its mean colours as latents, run to its end."""
        from flowedit.widgets.demo_run import demo_run

        panel = cls(**demo_run(), heading="A corrected run", note="closed form", every=1)
        panel.run()
        return panel

    @property
    def running(self) -> bool:
        """Whether the run is under way."""
        return self._runner.running

    def start(self) -> bool:
        """Start the run in a thread; False, and nothing happens, while it is running."""
        if self.running or self._runner.closed:
            return False
        self.result, self.error, self._steps_began = None, None, [monotonic()]
        self.log, self.left, self.clip, self._shown = [], -1.0, [], None
        return self._runner.start(self._watched, self._keep)

    def cancel(self) -> None:
        """Ask the run to stop after the step under way."""
        self._runner.cancel()

    def wait(self, timeout: float | None = None) -> object:
        """Block until the run ended, at most `timeout` seconds; its result."""
        self._runner.wait(timeout)
        return self.result

    def run(self) -> object:
        """Start, wait, and return the result; raises what the run raised. For scripts."""
        self.start()
        self.wait()
        if self.error is not None:
            raise self.error
        return self.result

    def _watched(self) -> Generator[object, None, object]:
        """The run as the job sees it: what it yields, with log, preview and result added."""
        items = self._work()
        last, done = None, 0
        try:
            yield (0, self._total)
            for item in items:
                if self._runner.closed:
                    break
                if isinstance(item, str):
                    yield item
                    continue
                last, done = item, done + 1
                self._note_step(item, done)
                yield (done, max(self._total, done))
            if self._finish is not None and not self._runner.closed:
                yield "finishing"
                last = self._finish(last)
            return last
        except Exception as error:
            self.error = error
            if self._runner.closed:
                return None
            self._add_lines(traceback.format_exc().splitlines()[-12:])
            raise
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    def _note_step(self, item: object, done: int) -> None:
        self._steps_began = [*self._steps_began[-5:], monotonic()]
        recent = (self._steps_began[-1] - self._steps_began[0]) / (len(self._steps_began) - 1)
        line = _line(item, done)
        with self.hold_sync():
            self.left = max(0.0, recent * (self._total - done))
            self.memory = memory_text()
            self._add_lines([line])
        if self._preview is not None and (done % self.every == 0 or done == self._total):
            note = f"preview at step {done}: a linear look at the latents"
            self._show(self._preview(item), note, _PREVIEW_BYTES)

    def _add_lines(self, lines: list[str]) -> None:
        self.log = [*self.log, *lines][-_LOG_LINES:]

    def _keep(self, result: object) -> None:
        self.result = result
        if self._runner.closed:
            return
        self.left = 0.0
        frames = getattr(result, "frames", result)
        if isinstance(frames, np.ndarray) and frames.dtype == np.uint8 and frames.ndim == 4:
            self._show(frames, "result", _RESULT_BYTES)

    def _show(self, frames: np.ndarray, note: str, budget: int) -> None:
        try:
            clip = {"name": "preview", **encode_clip(check_clip(frames, "preview"), budget)}
        except WidgetError as error:  # a run must not end because its picture is too large for a page
            self._add_lines([f"Not shown: {error}"])
            return
        if self._runner.closed:
            return
        with self.hold_sync():
            self.clip, self.preview_note = [clip], note
        self._shown = frames

    def _report(self, status: dict) -> None:
        self.job = status

    def _on_message(self, _: object, content: object, __: object) -> None:
        """Start, cancel, or say that the kernel is there."""
        kind = content.get("type") if isinstance(content, dict) else None
        if kind == "start":
            self.start()
        elif kind == "cancel":
            self.cancel()
        if kind in ("start", "cancel", "ping"):
            self.send({"type": "alive"})

    def _picture(self) -> str:
        words = f"{self.job['state']}: {self.job['done']:g} of {self._total} steps"
        bar = image(progress_plot(self.job["done"] / self._total, words), words)
        if self._shown is None:
            return bar
        still = encode_image(contact_sheet(self._shown[spread(len(self._shown), [])]), max_side=900)
        return bar + f'<p><img alt="{html.escape(self.preview_note)}" src="{still}"></p>'

    def _table(self) -> Table:
        rows = list(enumerate(self.log, start=1))[-20:]
        return Table(f"Last lines of the run ({self.job['state']})", ("line", "said"), rows or [(0, "nothing yet")])


def memory_text() -> str:
    """Memory of this process, and of the GPU where torch is already loaded and has one; nothing where not known."""
    parts = []
    try:
        import psutil

        parts.append(f"{psutil.Process().memory_info().rss / 2**30:.2f} GiB")
    except ImportError:
        pass
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        now, peak = torch.cuda.memory_allocated() / 2**30, torch.cuda.max_memory_allocated() / 2**30
        parts.append(f"GPU {now:.1f} GiB, peak {peak:.1f}")
    return "; ".join(parts)


def _line(item: object, done: int) -> str:
    """A step's own line where it has one (`item.trace.line()`), else its number."""
    line = getattr(getattr(item, "trace", None), "line", None)
    return str(line()) if callable(line) else f"Step {done}"
