"""The nodes of the graph: plain functions from the part of the state they read to the part they write.

Whatever does the work is passed in, so that each node runs in a test with a fake. Pictures are read from and written to
the run's folder; the state carries names.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

from langgraph.types import interrupt

from flowedit.agent.card import StyleCard
from flowedit.agent.events import Event, EventLog
from flowedit.agent.folder import MANIFEST, RunFolder
from flowedit.agent.parts import Analyst, Judge, Parts, Report, Styler
from flowedit.agent.sample import Source, choose_indices, find_cuts, wanted_keyframes
from flowedit.agent.settings import StyleSettings
from flowedit.agent.state import ApprovalRequest, Decision, Plan, Styled, Task, Verdict
from flowedit.agent.stop import Stop, StoppedError
from flowedit.frames import slots_of


class Begun(TypedDict):
    """Given to a run that begins: nothing that a node reads."""

    notes: list[str]


class Cuts(TypedDict):
    """Written by `sample`."""

    cuts: tuple[int, ...]


class Keyed(TypedDict):
    """Written by `select_keyframes`."""

    indices: tuple[int, ...]
    sources: dict[int, str]
    notes: list[str]


class Card(TypedDict):
    """Written by `analyze_style`."""

    card: StyleCard


class Planned(TypedDict):
    """Written by `plan`."""

    plan: Plan


class Painted(TypedDict):
    """Written by each `style_keyframe`."""

    styled: dict[int, Styled]


class Judged(TypedDict):
    """Written by `judge`."""

    verdicts: dict[int, Verdict]


class Approved(TypedDict):
    """Written by `approve`."""

    decision: Decision


class Exported(TypedDict):
    """Written by `export`."""

    exported: bool


class ToAnalyse(TypedDict):
    """Read by `analyze_style`."""

    indices: tuple[int, ...]


class ToPlan(TypedDict):
    """Read by `plan`."""

    indices: tuple[int, ...]
    card: StyleCard


class ToJudge(TypedDict):
    """Read by `judge`, and by the edge after it, which sends keyframes back with the plan."""

    card: StyleCard
    plan: Plan
    styled: dict[int, Styled]


class ToApprove(TypedDict):
    """Read by `approve`, and by the edge after it."""

    card: StyleCard
    plan: Plan
    sources: dict[int, str]
    styled: dict[int, Styled]
    verdicts: dict[int, Verdict]


class ToExport(TypedDict):
    """Read by `export`."""

    sources: dict[int, str]
    card: StyleCard
    plan: Plan
    styled: dict[int, Styled]
    verdicts: dict[int, Verdict]


def sample(state: Begun, *, source: Source, log: EventLog) -> Cuts:
    """Read the clip once and find its cuts."""
    del state
    with log.node("sample") as event:
        cuts = find_cuts(source)
        event.values = {"frames": source.num_frames, "fps": source.fps, "start": source.start, "cuts": list(cuts)}
    return {"cuts": cuts}


def select_keyframes(
    state: Cuts, *, source: Source, settings: StyleSettings, folder: RunFolder, log: EventLog
) -> Keyed:
    """Choose the frames to key and keep a picture of each for people and models to look at."""
    with log.node("select_keyframes") as event:
        indices, missed = choose_indices(
            source.num_frames,
            state["cuts"],
            wanted=wanted_keyframes(source, settings.target_fps),
            most=settings.max_frames,
        )
        sources = {index: folder.save(f"sources/{index:04d}.jpg", source.frame(index)) for index in indices}
        if missed:
            shots = ", ".join(map(str, missed))
            event.notes.append(f"No keyframe for the shots that start at frame {shots}; allow more keyframes.")
        event.values = {"indices": list(indices), "slots": list(slots_of(indices, source.num_frames))}
        event.images = list(sources.values())
    return {"indices": indices, "sources": sources, "notes": event.notes}


def analyze_style(state: ToAnalyse, *, source: Source, analyst: Analyst, log: EventLog) -> Card:
    """Read the style into one card that all keyframes share."""
    with log.node("analyze_style") as event:
        with _reported(event) as report:
            card = analyst([source.frame(index) for index in state["indices"]], report)
        event.values |= {"look": card.look, "title": card.title, "medium": card.medium, "words": list(card.words)}
        event.values["palette"] = [swatch.model_dump() for swatch in (card.reference or card.master).palette]
    return {"card": card}


def plan(state: ToPlan, *, source: Source, parts: Parts, folder: RunFolder, log: EventLog) -> Planned:
    """Write the prompts, and lay down the one picture that all keyframes are styled after."""
    with log.node("plan") as event:
        indices = state["indices"]
        master = parts.master(source.frame(indices[len(indices) // 2]), state["card"])
        reference = None if master is None else folder.save("reference.png", master)
        made = parts.planner(state["card"], indices, reference)
        event.prompt = made.video_prompt
        event.images = [] if reference is None else [reference]
    return {"plan": made}


@dataclass(frozen=True, kw_only=True)
class Painters:
    """The threads that paint, and what tells them to stop.

    Attributes:
        pool: bounds how many keyframes are painted at once. The graph's own bound would not do: it also delays the
            record of what is finished until the last keyframe has begun, and a killed run would paint finished ones
            again. A few threads that live as long as the run also keep memory low: each thread holds on to what it has
            once used.
        stop: looked at before each keyframe, and set where one fails.
    """

    pool: Executor
    stop: Stop

    def do(self, work: Callable[[], Painted]) -> Painted:
        """Do the work when a thread is free, unless the run is to stop; a failure stops the other keyframes too."""

        def one() -> Painted:
            self.stop.check()
            try:
                return work()
            except BaseException as error:
                self.stop.set(error)
                raise

        return self.pool.submit(one).result()


def style_keyframe(
    task: Task, *, source: Source, styler: Styler, folder: RunFolder, log: EventLog, painters: Painters
) -> Painted:
    """Paint one keyframe from its source frame and the master; keyframes never see one another."""
    return painters.do(partial(_painted, task, source=source, styler=styler, folder=folder, log=log))


def _painted(task: Task, *, source: Source, styler: Styler, folder: RunFolder, log: EventLog) -> Painted:
    index = task["index"]
    with log.node("style_keyframe", index) as event:
        reference = task["plan"].reference
        master = None if reference is None else folder.load(reference)
        with _reported(event) as report:
            picture = styler(source.frame(index), master, task, report)
        name = folder.save(f"attempts/{index:04d}-{task['attempt']}.png", picture)
        event.images = [name]
        event.values |= {
            "attempt": task["attempt"],
            "strength": task["strength"],
            "nudge": task["nudge"].model_dump(exclude_defaults=True),
            "asked": [fault.text for fault in task["faults"]],
        }
    done = Styled(
        index=index,
        attempt=task["attempt"],
        file=name,
        by=report.by,
        strength=task["strength"],
        nudge=task["nudge"],
        note=" ".join(report.notes),
    )
    return {"styled": {index: done}}


def judge(state: ToJudge, *, source: Source, judge: Judge, folder: RunFolder, log: EventLog) -> Judged:
    """Read all keyframes against their sources and against each other."""
    with log.node("judge") as event:
        sources = {index: source.frame(index) for index in state["styled"]}
        styled = {index: (done, folder.load(done.file)) for index, done in state["styled"].items()}
        with _reported(event) as report:
            verdicts = judge(sources, styled, state["card"], report)
        event.values["verdicts"] = [verdict.model_dump(mode="json") for verdict in verdicts.values()]
    return {"verdicts": verdicts}


def approve(state: ToApprove, *, log: EventLog) -> Approved:
    """Stop until a person (or `--yes`) has answered."""
    styled, verdicts = state["styled"], state["verdicts"]
    request = ApprovalRequest(
        files={index: done.file for index, done in styled.items()},
        sources=state["sources"],
        verdicts=verdicts,
        escalated=tuple(index for index, verdict in verdicts.items() if not verdict.passed),
    )
    decision = Decision.model_validate(interrupt(request.model_dump(mode="json")))
    with log.node("approve") as event:
        event.values = decision.model_dump(mode="json") | {"escalated": list(request.escalated)}
        event.images = list(request.files.values())
    return {"decision": decision}


def export(state: ToExport, *, source: Source, settings: StyleSettings, folder: RunFolder, log: EventLog) -> Exported:
    """Write the keyframes under their frame numbers, and the manifest that the editor reads."""
    with log.node("export") as event:
        rows = []
        for index, done in state["styled"].items():
            name = f"keyframes/{index:04d}.png"
            (folder.root / "keyframes").mkdir(exist_ok=True)
            (folder.root / name).write_bytes((folder.root / done.file).read_bytes())
            rows.append(_row(state, index, name))
            event.images.append(name)
        slots = slots_of([row["index"] for row in rows], source.num_frames)
        folder.write_json(
            MANIFEST,
            {
                "format": 1,
                "video": source.name,
                "identity": None if source.file is None else source.identity,
                "fps": source.fps,
                "start": source.start,
                "num_frames": source.num_frames,
                "seed": settings.seed,
                "prompt": state["plan"].video_prompt,
                "negative_prompt": state["plan"].negative_prompt,
                "style": state["card"].model_dump(mode="json"),
                "keyframes": [row | {"slot": slot} for row, slot in zip(rows, slots, strict=True)],
            },
        )
        escalated = [index for index, verdict in state["verdicts"].items() if not verdict.passed]
        if escalated:
            shown = ", ".join(map(str, escalated))
            event.notes.append(f"The judge still objects to keyframe {shown}; see the verdicts in {MANIFEST}.")
    return {"exported": True}


def _row(state: ToExport, index: int, name: str) -> dict:
    done, verdict = state["styled"][index], state["verdicts"][index]
    return {
        "index": index,
        "file": name,
        "source": state["sources"][index],
        "by": done.by,
        "attempt": done.attempt,
        "strength": done.strength,
        "nudge": done.nudge.model_dump(exclude_defaults=True),
        "note": done.note,
        "verdict": verdict.model_dump(mode="json", exclude={"index", "attempt"}),
    }


@contextmanager
def _reported(event: Event) -> Iterator[Report]:
    """What a part reports goes into the event also when the part raises: calls that were sent are paid for."""
    report = Report()
    try:
        yield report
    except StoppedError as stopped:
        report.usage += stopped.usage
        raise
    finally:
        event.prompt, event.usage, event.notes = report.prompt, report.usage, list(report.notes)
        event.values["by"] = report.by
