"""`python -m benchmarks speed`: time and memory of whole commands, and the cost of a step against its tokens."""

from pathlib import Path
from typing import Annotated

import typer


def speed(
    out: Annotated[Path, typer.Option(help="Where the record goes.")] = Path("benchmarks/results/speed.json"),
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each command that count.")] = 3,
) -> None:
    """Time the commands and the steps of the small model on two cores; status 1 over a limit."""
    from benchmarks.speed_report import report_speed
    from flowedit.models import load_model

    record = report_speed(typer.echo, lambda: load_model("tiny", device="cpu"), repeats=repeats, store=out)
    if not record.met:
        raise typer.Exit(1)
