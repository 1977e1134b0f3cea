"""A run that is interrupted, cancelled, killed or broken: what was begun is kept, no more is painted or paid for."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from agent_clips import static_source
from agent_server import KEY, error, good, is_drawing, serving
from pydantic import SecretStr

from flowedit.agent.cancel import Cancel, RunCancelledError
from flowedit.agent.events import Event, EventLog, Record, Usage, read_record
from flowedit.agent.gemini import Gemini
from flowedit.agent.parts import OfflineParts
from flowedit.agent.result import read_result
from flowedit.agent.run import style_video, style_video_async
from flowedit.agent.settings import GeminiSettings, StyleSettings
from flowedit.errors import AgentError

MANY = StyleSettings(style="pencil", backend="offline", target_fps=2.0)
"""Nine keyframes of a clip of 33 frames at 8 a second."""
AT_ONCE = 2


def attempts(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "attempts").glob("[0-9]*.png")}


def until(happened, seconds=60):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


HEARD = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""A shell's background jobs begin with interrupts ignored, and hand that on."""
PAYING = """
import sys
sys.path[:0] = [sys.argv[1]]
from test_agent_cancel import paying
paying(sys.argv[2], sys.argv[3])
"""


def paying(url, folder):
    """Nine keyframes by Gemini: one reading, nine drawings, one opinion."""
    gemini = GeminiSettings(base_url=url, attempts=2, backoff_s=0.01)
    return style_video(static_source(33), StyleSettings(style="pencil", target_fps=2.0, gemini=gemini), folder)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_ended_run_goes_on_and_repeats_nothing_that_was_painted_or_paid(tmp_path, monkeypatch, how):
    """Ended while two pictures are being drawn: interrupted, it finishes those and asks for no other.

    Catches keyframes that all wait in the pool and are drawn, and paid for, after Ctrl-C.
    """
    folder, drawn, hold = tmp_path / "run", [], threading.Event()
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)

    def respond(request):
        if is_drawing(request):
            drawn.append(str(request))
            if len(drawn) > 2:
                hold.wait(60)
        return good(request)

    with serving(respond) as server:
        command = [sys.executable, "-c", HEARD + PAYING, str(Path(__file__).parent), server.url, str(folder)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ)
        until(lambda: len(drawn) == 2 + AT_ONCE and len(attempts(folder)) == 2)
        time.sleep(0.3)
        process.send_signal(how)
        time.sleep(0.3)
        hold.set()
        said = process.communicate(timeout=60)[1]
        kept, interrupted = attempts(folder), how == signal.SIGINT
        assert said.rstrip().endswith("KeyboardInterrupt") == interrupted
        assert len(kept) == (2 + AT_ONCE if interrupted else 2)
        assert server.calls == 1 + 2 + AT_ONCE
        with pytest.raises(AgentError, match="did not finish; repeat the same command"):
            read_result(folder)
        result = paying(server.url, folder)
        assert server.calls == 1 + 9 + 1 + (0 if interrupted else AT_ONCE)
    assert len(set(drawn)) == len(result.indices) == 9
    assert {row["by"] for row in result.metadata["keyframes"]} == {"gemini-3.1-flash-image"}
    assert kept.items() <= attempts(folder).items()
    nodes = [event.node for event in read_record(folder).events]
    assert (nodes.count("sample"), nodes.count("analyze_style"), nodes.count("style_keyframe")) == (1, 1, 9)
    assert result.usage.calls == 1 + 9 + 1


