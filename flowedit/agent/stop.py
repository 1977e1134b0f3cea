"""A run that is told to stop: work that has begun is finished and kept, and nothing further is painted or paid for."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TypeVar

from flowedit.agent.events import Usage
from flowedit.agent.sample import Picture, Source

Value = TypeVar("Value")

_LOOK_S = 0.2
"""Seconds between two looks at whether work is done: a wait without end cannot be interrupted on every system."""


class StoppedError(Exception):
    """Raised in a run's threads once the run was told to stop; its caller sees the reason instead.

    `usage` is what the call that was given up had taken.
    """

    def __init__(self, usage: Usage | None = None) -> None:
        super().__init__("The run was stopped.")
        self.usage = usage or Usage()


class Stop:
    """Tells the threads of one run to stop; they look at it before each frame and each request.

    Attributes:
        reason: what stopped the run; None where it was not told why.
    """

    def __init__(self) -> None:
        """Make one for a run that goes on."""
        self._event = threading.Event()
        self._lock = threading.Lock()
        self.reason: BaseException | None = None

    def set(self, reason: BaseException | None = None) -> None:
        """Tell the run to stop; the first reason is the one that counts."""
        with self._lock:
            if not self._event.is_set():
                self.reason = reason
                self._event.set()

    def check(self, usage: Usage | None = None) -> None:
        """Go no further in a run that was told to stop.

        Args:
            usage: what the call that is given up has taken.

        Raises:
            StoppedError: it was.
        """
        if self._event.is_set():
            raise StoppedError(usage)

    def sleep(self, seconds: float) -> None:
        """Wait so many seconds, or until the run is told to stop."""
        self._event.wait(seconds)

    def watching(self, source: Source) -> Source:
        """The same clip, of which a run that was told to stop reads no further frame."""

        def frame(index: int) -> Picture:
            self.check()
            return source.frame(index)

        def stream() -> Iterator[Picture]:
            for picture in source.stream():
                self.check()
                yield picture

        return replace(source, frame=frame, stream=stream)

    def run(self, work: Callable[[], Value]) -> Value:
        """Do the work in a thread, so that an interrupt reaches the caller at once and the work in an orderly way.

        Whatever is raised in the caller while it waits tells the work to stop; what has begun is waited for, and then
        the caller's exception goes on. A second interrupt leaves the work behind.

        Raises:
            BaseException: what was raised in the caller, or in the work.
        """
        thread = ThreadPoolExecutor(1)
        try:
            done = thread.submit(work)
            try:
                _wait_for(done)
            except BaseException as reason:
                self.set(reason)
                _wait_for(done)
                raise
            return self._outcome(done)
        finally:
            thread.shutdown(wait=False)

    def _outcome(self, done: "Future[Value]") -> Value:
        try:
            return done.result()
        except StoppedError:
            # One of several threads failed and stopped the others; theirs may be the first exception that is seen.
            if self.reason is None:
                raise
            raise self.reason from None


def _wait_for(done: Future) -> None:
    while not wait([done], timeout=_LOOK_S).done:
        pass
