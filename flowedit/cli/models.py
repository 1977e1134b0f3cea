"""`flowedit models`: the Wan checkpoints there are, what they need, and how to get them."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from flowedit.errors import ModelError
from flowedit.wan.checkpoints import ALIASES, CHECKPOINTS, Checkpoint, resolve
from flowedit.wan.files import BASE_PATH_VARIABLE, is_fetched, models_folder

app = typer.Typer(help="Wan checkpoints: list, fetch.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """List the checkpoints that flowedit drives."""
    from flowedit.wan.placement import needs_of, own_clip

    names = {official: alias for alias, official in ALIASES.items()}
    table = Table("checkpoint", "also", "keyframes by", "weights, bf16", "least GPU", "here")
    for entry in CHECKPOINTS.values():
        size = f"{2 * sum(part.weights for part in entry.parts) / 1e9:.1f} GB"
        here = "yes" if _is_here(entry) else "no"
        least = f"{needs_of(entry, own_clip(entry), 'disk', keyframes=5).gpu / 1e9:.1f} GB"
        table.add_row(entry.name, names.get(entry.name, ""), ", ".join(entry.routes), size, least, here)
    console = Console()
    console.print(table)
    console.print("Least GPU memory: an edit of its own clip with 5 keyframes as tokens, streamed from disk.")
    console.print(f"Fetched checkpoints are kept in {models_folder()}.", soft_wrap=True, highlight=False)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A checkpoint's name, 1.3B or 14B.")],
    to: Annotated[Path | None, typer.Option("--to", help="Folder to keep it in.")] = None,
    source: Annotated[Literal["modelscope", "huggingface"], typer.Option(help="The hub.")] = "modelscope",
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before downloading.")] = False,
) -> None:
    """Fetch a checkpoint: shows the size and the free disk first, goes on where a download stopped."""
    from flowedit.wan.fetch import fetch as run
    from flowedit.wan.fetch import make_plan
    from flowedit.wan.memory import measure_resources

    entry = resolve(name)
    typer.echo(f"{entry.name}, {entry.licence}. {entry.note}".rstrip())
    plan = make_plan(entry, source=source, folder=to)
    free = measure_resources(plan.folder).disk_free
    for item in plan.downloads:
        label = item.part.role if item.part else "tokenizer"
        typer.echo(f"{label:10} {'here' if item.here else f'{item.size / 1e9:.2f} GB':>9}  {item.repository}")
    typer.echo(f"{plan.missing_bytes / 1e9:.1f} GB to download to {plan.folder}; {free / 1e9:.1f} GB free there.")
    if plan.missing_bytes and not yes and not typer.confirm("Download?", default=True):
        raise typer.Exit(1)
    run(plan, report=typer.echo)
    if plan.folder != models_folder():
        typer.echo(f"Give {plan.folder} as the model, or set {BASE_PATH_VARIABLE}={plan.folder}.")


def _is_here(entry: Checkpoint) -> bool:
    try:
        return all(is_fetched(part, models_folder()) for part in entry.parts)
    except ModelError:
        return False