async def cancelled(begun, go_on, *given):
    """A task that is cancelled once its work is held, and goes on shortly after."""
    task = asyncio.create_task(style_video_async(*given))
    await asyncio.to_thread(until, begun)
    task.cancel()
    await asyncio.sleep(0.1)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_cancelled_task_paints_no_further_keyframe(tmp_path, monkeypatch):
    """Catches a thread that goes on painting and holds the folder after `await` has ended."""
    begun, go_on, folder = [], threading.Event(), tmp_path / "run"

    class Held(OfflineParts):
        def style(self, image, master, task, event):
            begun.append(task["index"])
            assert go_on.wait(60)
            return super().style(image, master, task, event)

    with monkeypatch.context() as held:
        held.setattr("flowedit.agent.run.OfflineParts", Held)
        asyncio.run(cancelled(lambda: len(begun) == AT_ONCE, go_on, static_source(33), MANY, folder))
    kept = attempts(folder)
    assert len(begun) == len(kept) == AT_ONCE
    assert len(style_video(static_source(33), MANY, folder).indices) == 9
    assert kept.items() <= attempts(folder).items()


def test_a_task_can_be_cancelled_while_it_reads_the_clip(tmp_path):
    """Catches a long film that is read to its end after the user has given up."""
    read, source, go_on = [], static_source(33), threading.Event()

    def stream():
        for frame in source.stream():
            read.append(1)
            assert len(read) != 5 or go_on.wait(60)
            yield frame

    held = replace(source, stream=stream)
    asyncio.run(cancelled(lambda: len(read) == 5, go_on, held, MANY, tmp_path / "run"))
    assert len(read) == 5


def test_a_keyframe_that_fails_ends_the_others_and_is_the_reason(tmp_path):
    """Catches a node that raises while the rest of the clip is still painted, and a cancellation that hides why."""
    painted = []

    class Broken(OfflineParts):
        def style(self, image, master, task, event):
            painted.append(task["index"])
            if len(painted) == 2:
                raise ZeroDivisionError("in a styler")
            time.sleep(0.2)
            return super().style(image, master, task, event)

    with pytest.raises(ZeroDivisionError, match="in a styler"):
        style_video(static_source(33), MANY, tmp_path / "run", parts=Broken(MANY))
    assert len(painted) <= 1 + AT_ONCE
    failed = [event for event in read_record(tmp_path / "run").events if event.outcome == "failed"]
    assert [event.notes for event in failed] == [["in a styler"]]
    assert len(style_video(static_source(33), MANY, tmp_path / "run").indices) == 9


def test_a_pause_before_the_next_try_ends_with_the_run(tmp_path):
    """Catches a back-off of a minute that is slept to its end, and the try after it."""
    busy = error(503)
    cancel, event = Cancel(), Event(node="style_keyframe")
    with serving(lambda request: busy) as server:
        settings = GeminiSettings(base_url=server.url, attempts=4, backoff_s=50.0)
        client = Gemini(settings, SecretStr(KEY), tmp_path / "answers", cancel)
        threading.Thread(target=lambda: (until(lambda: server.calls), cancel.set())).start()
        for _ in range(2):
            with pytest.raises(RunCancelledError):
                client.draw("Paint it.", [static_source(5).frame(0)], event)
        assert server.calls == 1
    assert event.usage == Usage(calls=1)


def test_a_second_interrupt_does_not_wait():
    """Catches work that hangs (a server that never answers) and holds the caller for ever."""
    import _thread

    begun, release, ended, left = threading.Event(), threading.Event(), threading.Event(), []

    def interrupting():
        begun.wait(20)
        time.sleep(0.5)  # the work has begun: until its caller waits for it
        _thread.interrupt_main()
        if not ended.wait(0.6):  # or else the interrupt would end these tests
            left.append(release.is_set())
            _thread.interrupt_main()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupting).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            Cancel().run(lambda: (begun.set(), release.wait(30)))
    finally:
        ended.set()
        signal.signal(signal.SIGINT, before)
        release.set()
    assert left == [False]


def test_a_node_that_is_interrupted_is_not_done(tmp_path):
    """Catches Ctrl-C in the middle of a node, recorded as a node that finished."""
    log = EventLog(tmp_path, Record(fingerprint="x", video="x", settings=MANY), str, print)
    with pytest.raises(KeyboardInterrupt), log.node("plan"):
        raise KeyboardInterrupt
    (event,) = read_record(tmp_path).events
    assert (event.outcome, event.notes) == ("failed", ["Interrupted (KeyboardInterrupt)."])
