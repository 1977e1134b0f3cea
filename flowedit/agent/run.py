"""Style a video: open the folder, put the parts together, run the graph to its end or to a person's decision."""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, StateSnapshot

from flowedit.agent.cancel import Cancel, RunCancelledError
from flowedit.agent.events import RECORD, Event, EventLog, Status, read_record
from flowedit.agent.folder import ANSWERS, CHECKPOINT, RunFolder, fingerprint, opened_record
from flowedit.agent.graph import build_graph, open_checkpoints, stored_state
from flowedit.agent.nodes import Run
from flowedit.agent.painting import chosen_look, read_style_image
from flowedit.agent.parts import OfflineParts
from flowedit.agent.result import Pair, StyleResult, pairs_of, read_result
from flowedit.agent.sample import Source, file_source
from flowedit.agent.settings import KEY_VARIABLE, StyleSettings, find_key, redactor
from flowedit.agent.state import ApprovalRequest, Decision
from flowedit.errors import AgentError, FlowEditError
from flowedit.runfolder import held

Approver = Callable[[ApprovalRequest], Decision | None]
"""Answers for a person; None leaves the run waiting, to be answered later by a further call."""
Watcher = Callable[[Event], object]
"""Is told each event of a run as it is recorded, from whichever thread."""


def approve_all(request: ApprovalRequest) -> Decision:
    """The unattended answer (`--yes`): take the keyframes; what the judge rejects stays marked in the manifest."""
    del request
    return Decision(approve=True)


def leave_waiting(request: ApprovalRequest) -> None:
    """No answer yet: the run stops at the request and a later call with an answer goes on from there."""
    del request


@dataclass(frozen=True, kw_only=True)
class _Company:
    """Who stands beside a run; see `style_video`."""

    approver: Approver = approve_all
    watch: Watcher = lambda event: None
    parts: OfflineParts | None = None
    cancel: Cancel = field(default_factory=Cancel)


