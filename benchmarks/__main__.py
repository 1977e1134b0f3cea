"""`python -m benchmarks quality | speed | gpu | looks | widgets | long-clips | paces | pages`: what is measured."""

import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from benchmarks import RESULTS

app = typer.Typer(help="Measure quality and speed.", no_args_is_help=True)


@app.command()
def quality(
    scenes: Annotated[int, typer.Option(min=1, help="Scenes of each world.")] = 24,
    first: Annotated[int, typer.Option(min=0, help="Number of the first scene.")] = 0,
    methods: Annotated[str | None, typer.Option(help="Rows with commas, or 'all'; the telling ones.")] = None,
    worlds: Annotated[str, typer.Option(help="own, exam, natural, film, with commas.")] = "own",
    conditions: Annotated[str, typer.Option(help="exact, disagreeing, sparse, with commas.")] = "exact,disagreeing",
    split: Annotated[str, typer.Option(help="test, or validation to choose settings on.")] = "test",
    exam: Annotated[Path | None, typer.Option(help="Folder of the frozen reference world.")] = None,
    model: Annotated[str, typer.Option(help="Name of the model.")] = "tiny",
    out: Annotated[Path, typer.Option(help="Where the scores go, as compressed CSV.")] = Path("quality.csv.gz"),
    jobs: Annotated[int, typer.Option(min=1, help="Processes, each with its own model; seconds need 1.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Two scenes, the telling rows, exact keyframes.")] = False,
) -> None:
    """Edit scenes whose answer is known, and compare every way of editing. A run that was stopped goes on."""
    from benchmarks.cases import Condition, World
    from benchmarks.quality import QualityPlan, run_quality
    from benchmarks.rows import ROWS, TELLING_ROWS
    from benchmarks.table import BenchTable, write_scores
    from benchmarks.tables import means
    from flowedit.models import checkpoint_files, load_model
    from flowedit.run.inputs import sha256
    from flowedit.tiny.splits import Split

    rows = tuple(ROWS) if methods == "all" else tuple(_names(methods)) if methods else TELLING_ROWS
    plan = QualityPlan(
        rows=rows,
        scenes=2 if quick else scenes,
        first=first,
        worlds=tuple(_choices("worlds", worlds, World)),
        conditions=(Condition.EXACT,) if quick else tuple(_choices("conditions", conditions, Condition)),
        split=_choices("split", split, Split)[0],
        exam=exam,
        weights={file.name: sha256(file) for file in checkpoint_files(model)},
    )
    scores, store = [], out.with_suffix(".partial.jsonl")
    out.parent.mkdir(parents=True, exist_ok=True)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("loading the model", total=len(plan.places()) * len(plan.conditions) * len(rows))
        for score in run_quality(plan, partial(load_model, model), store=store, jobs=jobs):
            scores.append(score)
            progress.update(task, description=f"{score.world} {score.scene} {score.row}", advance=1)
    write_scores(scores, out)
    table = BenchTable(scores, str(plan.split))
    for world in plan.worlds:
        for condition in plan.conditions:
            typer.echo(f"\n{world}, {condition} keyframes\n\n{means(table, str(world), str(condition))}")


@app.command()
def speed(
    out: Annotated[Path, typer.Option(help="Where the record goes.")] = RESULTS / "speed.json",
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each command that count.")] = 3,
) -> None:
    """Time whole commands on two cores; status 1 over a limit."""
    from benchmarks.speed import record_of, time_commands

    commands = []
    for row in time_commands(repeats):
        commands.append(row)
        typer.echo(row)
    record_of(commands).write(out)
    if not all(row.met for row in commands):
        raise typer.Exit(1)


@app.command()
def pages() -> None:
    """Fill the figures of the README and of docs/ in from the records in benchmarks/results/."""
    from benchmarks.pages import fill_pages

    for page in fill_pages():
        typer.echo(page.name)


@app.command("long-clips")
def long_clips(
    presets: Annotated[str, typer.Option(help="Presets of the shipped model, with commas.")] = "default,draft,method",
    styles: Annotated[str, typer.Option(help="Families of styles, with commas.")] = "global colour",
    out: Annotated[Path, typer.Option(help="Where the readings go; those of others stay.")] = RESULTS
    / "long_clips.json",
) -> None:
    """Edit 257 frames in windows: how far colours drift, and what memory it takes."""
    from benchmarks.long_clips import measure_long_clips
    from training.families import Family

    for reading in measure_long_clips(_names(presets), _choices("styles", styles, Family), out):
        typer.echo(reading)


