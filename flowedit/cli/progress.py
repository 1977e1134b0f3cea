"""What the terminal shows while something runs: a bar, and lines above it; then what a styling run says of itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from flowedit.agent.events import Event
    from flowedit.agent.result import StyleResult
    from flowedit.methods.branches import Step
    from flowedit.run.job import Watch

_NEXT = {
    "sample": "choosing the keyframes",
    "select_keyframes": "reading the style",
    "analyze_style": "writing the prompts",
    "plan": "painting the keyframes",
    "judge": "writing the keyframes",
}
"""What comes after a node, on the bar."""


def _bar(console: Console, *, disable: bool = False) -> Progress:
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True, disable=disable)


@contextmanager
def watching(console: Console, *, verbose: bool) -> Iterator["Watch"]:
    """A watcher for `run_edit` that draws a bar, and with `verbose` prints each step's readings above it."""
    with _bar(console) as progress:
        task = progress.add_task("reading", total=None)

        def watch(stage: str, done: int, total: int, step: "Step | None") -> None:
            progress.update(task, description=stage, completed=done, total=total or None)
            if verbose and step is not None:
                progress.console.print(step.trace.line(), highlight=False)

        yield watch


class StyleProgress:
    """A bar over the keyframes, and at a terminal a line above it for each node that has ended."""

    def __init__(self, progress: Progress) -> None:
        """Show the first thing that a run does."""
        self._progress = progress
        self._task = progress.add_task("reading the clip", total=None)

    def watch(self, event: "Event") -> None:
        """Show an event as it is recorded."""
        if self._progress.console.is_terminal and (line := event_line(event)) is not None:
            self._progress.console.print(line, highlight=False, markup=False)
        if event.node == "select_keyframes":
            self._progress.update(self._task, total=len(event.values.get("indices", [])) or None)
        if event.node == "style_keyframe" and event.outcome == "done" and event.values.get("attempt") == 0:
            self._progress.advance(self._task)
        if event.node in _NEXT:
            self._progress.update(self._task, description=_NEXT[event.node])

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Without the bar, for as long as a person is asked."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()


@contextmanager
def style_progress() -> Iterator[StyleProgress]:
    """Progress of a styling run on the terminal; nothing where there is none."""
    console = Console(stderr=True)
    with _bar(console, disable=not console.is_terminal) as progress:  # even a bar that is not drawn ends in a line
        yield StyleProgress(progress)


def event_line(event: "Event") -> str | None:
    """One line of what a node did, with its seconds; None for what is said elsewhere."""
    values = event.values
    if event.outcome != "done":
        return None
    if event.node == "sample":
        what = f"read {values['frames']} frames, {counted(len(values['cuts']), 'cut')}"
    elif event.node == "select_keyframes":
        what = f"chose frames {', '.join(map(str, values['indices']))}"
    elif event.node == "analyze_style":
        what = f"read the style: {values['title']} ({values['by']})"
    elif event.node == "style_keyframe":
        again = f", attempt {values['attempt'] + 1}" if values["attempt"] else ""
        what = f"painted frame {event.keyframe} ({values['by']}{again})"
    elif event.node == "judge":
        rejected = sum(bool(verdict["faults"]) for verdict in values["verdicts"])
        what = f"compared {counted(len(values['verdicts']), 'keyframe')}, {rejected or 'none'} rejected"
    else:
        return None
    return f"{what}, {event.seconds:.1f} s"


def counted(number: int, noun: str) -> str:
    """A number and its noun: "1 keyframe", "3 keyframes"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def show_cost(result: "StyleResult") -> None:
    """Say what did not go as planned, and what Gemini was asked and cost."""
    for note in result.notes:
        typer.echo(f"note: {note}", err=True)
    if result.usage.calls:
        typer.echo(f"Gemini: {counted(result.usage.calls, 'call')}, about {result.usage.usd:.2f} USD")
