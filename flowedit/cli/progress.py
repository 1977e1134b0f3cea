"""Progress on the terminal: a bar for what takes over a second, and a line a step when asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from flowedit.methods.branches import Step
    from flowedit.run import Watch


@contextmanager
def watching(console: Console, *, verbose: bool) -> Iterator["Watch"]:
    """A watcher for `run_edit` that draws a bar, and with `verbose` prints each step's readings above it."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def watch(stage: str, done: int, total: int, step: "Step | None") -> None:
            progress.update(task, description=stage, completed=done, total=total or None)
            if verbose and step is not None:
                progress.console.print(step.trace.line(), highlight=False)

        yield watch
