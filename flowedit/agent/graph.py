"""The graph: which node follows which, the parallel keyframes, and the ways back from the judge and from a person."""

import sqlite3
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Send

from flowedit.agent import nodes
from flowedit.agent.events import EventLog
from flowedit.agent.folder import RunFolder
from flowedit.agent.parts import Parts
from flowedit.agent.sample import Source
from flowedit.agent.settings import StyleSettings
from flowedit.agent.state import AgentState, Fault, Task

_WEAKER = 0.75
"""What a retry multiplies the strength of an offline look by when it lost the source's contours."""
_FAINTEST = 0.25
_STORED = {
    "flowedit.agent.card": ("StyleCard", "Measures", "Swatch"),
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
    """

    source: Source
    settings: StyleSettings
    parts: Parts
    folder: RunFolder
    log: EventLog
    pool: Executor


def build_graph(run: Run, checkpointer: SqliteSaver | None = None) -> CompiledStateGraph:
    """Put the nodes together for one run; nothing is compiled before this is called.

    Args:
        run: what the nodes work with.
        checkpointer: keeps the state after every step, so that a killed run goes on where it was.
    """
    source, parts, folder, log, settings = run.source, run.parts, run.folder, run.log, run.settings
    files = {"folder": folder, "log": log}
    graph = StateGraph(AgentState)
    graph.add_node("sample", partial(nodes.sample, source=source, log=log), input_schema=AgentState)
    select = partial(nodes.select_keyframes, source=source, settings=settings, **files)
    graph.add_node("select_keyframes", select, input_schema=nodes.Cuts)
    analyze = partial(nodes.analyze_style, source=source, analyst=parts.analyst, log=log)
    graph.add_node("analyze_style", analyze, input_schema=nodes.ToAnalyse)
    graph.add_node("plan", partial(nodes.plan, source=source, parts=parts, **files), input_schema=nodes.ToPlan)
    style = partial(nodes.style_keyframe, source=source, styler=parts.styler, pool=run.pool, **files)
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
    return [_send(state, index, attempt=0, faults=(), strength=1.0) for index in state["indices"]]


def after_judge(state: AgentState, *, redo: int) -> list[Send] | str:
    """Send rejected keyframes back with the reasons, at most `redo` times each; then on to a person."""
    again = [
        _send(
            state,
            index,
            attempt=state["styled"][index].attempt + 1,
            faults=verdict.faults,
            strength=_strength(state["styled"][index].strength, verdict.faults),
        )
        for index, verdict in state["verdicts"].items()
        if not verdict.passed and state["styled"][index].attempt < redo
    ]
    return again or "approve"


def after_approval(state: AgentState) -> list[Send] | str:
    """Redo what the person asked for, hand the keyframes on, or end."""
    decision = state["decision"]
    again = [
        _send(
            state,
            index,
            attempt=state["styled"][index].attempt + 1,
            faults=(Fault(kind="person", text=reason),),
            strength=max(_FAINTEST, state["styled"][index].strength * _WEAKER),
        )
        for index, reason in sorted(decision.redo.items())
        if index in state["styled"]
    ]
    if again:
        return again
    return "export" if decision.approve else END


def _strength(strength: float, faults: Sequence[Fault]) -> float:
    """Weaker where the contours were lost, full where the style was not laid on, else as it was."""
    kinds = {fault.kind for fault in faults}
    if "contours" in kinds:
        return max(_FAINTEST, strength * _WEAKER)
    return 1.0 if "too_faint" in kinds else strength


def _send(state: AgentState, index: int, *, attempt: int, faults: tuple[Fault, ...], strength: float) -> Send:
    task = Task(
        index=index,
        attempt=attempt,
        card=state["card"],
        plan=state["plan"],
        faults=faults,
        strength=strength,
    )
    return Send("style_keyframe", task)
