"""Start, watch and stop a run from a notebook, without blocking it: progress, time left, memory and a live preview."""

import html
import sys
import traceback
from collections.abc import Callable, Generator
from contextlib import closing

import numpy as np
import psutil
import traitlets

from flowedit.show.display import spread, table_tag
from flowedit.widgets._jobs import JobWidget
from flowedit.widgets._sprites import contact_sheet, encode_images
from flowedit.widgets.export import script, style

# Under the 64 kB from which the kernel's messages are sent without a copy: a closing kernel cannot send those.
_PICTURE_BYTES = 40_000
_LOG_LINES = 200


class RunPanel(JobWidget):
    """A run in a thread of the kernel, with start and cancel.

    Cancel closes the run's generator as soon as the step under way ends, so that nothing of it goes on. The notebook
    stays free: other cells run meanwhile. A page that loses its kernel says so and keeps the last preview.

    Args:
        work: makes the run anew each time it starts, such as `lambda: edit_steps(prepared)`: a generator of one
            item per step; a str among them is a line of news.
        total: steps of the run.
        preview: a step's item as frames, uint8 (F, H, W, 3), such as `latent_preview(latents, frames)`.
        finish: makes the result from the last step, such as `lambda step: finish(prepared, step.latents)`; else it is
            what the generator returns, or its last step. A result that is a clip, or has `frames`, is shown.

    Attributes:
        picture: frames of the last preview, or of the result, side by side; `preview_note` says which.
        log: one line per step.
        result: what the run made, or None.
        error: what it raised, or None.

    >>> panel = RunPanel(lambda: (step for step in range(3)), total=3)
    >>> panel.run()
    2
    """

    _esm = script("job", "run_panel")
    _css = style("run_panel")

    picture = traitlets.Unicode("").tag(sync=True)
    preview_note = traitlets.Unicode("").tag(sync=True)
    log = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(
        self,
        work: Callable[[], Generator[object, None, object]],
        *,
        total: int,
        preview: Callable[[object], np.ndarray] | None = None,
        finish: Callable[[object], object] | None = None,
        **traits: object,
    ) -> None:
        self._work, self._total, self._preview, self._finish = work, int(total), preview, finish
        self.result: object = None
        self.error: Exception | None = None
        super().__init__(**{"heading": "Run", **traits})

    def start(self) -> bool:
        """Start the run in a thread; False, and nothing happens, while it is running."""
        if self.worker.running or self.worker.closed:
            return False
        self.result = self.error = None
        self.log, self.picture = [], ""
        return self.worker.start(self._watched, self._keep)

    def run(self) -> object:
        """Start, wait, and return the result; raises what the run raised. For scripts."""
        self.start()
        self.worker.wait()
        if self.error is not None:
            raise self.error
        return self.result

    def _asked(self, content: dict) -> None:
        if content.get("type") == "start":
            self.start()

    def _watched(self) -> Generator[object, None, object]:
        """The run as the job sees it: what it yields, with log, preview and result added."""
        last, done, made = None, 0, list[object]()

        def steps(work: Generator[object, None, object]) -> Generator[object, None, None]:
            made.append((yield from work))

        try:
            yield 0, self._total
            with closing(self._work()) as items:
                for item in steps(items):
                    if self.worker.closed:
                        return None
                    if isinstance(item, str):
                        yield item
                        continue
                    last, done = item, done + 1
                    line = getattr(getattr(item, "trace", item), "line", None)
                    self._add_lines([str(line()) if callable(line) else f"Step {done}"])
                    if self._preview is not None:
                        self._show(self._preview(item), f"preview at step {done}: a linear look at the latents")
                    yield memory_text()
                    yield done, max(self._total, done)
            if self._finish is not None:
                yield "finishing"
                last = self._finish(last)
            return last if self._finish is not None or made[0] is None else made[0]
        except Exception as error:
            self.error = error
            if not self.worker.closed:
                self._add_lines(traceback.format_exc().splitlines()[-12:])
            raise

    def _add_lines(self, lines: list[str]) -> None:
        self.log = [*self.log, *lines][-_LOG_LINES:]

    def _keep(self, result: object) -> None:
        self.result = result
        frames = getattr(result, "frames", result)
        if isinstance(frames, np.ndarray) and frames.dtype == np.uint8 and frames.ndim == 4:
            self._show(frames, "result")

    def _show(self, frames: np.ndarray, note: str) -> None:
        strip = contact_sheet(frames[spread(len(frames), [])])
        picture = encode_images([strip], max_side=960, budget=_PICTURE_BYTES)[0]
        if not self.worker.closed:
            with self.hold_sync():
                self.picture, self.preview_note = picture, note

    def _still(self) -> str:
        done = self.job["done"]
        picture = f'<p><progress max="{self._total}" value="{done:g}"></progress> {done:g} of {self._total} steps</p>'
        if self.picture:
            picture += f'<p><img alt="{html.escape(self.preview_note)}" src="{self.picture}"></p>'
        rows = list(enumerate(self.log, start=1))[-20:] or [(0, "nothing yet")]
        return picture + table_tag(f"Last lines of the run ({self.job['state']})", ("line", "said"), rows)


def memory_text() -> str:
    """Memory of this process, and of the GPU where torch is already loaded and has one."""
    own = f"{psutil.Process().memory_info().rss / 2**30:.2f} GiB"
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return own
    now, peak = torch.cuda.memory_allocated() / 2**30, torch.cuda.max_memory_allocated() / 2**30
    return f"{own}; GPU {now:.1f} GiB, peak {peak:.1f}"
