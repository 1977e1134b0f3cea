"""`python -m benchmarks speed`: time and memory of whole commands, and the cost of a step against its tokens."""

from pathlib import Path
from typing import Annotated

import typer


def speed(
    json: Annotated[Path | None, typer.Option(help="Where the record goes.")] = None,
    page: Annotated[Path | None, typer.Option(help="Put the tables into this Markdown page.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw cost against tokens to this picture.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each command that count.")] = 3,
    table: Annotated[Path | None, typer.Option(help="Measure nothing: show this record.")] = None,
) -> None:
    """Time the commands and the steps of the small model on two cores; status 1 over a limit."""
    from benchmarks.speed_report import SpeedRecord, report_speed, speed_figure, to_page, write_page
    from flowedit.models import load_model

    if table is None:
        record = report_speed(typer.echo, lambda: load_model("tiny", device="cpu"), repeats=repeats, store=json)
    else:
        record = SpeedRecord.from_json(table.read_text(encoding="utf-8"))
        typer.echo(to_page(record))
    if page is not None:
        write_page(record, page)
    if plot is not None:
        speed_figure(record).savefig(plot, dpi=120)
    if not record.met:
        raise typer.Exit(1)
