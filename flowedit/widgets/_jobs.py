"""Work that a widget starts: in a thread, with progress and cancel, so that neither page nor notebook freezes."""

import atexit
import threading
import time
import weakref
from collections.abc import Callable, Generator
from inspect import isgenerator
from typing import Any

import traitlets

from flowedit.errors import FlowEditError
from flowedit.widgets._base import FlowWidget

IDLE = {"state": "idle", "done": 0, "total": 0, "text": "", "seconds": 0.0}
"""What a `job` trait holds before anything ran; `state` is idle, running, cancelling, done, cancelled or failed."""

_REPORT_EVERY = 0.1
_EXIT_SECONDS = 2.0


class Job:
    """One piece of work at a time; `report` hears what the job's trait should hold, at most ten times a second.

    The work is a callable. A plain one runs to its end, and a cancel only drops its result. One that returns a
    generator is watched: it yields `(done, total)` or a line of text, returns its result, and a cancel closes it at
    its next yield. When the interpreter exits, every job is closed.
    """

    def __init__(self, report: Callable[[dict], None]) -> None:
        self._report = report
        self._cancel = threading.Event()
        # What one thread says, the other must not overtake: a job that ended would be said to be stopping for ever.
        self._saying = threading.RLock()
        self._thread: threading.Thread | None = None
        self._status = dict(IDLE)
        self._began = self._told = 0.0
        self.closed = False
        _JOBS.add(self)

    @property
    def running(self) -> bool:
        """Whether work is under way."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, work: Callable[[], object], finish: Callable[[Any], object]) -> bool:
        """Run `work` in a thread and hand its result to `finish`; False, and nothing happens, while one is running."""
        if self.running or self.closed:
            return False
        self._cancel.clear()
        self._began = time.monotonic()
        self._status = {**IDLE, "state": "running"}
        self._tell()
        self._thread = threading.Thread(target=self._run, args=(work, finish), daemon=True)
        self._thread.start()
        return True

    def cancel(self) -> None:
        """Ask the work to stop."""
        with self._saying:
            if self.running and self._status["state"] == "running":
                self._cancel.set()
                self._tell(state="cancelling")

    def wait(self, timeout: float | None = None) -> None:
        """Block until the work ended; for scripts and tests."""
        if self._thread is not None:
            self._thread.join(timeout)

    def close(self) -> None:
        """Say nothing more, ask the work to stop, and wait a little: two threads would garble a closing channel."""
        self.closed = True
        self.cancel()
        self.wait(_EXIT_SECONDS)

    def _run(self, work: Callable[[], object], finish: Callable[[Any], object]) -> None:
        try:
            result = work()
            if isgenerator(result):
                result = self._watch(result)
            if self._cancel.is_set():
                self._tell(state="cancelled", text="cancelled")
                return
            finish(result)
            self._tell(state="done", text="done")
        except FlowEditError as error:
            self._tell(state="failed", text=str(error))
        except Exception as error:  # shown on the widget: nobody reads a thread's traceback
            self._tell(state="failed", text=f"{type(error).__name__}: {error}")

    def _watch(self, work: Generator[Any, Any, object]) -> object:
        while not self._cancel.is_set():
            try:
                news = next(work)
            except StopIteration as end:
                return end.value
            if isinstance(news, str):
                self._status["text"] = news
            else:
                self._status["done"], self._status["total"] = (float(value) for value in news)
            if time.monotonic() - self._told >= _REPORT_EVERY:
                self._tell()
        work.close()
        return None

    def _tell(self, **changes: object) -> None:
        with self._saying:
            self._status.update(changes)
            self._told = time.monotonic()
            self._status["seconds"] = round(self._told - self._began, 2)
            if not self.closed:
                self._report(dict(self._status))


class JobWidget(FlowWidget):
    """A widget that starts work in the kernel.

    Attributes:
        job: how the work stands, see `IDLE`.
        worker: the work itself.
    """

    job = traitlets.Dict(IDLE).tag(sync=True)

    def __init__(self, **traits: object) -> None:
        self.worker = Job(self._report)
        super().__init__(**traits)
        self.on_msg(self._hear)

    def _asked(self, content: dict) -> None:
        """What the page asked for, beyond a cancel."""

    def _report(self, status: dict) -> None:
        self.job = status

    def _hear(self, _: object, content: object, __: object) -> None:
        """Cancel, or do what is asked; and say in any case that the kernel is there."""
        if not isinstance(content, dict):
            return
        if content.get("type") == "cancel":
            self.worker.cancel()
        else:
            self._asked(content)
        self.send({"type": "alive"})


_JOBS: "weakref.WeakSet[Job]" = weakref.WeakSet()


@atexit.register
def _close_jobs() -> None:
    """Before the kernel closes its channels, end the work that still writes to them."""
    for job in list(_JOBS):
        job.close()
