"""The graph: which node follows which, the parallel keyframes, and the ways back from the judge and from a person."""

import sqlite3
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Send

from flowedit.agent import nodes
from flowedit.agent.events import OFFLINE, EventLog
from flowedit.agent.folder import RunFolder
from flowedit.agent.nudge import Nudge, heard
from flowedit.agent.parts import Parts
from flowedit.agent.sample import Source
from flowedit.agent.settings import StyleSettings
from flowedit.agent.state import AgentState, Decision, Fault, Styled, Task
from flowedit.agent.stop import Stop

_WEAKER = 0.75
"""What a retry multiplies the strength of an offline look by when it lost the source's contours."""
_FAINTEST = 0.25
_STORED = {
    "flowedit.agent.card": ("StyleCard", "Measures", "Swatch"),
    "flowedit.agent.nudge": ("Nudge",),
    "flowedit.agent.state": ("Fault", "Plan", "Styled", "Verdict", "Decision"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """What one run's nodes work with.

    Attributes:
        source: the clip.
        settings: what was asked for.
        parts: who does the work.
        folder: where pictures go.
        log: where events go.
        pool: paints keyframes side by side.
        stop: ends the run before the next keyframe or request.
    """

    source: Source
    settings: StyleSettings
    parts: Parts
    folder: RunFolder
    log: EventLog
    pool: Executor
    stop: Stop = field(default_factory=Stop)


def build_graph(run: Run, checkpointer: SqliteSaver | None = None) -> CompiledStateGraph:
    """Put the nodes together for one run; nothing is compiled before this is called.

    Args:
        run: what the nodes work with.
        checkpointer: keeps the state after every step, so that a killed run goes on where it was.
    """
    source, parts, folder, log, settings = run.source, run.parts, run.folder, run.log, run.settings
    files = {"folder": folder, "log": log}
    graph = StateGraph(AgentState)
    graph.add_node("sample", partial(nodes.sample, source=source, log=log), input_schema=nodes.Begun)
    select = partial(nodes.select_keyframes, source=source, settings=settings, **files)
    graph.add_node("select_keyframes", select, input_schema=nodes.Cuts)
    analyze = partial(nodes.analyze_style, source=source, analyst=parts.analyst, log=log)
    graph.add_node("analyze_style", analyze, input_schema=nodes.ToAnalyse)
    graph.add_node("plan", partial(nodes.plan, source=source, parts=parts, **files), input_schema=nodes.ToPlan)
    painters = nodes.Painters(pool=run.pool, stop=run.stop)
    style = partial(nodes.style_keyframe, source=source, styler=parts.styler, painters=painters, **files)
    graph.add_node("style_keyframe", style, input_schema=Task)
    graph.add_node("judge", partial(nodes.judge, source=source, judge=parts.judge, **files), input_schema=nodes.ToJudge)
    graph.add_node("approve", partial(nodes.approve, log=log), input_schema=nodes.ToApprove)
    export = partial(nodes.export, source=source, settings=settings, **files)
    graph.add_node("export", export, input_schema=nodes.ToExport)

    graph.add_edge(START, "sample")
    graph.add_edge("sample", "select_keyframes")
    graph.add_edge("select_keyframes", "analyze_style")
    graph.add_edge("analyze_style", "plan")
    graph.add_conditional_edges("plan", first_tasks, ["style_keyframe"])
    graph.add_edge("style_keyframe", "judge")
    graph.add_conditional_edges("judge", partial(after_judge, redo=settings.redo), ["style_keyframe", "approve"])
    graph.add_conditional_edges("approve", after_approval, ["style_keyframe", "export", END])
    graph.add_edge("export", END)
    return graph.compile(checkpointer=checkpointer)


def open_checkpoints(path: Path) -> SqliteSaver:
    """A checkpointer in a file that stores the graph's own types and refuses to load any other."""
    connection = sqlite3.connect(path, check_same_thread=False)
    allowed = [(module, name) for module, names in _STORED.items() for name in names]
    return SqliteSaver(connection, serde=JsonPlusSerializer(allowed_msgpack_modules=allowed))


def first_tasks(state: AgentState) -> list[Send]:
    """One task per keyframe, all from the same card and master: they run side by side."""
    shared = {"card": state["card"], "plan": state["plan"], "faults": (), "strength": 1.0, "nudge": Nudge()}
    return [_send(Task(index=index, attempt=0, **shared)) for index in state["indices"]]


def after_judge(state: AgentState, *, redo: int) -> list[Send] | str:
    """Send rejected keyframes back with the reasons, at most `redo` times each; then on to a person.

    A look that would paint the same again is not asked to: its keyframe goes to the person at once. So does one that
    the person had redone: what they asked for may be what the measures object to.
    """
    again = []
    decided = state.get("decision", Decision()).redo
    for index, verdict in state["verdicts"].items():
        done = state["styled"][index]
        if verdict.passed or done.attempt >= redo or index in decided:
            continue
        task = _next(state, done, verdict.faults)
        if not _in_vain(done, task):
            again.append(_send(task))
    return again or "approve"


def _in_vain(done: Styled, task: Task) -> bool:
    """Whether a look would paint the same again: it has no other answer to these faults than what it did already."""
    same = (task["strength"], task["nudge"]) == (done.strength, done.nudge)
    spent = all(fault.kind in ("too_faint", "contours", "model") for fault in task["faults"])
    return same and spent and done.by == OFFLINE and not done.note


def after_approval(state: AgentState) -> list[Send] | str:
    """Redo what the person asked for, hand the keyframes on, or end."""
    decision = state["decision"]
    again = []
    for index, reason in sorted(decision.redo.items()):
        if index in state["styled"]:
            done = state["styled"][index]
            task = _next(state, done, (Fault(kind="person", text=reason, nudge=heard(reason)),))
            if task["faults"][0].nudge is None:
                task["strength"] = _clamped(done.strength * _WEAKER)
            again.append(_send(task))
    if again:
        return again
    return "export" if decision.approve else END


def _next(state: AgentState, done: Styled, faults: tuple[Fault, ...]) -> Task:
    """The next attempt at a keyframe, with what speaks against the last one."""
    strength, nudge = _strength(done.strength, faults), done.nudge
    for asked in (fault.nudge for fault in faults):
        if asked is not None:
            strength = _clamped(strength * asked.share)
            nudge = nudge.then(asked.model_copy(update={"share": 1.0}))
    return Task(
        index=done.index,
        attempt=done.attempt + 1,
        card=state["card"],
        plan=state["plan"],
        faults=faults,
        strength=strength,
        nudge=nudge,
    )


def _strength(strength: float, faults: Sequence[Fault]) -> float:
    """Weaker where the contours were lost, full where the style was not laid on, else as it was."""
    kinds = {fault.kind for fault in faults}
    if "contours" in kinds:
        return _clamped(strength * _WEAKER)
    return 1.0 if "too_faint" in kinds else strength


def _clamped(strength: float) -> float:
    return min(max(strength, _FAINTEST), 1.0)


def _send(task: Task) -> Send:
    return Send("style_keyframe", task)
