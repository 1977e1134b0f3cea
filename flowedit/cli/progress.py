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
    from flowedit.run.outputs import Watch

_NEXT = {
    "sample": "choosing the keyframes",
    "select_keyframes": "reading the style",
    "analyze_style": "writing the prompts",
    "plan": "painting the keyframes",
    "judge": "writing the keyframes",
}
"""What comes after a node, on the bar."""


def printable(text: str) -> str:
    """Text with its control characters, and what is no character, shown escaped: a name may hold any byte."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


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
    """A bar over the keyframes, and a line above it for each node that has ended; nothing without a terminal.

    The bar is entered while the run goes on, and stopped around a question; `watched` counts what happened.
    """

    def __init__(self) -> None:
        console = Console(stderr=True)
        self.bar, self.watched = _bar(console, disable=not console.is_terminal), 0
        self._task = self.bar.add_task("reading the clip", total=None)

    def watch(self, event: "Event") -> None:
        """Show an event as it is recorded."""
        self.watched += 1
        if event.outcome == "done" and not self.bar.disable:
            what = event.node if event.keyframe is None else f"{event.node} {event.keyframe}"
            by = f" ({event.values['by']})" if "by" in event.values else ""
            self.bar.console.print(printable(f"{what}{by}, {event.seconds:.1f} s"), highlight=False, markup=False)
        if event.node == "select_keyframes":
            self.bar.update(self._task, total=len(event.values.get("indices", [])) or None)
        if event.node == "style_keyframe" and event.outcome == "done" and event.values.get("attempt") == 0:
            self.bar.advance(self._task)
        if event.node in _NEXT:
            self.bar.update(self._task, description=_NEXT[event.node])


def counted(number: int, noun: str) -> str:
    """A number and its noun: "1 keyframe", "3 keyframes"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def show_cost(result: "StyleResult") -> None:
    """Say what did not go as planned, and what Gemini was asked and cost."""
    for note in result.notes:
        typer.echo(printable(f"note: {note}"), err=True)
    if result.usage.calls:
        typer.echo(f"Gemini: {counted(result.usage.calls, 'call')}, about {result.usage.usd:.2f} USD")
