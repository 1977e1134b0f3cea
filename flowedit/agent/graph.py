"""The graph: which node follows which, the parallel keyframes, and the ways back from the judge and from a person."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Send, StateSnapshot

from flowedit.agent.adjustment import ColourAdjustment, heard
from flowedit.agent.card import OFFLINE, Measures, StyleCard
from flowedit.agent.colour import Swatch
from flowedit.agent.nodes import Run
from flowedit.agent.state import AgentState, Decision, Fault, Plan, Styled, Task, Verdict
from flowedit.errors import AgentError
from flowedit.files import only_file

_WEAKER = 0.75
"""What a retry multiplies the strength of an offline look by when it lost the source's contours."""
_FAINTEST = 0.25
_LIMITS = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_NOMEM", "SQLITE_READONLY")
"""What SQLite calls limits of the machine, which speak not against the file."""
_STORED = (StyleCard, Measures, Swatch, ColourAdjustment, Fault, Plan, Styled, Verdict, Decision)


def build_graph(run: Run, checkpointer: SqliteSaver) -> CompiledStateGraph:
    """Put the nodes of one run together; the state is kept after every step, so that a killed run goes on."""
    graph = StateGraph(AgentState)
    graph.add_sequence([run.sample, run.select_keyframes, run.analyze_style, run.plan])
    for node in (run.judge, run.approve, run.export):
        graph.add_node(node)
    graph.add_node("style_keyframe", run.style_keyframe, input_schema=Task)

    def judged(state: AgentState) -> list[Send] | str:
        return after_judge(state, redo=run.settings.redo)

    graph.add_edge(START, "sample")
    graph.add_conditional_edges("plan", first_tasks, ["style_keyframe"])
    graph.add_edge("style_keyframe", "judge")
    graph.add_conditional_edges("judge", judged, ["style_keyframe", "approve"])
    graph.add_conditional_edges("approve", after_approval, ["style_keyframe", "export", END])
    graph.add_edge("export", END)
    return graph.compile(checkpointer=checkpointer)


@contextmanager
def open_checkpoints(path: Path) -> Iterator[SqliteSaver]:
    """A checkpointer in a file that stores the graph's own types and refuses to load any other."""
    serde = _Sealed(allowed_msgpack_modules=[(kind.__module__, kind.__name__) for kind in _STORED])
    with closing(sqlite3.connect(only_file(path), check_same_thread=False)) as connection:
        yield SqliteSaver(connection, serde=serde)


class _Sealed(JsonPlusSerializer):
    """Stores each part of the state behind its hash: a changed one would be gone on with to other keyframes."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:  # noqa: ANN401 - as it is declared
        """As the base class, sealed."""
        kind, data = super().dumps_typed(obj)
        return kind, _seal(kind, data) + data

    def loads_typed(self, data: tuple[str, bytes]) -> Any:  # noqa: ANN401
        """What was stored; a `ValueError` where it was changed."""
        kind, sealed = data
        if _seal(kind, sealed[32:]) != sealed[:32]:
            raise ValueError("its contents were changed")
        return super().loads_typed((kind, sealed[32:]))


def _seal(kind: str, data: bytes) -> bytes:
    return sha256(kind.encode() + b" " + data).digest()


def stored_state(graph: CompiledStateGraph, saver: SqliteSaver, thread: RunnableConfig, path: Path) -> StateSnapshot:
    """The state that a graph goes on from as its saver stored it, read whole.

    Raises:
        AgentError: the database in `path` is damaged.
    """
    try:
        (found,) = saver.conn.execute("PRAGMA quick_check").fetchone()
        state = graph.get_state(thread)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # SQLite's and the serializer's
        if getattr(error, "sqlite_errorname", "").startswith(_LIMITS):
            raise
        found = " ".join(str(error).split())[:120]
    else:
        if found == "ok":
            return state
    raise AgentError(f"{path} is damaged ({found}); delete it to have the keyframes painted again.")


def first_tasks(state: AgentState) -> list[Send]:
    """One task per keyframe, all from the same card and master: they run side by side."""
    plain = {"attempt": 0, "faults": (), "strength": 1.0, "adjustment": ColourAdjustment()}
    common = {"card": state["card"], "plan": state["plan"], **plain}
    return [Send("style_keyframe", {"index": index, **common}) for index in state["indices"]]


def after_judge(state: AgentState, *, redo: int) -> list[Send] | str:
    """Send rejected keyframes back with the reasons, at most `redo` times each; then on to a person.

    A look that would paint the same again is not asked to: its keyframe goes to the person at once. So does one that
    the person had redone: what they asked for may be what the measures object to.
    """
    decided = state.get("decision", Decision()).redo
    again = []
    for index, verdict in state["verdicts"].items():
        done = state["styled"][index]
        if verdict.faults and done.attempt < redo and index not in decided:
            task = _next(state, done, verdict.faults)
            if not _in_vain(done, task):
                again.append(Send("style_keyframe", task))
    return again or "approve"


def after_approval(state: AgentState) -> list[Send] | str:
    """Redo what the person asked for, hand the keyframes on, or end."""
    decision, again = state["decision"], []
    for index, reason in sorted(decision.redo.items()):
        done, fault = state["styled"][index], Fault(kind="person", text=reason, adjustment=heard(reason))
        task = _next(state, done, (fault,))
        if fault.adjustment is None:
            task["strength"] = _clamped(done.strength * _WEAKER)
        again.append(Send("style_keyframe", task))
    return again or ("export" if decision.approve else END)


def _in_vain(done: Styled, task: Task) -> bool:
    """Whether a look would paint the same again: it has no other answer to these faults than what it did already."""
    same = (task["strength"], task["adjustment"]) == (done.strength, done.adjustment)
    spent = all(fault.kind in ("too_faint", "contours", "model") for fault in task["faults"])
    return same and spent and done.by == OFFLINE and not done.note


def _next(state: AgentState, done: Styled, faults: Sequence[Fault]) -> Task:
    """The next attempt at a keyframe, with what speaks against the last one.

    Weaker where the contours were lost, full where the style was not laid on, and adjusted as the faults ask.
    """
    kinds = {fault.kind for fault in faults}
    strength, adjustment = done.strength, done.adjustment
    if "contours" in kinds:
        strength = _clamped(strength * _WEAKER)
    elif "too_faint" in kinds:
        strength = 1.0
    for asked in (fault.adjustment for fault in faults):
        if asked is not None:
            strength = _clamped(strength * asked.share)
            adjustment = adjustment.then(asked.model_copy(update={"share": 1.0}))
    changed = {"attempt": done.attempt + 1, "faults": tuple(faults), "strength": strength, "adjustment": adjustment}
    return Task(index=done.index, card=state["card"], plan=state["plan"], **changed)


def _clamped(strength: float) -> float:
    return min(max(strength, _FAINTEST), 1.0)
