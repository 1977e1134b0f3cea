"""`python -m benchmarks quality | speed | gpu | long-clips | batch | pages`: what is measured."""

import sys
from collections.abc import Iterable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from benchmarks import RESULTS
from flowedit.errors import FlowEditError, SettingError

app = typer.Typer(help="Measure quality and speed.", no_args_is_help=True)


@app.command()
def quality(
    scenes: Annotated[int, typer.Option(min=1, help="Scenes of each world.")] = 12,
    methods: Annotated[str, typer.Option(help="Rows with commas, classical for those without a model, or all.")] = "",
    worlds: Annotated[str, typer.Option(help="own, photograph, film, with commas.")] = "own,photograph,film",
    conditions: Annotated[str, typer.Option(help="Of the keyframes, with commas.")] = "exact,disagreeing,sparse",
    split: Annotated[str, typer.Option(help="test, or validation to choose settings on.")] = "test",
    weights: Annotated[Path | None, typer.Option(help="Folder that a training wrote; the shipped weights.")] = None,
    out: Annotated[Path, typer.Option(help="Where the scores go; those it holds are kept.")] = Path("quality.csv.gz"),
    jobs: Annotated[int, typer.Option(min=1, help="Processes, each with its own model.")] = 1,
) -> None:
    """Edit clips whose answer is known, at their full size, in every way that is compared. A stopped run goes on."""
    from benchmarks.cases import Condition, World
    from benchmarks.quality import QualityPlan, run_quality
    from benchmarks.rows import CLASSICAL_ROWS, MODEL_ROWS, TELLING_ROWS
    from benchmarks.table import BenchTable, means, read_scores, write_scores
    from flowedit.tiny.load import WEIGHTS
    from flowedit.tiny.splits import Split

    rows = {"": TELLING_ROWS, "classical": tuple(CLASSICAL_ROWS), "all": (*CLASSICAL_ROWS, *MODEL_ROWS)}
    plan = QualityPlan(
        rows=rows.get(methods) or tuple(_chosen("methods", methods, rows["all"])),
        scenes=scenes,
        worlds=tuple(map(World, _chosen("worlds", worlds, World))),
        conditions=tuple(map(Condition, _chosen("conditions", conditions, Condition))),
        split=Split(_chosen("split", split, Split)[0]),
        weights=weights or WEIGHTS,
    )
    scores = read_scores(out) if out.exists() else []
    out.parent.mkdir(parents=True, exist_ok=True)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("scenes", total=len(plan.places()))
        for found in run_quality(plan, scores, jobs=jobs):
            scores += found
            write_scores(scores, out)
            progress.update(task, advance=1)
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
    from benchmarks.speed import report_speed

    if not report_speed(typer.echo, out, repeats):
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
    out: Annotated[Path, typer.Option(help="Where readings go; others stay.")] = RESULTS / "long_clips.json",
) -> None:
    """Edit 257 frames in windows: how far colours drift."""
    from benchmarks.long_clips import SCENES, measure_long_clips
    from training.families import Family

    families = [Family(name) for name in _chosen("styles", styles, SCENES)]
    for reading in measure_long_clips(_names(presets), families, out):
        typer.echo(reading)


@app.command()
def gpu(
    json: Annotated[Path, typer.Option(help="Where the rows go; other sections stay.")] = Path("gpu.json"),
    shapes: Annotated[str, typer.Option(help="Checkpoints or sizes, with commas.")] = "1.3B,14B",
    sections: Annotated[str, typer.Option(help="forward, edit, with commas.")] = "forward,edit",
    rehearse: Annotated[bool, typer.Option("--rehearse", help="Everything small, on the CPU.")] = False,
) -> None:
    """Time the real models' parts on this GPU with random weights: forward, VAE, edit, memory.

    Started by `torchrun --nproc-per-node 2 -m benchmarks gpu`, it times one forward over so many GPUs instead.
    """
    from benchmarks.gpu import CELLS, SECTIONS, forward_rows, run_gpu
    from benchmarks.synthetic import Bench
    from flowedit.environment import launched
    from flowedit.wan.checkpoints import resolve
    from flowedit.wan.parallel import together

    benches = [Bench(resolve(name), small=rehearse) for name in _names(shapes)]
    wanted = {name: SECTIONS[name] for name in _chosen("sections", sections, SECTIONS)}
    with together() if launched() else nullcontext() as spread:
        todo = {"parallel": partial(forward_rows, spread=spread)} if spread else wanted
        for row in run_gpu(todo, benches, json, rank=spread.rank if spread else 0):
            typer.echo("  ".join([row.checkpoint, row.name, *filter(None, (cell(row) for cell in CELLS.values()))]))


@app.command()
def batch(out: Annotated[Path, typer.Option(help="Where the seconds go.")] = RESULTS / "batch.json") -> None:
    """Edit twelve clips one by one and as a batch, and check a long manifest."""
    from benchmarks.batch import measure_batch

    for line in measure_batch(out):
        typer.echo(line)


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _chosen(option: str, text: str, known: Iterable[str]) -> list[str]:
    """The names that an option lists, all of them known."""
    unknown = [name for name in _names(text) if name not in list(known)]
    if unknown:
        raise SettingError(f"--{option} has {unknown[0]!r}; use {', '.join(known)}.")
    return _names(text)


def main(arguments: list[str] | None = None) -> None:
    """Run a benchmark; what does not fit is one line and status 2."""
    try:
        app(arguments, prog_name="python -m benchmarks")
    except FlowEditError as error:
        typer.echo(f"benchmarks: {error}", err=True)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
