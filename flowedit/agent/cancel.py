"""A run that is cancelled: work that has begun is finished and kept, and nothing further is painted or paid for."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

Value = TypeVar("Value")


class RunCancelledError(Exception):
    """Raised in a cancelled run's threads; its caller sees the reason instead, where there is one."""


class Cancel:
    """Tells the threads of one run to end, and why; they look at it before each frame and each request."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.reason: BaseException | None = None

    def set(self, reason: BaseException | None = None) -> None:
        """Tell the run to end; the first reason is the one that counts."""
        if not self._event.is_set():
            self.reason = reason
            self._event.set()

    def check(self) -> None:
        """Raise a `RunCancelledError` in a run that was cancelled."""
        if self._event.is_set():
            raise RunCancelledError("The run was cancelled.")

    def sleep(self, seconds: float) -> None:
        """Wait so many seconds, or until the run is cancelled."""
        self._event.wait(seconds)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Begin work only in a run that goes on; work that fails ends what runs beside it."""
        self.check()
        try:
            yield
        except BaseException as error:
            self.set(error)
            raise

    def run(self, work: Callable[[], Value]) -> Value:
        """Do the work in a thread, so that an interrupt reaches the caller at once and the work in an orderly way.

        Whatever is raised in the caller while it waits cancels the work; what has begun is waited for, and then the
        caller's exception goes on. A second interrupt leaves the work behind.
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
            return done.result()
        except RunCancelledError:
            # One of several threads failed and cancelled the others; theirs may be the first exception that is seen.
            if self.reason is None:
                raise
            raise self.reason from None
        finally:
            thread.shutdown(wait=False)


def within(seconds: float, work: Callable[[], Value]) -> Value:
    """What the work gives; a thread that takes longer is left behind, with a `TimeoutError`.

    The timeout of a client for HTTP is of each part of an answer: one that drips in would never exceed it.
    """
    done: Future[Value] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    if not wait([done], seconds).done:
        raise TimeoutError(f"no whole answer within {seconds:g} s")
    return done.result()


def _wait_for(done: Future) -> None:
    while not wait([done], timeout=0.2).done:  # one without end cannot be interrupted on every system
        pass