@app.command()
def gpu(
    json: Annotated[
        Path, typer.Option(help="Where the rows go, one after another; a run that stopped goes on.")
    ] = Path("gpu.json"),
    shapes: Annotated[str, typer.Option(help="Checkpoints or sizes, with commas.")] = "1.3B,14B",
    minutes: Annotated[float, typer.Option(help="No section is begun after this long.")] = 9.0,
    sections: Annotated[str | None, typer.Option(help="Sections with commas; all of them.")] = None,
    rehearse: Annotated[bool, typer.Option("--rehearse", help="Everything small, on the CPU.")] = False,
) -> None:
    """Time the real models' parts on this GPU with random weights: forward, VAE, edit, memory.

    Started by `torchrun --nproc-per-node 2 -m benchmarks gpu`, it times one forward over so many GPUs instead.
    """
    from benchmarks.gpu import plan_of, run_gpu, run_parallel
    from benchmarks.gpu_record import read_record
    from benchmarks.gpu_table import row_line
    from flowedit.wan.parallel import launched

    plan = plan_of(shapes, json, minutes=minutes, rehearse=rehearse, sections=sections)
    for row in (run_parallel if launched() else run_gpu)(plan):
        typer.echo(row_line(row))
    for section, reason in (read_record(json).unfinished if json.exists() else {}).items():
        typer.echo(f"{section}: {reason}", err=True)


@app.command()
def looks(
    video: Annotated[Path | None, typer.Argument(help="Time the looks on this clip; on a made one without.")] = None,
    only: Annotated[str | None, typer.Option(help="Looks with commas; all of them.")] = None,
    style_image: Annotated[Path | None, typer.Option(help="Where the look transfer takes its colours.")] = None,
    out: Annotated[Path, typer.Option(help="Where the readings go.")] = RESULTS / "looks.json",
    sheet: Annotated[Path | None, typer.Option(help="Only draw the contact sheet of all looks to this file.")] = None,
) -> None:
    """Time the offline looks on ten keyframes, and measure their memory and steadiness; status 1 over a limit."""
    from benchmarks.looks import draw_sheet, report_looks
    from flowedit.errors import VideoFileError

    if sheet is not None and video is None:
        raise VideoFileError("The contact sheet needs a clip; name one before --sheet.")
    if sheet is not None and video is not None:
        draw_sheet(video, sheet)
    elif not report_looks(video, typer.echo, looks=_names(only or ""), style_image=style_image, store=out):
        raise typer.Exit(1)


@app.command()
def widgets(out: Annotated[Path, typer.Option(help="Where the readings go.")] = RESULTS / "widgets.json") -> None:
    """Time the widgets in headless Chromium and weigh their clips; status 1 over a limit."""
    from benchmarks.widgets import report_widgets

    if not report_widgets(typer.echo, out):
        raise typer.Exit(1)


@app.command()
def paces(
    scene: Annotated[int, typer.Option(min=0, help="Number of the test scene.")] = 0,
    out: Annotated[Path, typer.Option(help="Where the rows go.")] = RESULTS / "paces.json",
) -> None:
    """Make one edit with the small model at every pace, and compare the results."""
    from benchmarks.paces import pace_rows, write_paces

    rows = []
    for row in pace_rows(scene):
        rows.append(row)
        typer.echo(f"{row.name}: {row.forwards} forwards, {row.seconds:.1f} s, error {row.error:.1e}")
    write_paces(rows, out)


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _choices(option: str, text: str, kind: type[StrEnum]) -> list[Any]:
    from flowedit.errors import SettingError

    try:
        return [kind(name) for name in _names(text)]
    except ValueError:
        raise SettingError(f"--{option} is {text!r}; use {', '.join(kind)}.") from None


def main(arguments: list[str] | None = None) -> None:
    """Run a benchmark; what does not fit is one line and status 2."""
    from flowedit.errors import FlowEditError

    try:
        app(arguments, prog_name="python -m benchmarks")
    except FlowEditError as error:
        typer.echo(f"benchmarks: {error}", err=True)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
