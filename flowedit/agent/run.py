"""Style a video: open the folder, put the parts together, run the graph to its end or to a person's decision."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command
from pydantic import SecretStr

from flowedit.agent.events import RECORD, Event, EventLog, Record, read_record
from flowedit.agent.folder import CHECKPOINT, RunFolder, claimed, fingerprint, opened_record
from flowedit.agent.graph import Run, build_graph, open_checkpoints
from flowedit.agent.keys import VARIABLE, find_key, redactor
from flowedit.agent.parts import Parts, chosen_look, offline_parts, read_style_image
from flowedit.agent.result import StyleResult, read_result
from flowedit.agent.sample import Source, file_source
from flowedit.agent.settings import StyleSettings
from flowedit.agent.state import ApprovalRequest, Decision
from flowedit.agent.stop import Stop, StoppedError
from flowedit.errors import AgentError, FlowEditError

Picture = UInt8[np.ndarray, "H W 3"]
Approver = Callable[[ApprovalRequest], Decision | None]
"""Answers for a person; None leaves the run waiting, to be answered later by a further call."""
Watcher = Callable[[Event], object]
"""Is told each event of a run as it is recorded, from whichever thread."""

_AT_ONCE = 2
"""Keyframes painted side by side: each needs about 150 MB at 720 lines."""


def approve_all(request: ApprovalRequest) -> Decision:
    """The unattended answer (`--yes`): take the keyframes; what the judge rejects stays marked in the manifest."""
    del request
    return Decision(approve=True)


def leave_waiting(request: ApprovalRequest) -> None:
    """No answer yet: the run stops at the request and a later call with an answer goes on from there."""
    del request


def unwatched(event: Event) -> None:
    """Nobody watches the run."""
    del event


@dataclass(frozen=True, kw_only=True)
class Company:
    """Who stands beside a run.

    Attributes:
        approver: looks at the keyframes and decides.
        watch: is told each event as it is recorded.
        stop: lets another thread stop the run.
        key: of the Gemini API; None looks in Colab's secrets and the environment.
        parts: who does the work; None chooses by the settings and the key.
    """

    approver: Approver = approve_all
    watch: Watcher = unwatched
    stop: Stop = field(default_factory=Stop)
    key: SecretStr | None = None
    parts: Parts | None = None


def style_video(
    video: str | Path | Source,
    settings: StyleSettings,
    output_dir: str | Path,
    *,
    approver: Approver = approve_all,
    key: SecretStr | None = None,
    parts: Parts | None = None,
) -> StyleResult:
    """Choose keyframes of a video and style them, offline or with Gemini.

    The same call again goes on where a killed, interrupted or waiting run of the same clip and settings stopped; no
    call that was answered is paid for twice. An interrupt waits for the keyframes in hand, which are kept, and begins
    no other; a second one does not wait.

    Args:
        video: a file, or a `Source` such as `frames_source(frames)`.
        settings: the style, the window and how many keyframes.
        output_dir: an empty or new folder, or that of the unfinished run.
        approver: looks at the keyframes and decides.
        key: of the Gemini API; None looks in Colab's secrets and the environment.
        parts: who does the work; None chooses by the settings and the key.

    Returns:
        The keyframes, or what a person is asked where `approver` gave no answer.

    Raises:
        FlowEditError: the video, the style or the folder cannot be used; the message says which and what to do.

    Example:
        >>> result = style_video("clip.mp4", StyleSettings(style="watercolour"), "styled")  # doctest: +SKIP
        >>> result.indices  # doctest: +SKIP
        (0, 28, 52, 80)
    """
    return style_in_company(video, settings, output_dir, Company(approver=approver, key=key, parts=parts))


def style_in_company(
    video: str | Path | Source, settings: StyleSettings, output_dir: str | Path, company: Company
) -> StyleResult:
    """`style_video` with someone who watches it or may stop it from another thread.

    Raises:
        FlowEditError: as `style_video`.
        StoppedError: `company.stop` was set by someone else.
    """
    reference = read_style_image(settings)
    source = video if isinstance(video, Source) else _opened(video, settings)
    found = None if settings.backend == "offline" else (company.key or find_key())
    if settings.style is not None or found is None:
        chosen_look(settings)
    with claimed(output_dir) as folder, _painters() as pool:
        record = opened_record(folder, source, settings)
        log = EventLog(folder.root, record, redactor(found), company.watch)
        chosen, notes = company.parts, []
        if chosen is None:
            chosen, notes = _parts(settings, reference, found, (folder, company.stop))
        _note(log, notes)
        run = Run(
            source=company.stop.watching(source),
            settings=settings,
            parts=chosen,
            folder=folder,
            log=log,
            pool=pool,
            stop=company.stop,
        )
        log.set_status("running")
        status, request = _drive(run, company.approver)
        log.set_status(status, None if request is None else request.model_dump(mode="json"))
    return read_result(output_dir)


async def style_video_async(
    video: str | Path | Source,
    settings: StyleSettings,
    output_dir: str | Path,
    *,
    approver: Approver = approve_all,
    key: SecretStr | None = None,
) -> StyleResult:
    """`style_video` without blocking the event loop: for `await` in a notebook, where a loop is already running.

    A task that is cancelled ends as an interrupted run does: the keyframes in hand are finished and kept first.
    """
    company = Company(approver=approver, key=key)
    work = asyncio.ensure_future(asyncio.to_thread(style_in_company, video, settings, output_dir, company))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError as reason:
        company.stop.set(reason)
        with suppress(StoppedError, FlowEditError):
            await work
        raise


def style_or_reuse(
    video: str | Path,
    settings: StyleSettings,
    output_dir: str | Path,
    *,
    replace: bool = False,
    watch: Watcher = unwatched,
) -> StyleResult:
    """`style_video` unattended, or what it left in the folder before for the same clip and settings.

    Args:
        video: a file.
        settings: the style, the window and how many keyframes.
        output_dir: a folder of this run's own.
        replace: whether a run of another clip or other settings in the folder may be removed.
        watch: is told each event as it is recorded.

    Raises:
        FlowEditError: as `style_video`.
    """
    folder = Path(output_dir)
    read_style_image(settings)
    if (folder / RECORD).is_file():
        record = read_record(folder)
        if record.fingerprint == fingerprint(_opened(video, settings), settings):
            if record.status == "done":
                return read_result(folder)
        elif replace:
            with claimed(folder):
                shutil.rmtree(folder)
    return style_in_company(video, settings, folder, Company(watch=watch))


def answer(video: str | Path | Source, output_dir: str | Path, decision: Decision) -> StyleResult:
    """Give a waiting run a person's decision; keyframes to be redone are shown again in the result.

    Args:
        video: the same clip.
        output_dir: the run's folder.
        decision: what the person said.

    Raises:
        AgentError: the folder holds no waiting run, or what is to be redone is no keyframe of it.
    """
    record = read_record(output_dir)
    if record.status != "waiting":
        raise AgentError(
            f"The run in {output_dir} is {record.status}, not waiting for an answer; style the clip first."
        )
    ApprovalRequest.model_validate(record.waiting_for).check(decision)
    answers = [decision]
    return style_video(
        video,
        settings_of(record),
        output_dir,
        approver=lambda request: answers.pop() if answers else None,
    )


def settings_of(record: Record) -> StyleSettings:
    """The settings that a record was made with."""
    return StyleSettings.from_dict(record.settings)


def _opened(video: str | Path, settings: StyleSettings) -> Source:
    return file_source(video, start=settings.start, num_frames=settings.num_frames)


def _parts(
    settings: StyleSettings, reference: Picture | None, key: SecretStr | None, place: tuple[RunFolder, Stop]
) -> tuple[Parts, list[str]]:
    folder, stop = place
    offline = offline_parts(settings, reference)
    if settings.backend == "offline":
        return offline, []
    if key is None:
        return offline, [f"No Gemini key in {VARIABLE}; the keyframes are painted offline."]
    # Imported here: the client and the SDK behind it take half a second that an offline run need not wait.
    from flowedit.agent.gemini import Gemini
    from flowedit.agent.gemini_parts import gemini_parts

    client = Gemini(settings.gemini, key, folder.root / "answers", stop=stop)
    return gemini_parts(settings, reference, client, offline), []


def _note(log: EventLog, notes: list[str]) -> None:
    for note in notes:
        if note not in log.record.notes():
            with log.node("start") as event:
                event.notes.append(note)


def _drive(run: Run, approver: Approver) -> tuple[Literal["waiting", "done", "rejected"], ApprovalRequest | None]:
    with _checkpoints(run.folder.root / CHECKPOINT) as saver:
        graph = build_graph(run, saver)
        thread = _thread(run.settings)
        state = graph.get_state(thread)
        step: Any = {"notes": []} if not state.created_at else None
        while True:
            if step is not None or not _asked(state):
                run.stop.run(partial(graph.invoke, step, thread, durability="sync"))
            state = graph.get_state(thread)
            request = _asked(state)
            if request is None:
                return ("done" if state.values.get("exported") else "rejected"), None
            # Said before the question: whatever ends it without an answer leaves a run that waits.
            run.log.set_status("waiting", request.model_dump(mode="json"))
            decision = approver(request)
            if decision is None:
                return "waiting", request
            request.check(decision)
            run.log.set_status("running")
            step = Command(resume=decision.model_dump(mode="json"))


def _thread(settings: StyleSettings) -> RunnableConfig:
    # Room for every keyframe and for the writer of checkpoints beside them; `Run.pool` bounds the work.
    room = settings.max_frames + 4
    return {"configurable": {"thread_id": "run"}, "recursion_limit": 1000, "max_concurrency": room}


@contextmanager
def _painters() -> Iterator[ThreadPoolExecutor]:
    """The threads that paint; the graph waits for them, so leaving need not, and at a second interrupt must not."""
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False)


@contextmanager
def _checkpoints(path: Path) -> Iterator[Any]:
    saver = open_checkpoints(path)
    try:
        yield saver
    finally:
        saver.conn.close()


def _asked(state: Any) -> ApprovalRequest | None:  # noqa: ANN401
    for interrupt in state.interrupts:
        return ApprovalRequest.model_validate(interrupt.value)
    return None