def style_video(
    video: str | Path | Source,
    settings: StyleSettings,
    output_dir: str | Path,
    *,
    approver: Approver = approve_all,
    watch: Watcher = lambda event: None,
    parts: OfflineParts | None = None,
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
        watch: is told each event as it is recorded.
        parts: who does the work; None chooses by the settings and the key.

    Returns:
        The keyframes, or what a person is asked where `approver` gave no answer.

    Raises:
        FlowEditError: the video, the style or the folder cannot be used; the message says which and what to do.
    """
    return _style(video, settings, output_dir, _Company(approver=approver, watch=watch, parts=parts))


async def style_video_async(
    video: str | Path | Source, settings: StyleSettings, output_dir: str | Path, *, approver: Approver = approve_all
) -> StyleResult:
    """`style_video` without blocking the event loop: for `await` in a notebook, where a loop is already running.

    A task that is cancelled ends as an interrupted run does: the keyframes in hand are finished and kept first.
    """
    company = _Company(approver=approver)
    work = asyncio.ensure_future(asyncio.to_thread(_style, video, settings, output_dir, company))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError as reason:
        company.cancel.set(reason)
        with suppress(RunCancelledError, FlowEditError):
            await work
        raise


def style_or_reuse(
    video: str | Path,
    settings: StyleSettings,
    output_dir: str | Path,
    *,
    replace: bool = False,
    watch: Watcher = lambda event: None,
) -> StyleResult:
    """`style_video` unattended, or what it left in a folder of its own before for the same clip and settings.

    `replace` says whether a run of another clip or other settings in the folder may be removed.
    """
    folder = Path(output_dir)
    read_style_image(settings)
    if (folder / RECORD).is_file():
        record = read_record(folder)
        if record.fingerprint == fingerprint(_opened(video, settings), settings):
            if record.status == "done":
                return read_result(folder)
        elif replace:
            with held(folder):
                shutil.rmtree(folder)
    return style_video(video, settings, folder, watch=watch)


def answer(video: str | Path | Source, output_dir: str | Path, decision: Decision) -> StyleResult:
    """Give the waiting run of a video a person's decision; keyframes to be redone are shown again in the result."""
    record = read_record(output_dir)
    if record.waiting_for is None:
        raise AgentError(
            f"The run in {output_dir} is {record.status}, not waiting for an answer; style the clip first."
        )
    record.waiting_for.check(decision)
    answers = iter([decision])
    return style_video(video, record.settings, output_dir, approver=lambda request: next(answers, None))


def answering(video: str | Path | Source, folder: str | Path) -> Callable[[Mapping[str, Any]], list[Pair] | None]:
    """A function that hands a person's answer to the waiting run of a video: the `resume` of a gallery in a notebook.

    It takes `{"approve": True, "redo": {clip frame: reason}}` and gives the keyframes to look at again, or None when
    the run is over. It raises an `AgentError` as `answer` does, or for an empty reason; the run then waits as before.
    """

    def resume(said: Mapping[str, Any]) -> list[Pair] | None:
        result = answer(video, folder, Decision.model_validate(said))
        return pairs_of(result) if result.status == "waiting" else None

    return resume


def _style(
    video: str | Path | Source, settings: StyleSettings, output_dir: str | Path, company: _Company
) -> StyleResult:
    reference = read_style_image(settings)
    source = video if isinstance(video, Source) else _opened(video, settings)
    key = None if settings.backend == "offline" else find_key()
    if settings.style is not None or key is None:
        chosen_look(settings)
    with held(Path(output_dir)) as root:
        log = EventLog(root, opened_record(root, source, settings), redactor(key), company.watch)
        parts = company.parts or OfflineParts(settings, reference)
        if company.parts is None and key is not None:
            # Imported here: the client and the SDK behind it take half a second that an offline run need not wait.
            from flowedit.agent.gemini import Gemini
            from flowedit.agent.gemini_parts import GeminiParts

            gemini = Gemini(settings.gemini, key, settings.gemini.answers or root / ANSWERS, company.cancel)
            parts = GeminiParts(settings, reference, gemini)
        elif company.parts is None and settings.backend != "offline":
            note = f"No Gemini key in {KEY_VARIABLE}; the keyframes are painted offline."
            if note not in log.record.notes():
                with log.node("start") as event:
                    event.notes.append(note)
        run = Run(source=source, settings=settings, parts=parts, folder=RunFolder(root), log=log, cancel=company.cancel)
        log.set_status("running")
        try:
            status, request = _drive(run, company.approver)
        finally:
            # The graph has waited for them, so leaving need not, and at a second interrupt must not.
            run.painters.shutdown(wait=False)
        log.set_status(status, request)
    return read_result(output_dir)


def _opened(video: str | Path, settings: StyleSettings) -> Source:
    return file_source(video, start=settings.start, num_frames=settings.num_frames, every=settings.every)


def _drive(run: Run, approver: Approver) -> tuple[Status, ApprovalRequest | None]:
    """Run the graph until it ends or waits for an answer that nobody gives yet."""
    # Room for every keyframe and for the writer of checkpoints beside them; `Run.painters` bounds the work.
    room = run.settings.max_frames + 4
    thread = RunnableConfig(configurable={"thread_id": "run"}, recursion_limit=1000, max_concurrency=room)
    path = run.folder.root / CHECKPOINT
    with open_checkpoints(path) as saver:
        graph = build_graph(run, saver)
        state = stored_state(graph, saver, thread, path)
        step: Any = None if state.created_at else {"exported": False}
        while True:
            if step is not None or not _asked(state):
                run.cancel.run(lambda step=step: graph.invoke(step, thread, durability="sync"))
            state = graph.get_state(thread)
            request = _asked(state)
            if request is None:
                return ("done" if state.values.get("exported") else "rejected"), None
            # Said before the question: whatever ends it without an answer leaves a run that waits.
            run.log.set_status("waiting", request)
            decision = approver(request)
            if decision is None:
                return "waiting", request
            request.check(decision)
            run.log.set_status("running")
            step = Command(resume=decision.model_dump(mode="json"))


def _asked(state: StateSnapshot) -> ApprovalRequest | None:
    return next((ApprovalRequest.model_validate(interrupt.value) for interrupt in state.interrupts), None)
