"""A run that is interrupted, cancelled or broken: what was begun is kept, and nothing more is painted or paid for."""

import asyncio
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from agent_clips import static_source
from agent_server import KEY, error_body, good, is_drawing, serving
from pydantic import SecretStr

from flowedit.agent.events import Usage, read_record
from flowedit.agent.gemini import Gemini
from flowedit.agent.parts import offline_parts
from flowedit.agent.run import Company, style_in_company, style_video, style_video_async
from flowedit.agent.settings import GeminiSettings, StyleSettings
from flowedit.agent.stop import Stop, StoppedError

MANY = StyleSettings(style="pencil", backend="offline", target_fps=2.0)
"""Nine keyframes of a clip of 33 frames at 8 a second."""
AT_ONCE = 2


def attempts(folder):
    return sorted(path.name for path in (folder / "attempts").glob("[0-9]*.png"))


def held_parts(begun, go_on):
    """Parts whose styler says when it begins, and paints when it may."""
    parts = offline_parts(MANY, None)

    def styler(image, master, task, report):
        begun.append(task["index"])
        assert go_on.wait(60)
        return parts.styler(image, master, task, report)

    return replace(parts, styler=styler)


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
from agent_clips import static_source
from agent_server import KEY
from pydantic import SecretStr
from flowedit.agent.run import style_video
from flowedit.agent.settings import GeminiSettings, StyleSettings
gemini = GeminiSettings(base_url=sys.argv[2], attempts=2, backoff_s=0.01)
settings = StyleSettings(style="pencil", target_fps=2.0, gemini=gemini)
style_video(static_source(33), settings, sys.argv[3], key=SecretStr(KEY))
"""


def test_an_interrupt_ends_the_calls_and_the_next_run_goes_on(tmp_path):
    """Catches keyframes that all wait in the pool: they were drawn, and paid for, after Ctrl-C."""
    folder, drawn, hold = tmp_path / "run", [], threading.Event()

    def respond(request):
        if is_drawing(request):
            drawn.append(1)
            if len(drawn) > 2:
                hold.wait(60)
        return good(request)

    command = [sys.executable, "-c", HEARD + PAYING, str(Path(__file__).parent)]
    with serving(respond) as server:
        process = subprocess.Popen([*command, server.url, str(folder)], stderr=subprocess.PIPE, text=True)
        until(lambda: len(drawn) == 2 + AT_ONCE)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        hold.set()
        said = process.communicate(timeout=60)[1]
        assert said.rstrip().endswith("KeyboardInterrupt")
        assert server.calls == 1 + 2 + AT_ONCE
        assert len(attempts(folder)) == 2 + AT_ONCE
        assert read_record(folder).status == "running"
        subprocess.run([*command, server.url, str(folder)], check=True)
        assert server.calls == 1 + 9 + 1
    record = read_record(folder)
    assert record.status == "done"
    assert record.usage().calls == 1 + 9 + 1


def test_a_cancelled_task_paints_no_further_keyframe(tmp_path):
    """Catches a thread that goes on painting and holds the folder after `await` has ended."""
    begun, go_on, folder = [], threading.Event(), tmp_path / "run"

    async def work(monkeypatch):
        monkeypatch.setattr("flowedit.agent.run.offline_parts", lambda *given: held_parts(begun, go_on))
        task = asyncio.create_task(style_video_async(static_source(33), MANY, folder))
        await asyncio.to_thread(until, lambda: len(begun) == AT_ONCE)
        task.cancel()
        await asyncio.sleep(0.1)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    with pytest.MonkeyPatch.context() as monkeypatch:
        asyncio.run(work(monkeypatch))
    assert len(begun) == len(attempts(folder)) == AT_ONCE
    kept = {name: (folder / "attempts" / name).stat().st_mtime_ns for name in attempts(folder)}
    assert len(style_video(static_source(33), MANY, folder).indices) == 9
    assert all((folder / "attempts" / name).stat().st_mtime_ns == when for name, when in kept.items())


def test_a_keyframe_that_fails_ends_the_others_and_is_the_reason(tmp_path):
    """Catches a node that raises while the rest of the clip is still painted, and a stop that hides why."""
    parts, painted = offline_parts(MANY, None), []

    def styler(image, master, task, report):
        painted.append(task["index"])
        if len(painted) == 2:
            raise ZeroDivisionError("in a styler")
        time.sleep(0.2)
        return parts.styler(image, master, task, report)

    with pytest.raises(ZeroDivisionError, match="in a styler"):
        style_video(static_source(33), MANY, tmp_path / "run", parts=replace(parts, styler=styler))
    assert len(painted) <= 1 + AT_ONCE
    failed = [event for event in read_record(tmp_path / "run").events if event.outcome == "failed"]
    assert [event.notes for event in failed] == [["in a styler"]]
    assert len(style_video(static_source(33), MANY, tmp_path / "run").indices) == 9


def test_another_thread_can_stop_a_run_while_it_reads_the_clip(tmp_path):
    stop, read = Stop(), []
    source = static_source(33)

    def stream():
        for frame in source.stream():
            read.append(1)
            if len(read) == 5:
                stop.set()
            yield frame

    with pytest.raises(StoppedError):
        style_in_company(replace(source, stream=stream), MANY, tmp_path / "run", Company(stop=stop))
    assert len(read) == 5
    assert style_video(source, MANY, tmp_path / "run").status == "done"


def test_a_pause_before_the_next_try_ends_with_the_run(tmp_path):
    """Catches a back-off of a minute that is slept to its end, and the try after it."""
    busy = 503, error_body(503, "UNAVAILABLE", "Later")
    stop = Stop()
    with serving(lambda request: busy) as server:
        settings = GeminiSettings(base_url=server.url, attempts=4, backoff_s=50.0)
        client = Gemini(settings, SecretStr(KEY), tmp_path / "answers", stop=stop)
        threading.Timer(1.0, lambda: (until(lambda: server.calls), stop.set())).start()
        began = time.monotonic()
        with pytest.raises(StoppedError) as stopped:
            client.draw("Paint it.", [static_source(5).frame(0)])
        assert time.monotonic() - began < 30
        assert server.calls == 1
        assert stopped.value.usage == Usage(calls=1)
        with pytest.raises(StoppedError):
            client.draw("Paint another.", [static_source(5).frame(0)])
        assert server.calls == 1


def test_a_second_interrupt_does_not_wait(tmp_path):
    """Work that hangs (a server that never answers) is left behind by the second Ctrl-C."""
    script = textwrap.dedent(
        """
        import sys, time, os
        from flowedit.agent.stop import Stop
        try:
            Stop().run(lambda: (print("begun", flush=True), time.sleep(60)))
        except KeyboardInterrupt:
            print("left", flush=True)
            os._exit(3)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", HEARD + script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    time.sleep(0.7)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 3
    assert process.stdout.read() == "left\n"
