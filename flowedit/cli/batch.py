"""`flowedit batch`: many clips, on this machine or on a Ray cluster."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from flowedit.agent.settings import StyleSettings
from flowedit.batch.options import FOUND_OUT, STYLE, BatchOptions
from flowedit.cli.options import options_of, with_options
from flowedit.cli.progress import counted, printable
from flowedit.correction import gain_from
from flowedit.errors import SettingError
from flowedit.run.request import CALLED, EditRequest
from flowedit.settings import EditSettings

if TYPE_CHECKING:
    from flowedit.batch.manifest import Entry
    from flowedit.batch.record import Record


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command takes beside the settings of the edits and where they run."""

    clips: Annotated[
        str | None, typer.Option(help="In place of a manifest: every video that matches, 'in/**/*.mp4'.")
    ] = None
    keyframes: Annotated[
        str | None, typer.Option(help="With --clips: keyframes of each, from its folder, such as '{stem}/'.")
    ] = None
    preset: Annotated[str | None, typer.Option(help="default, draft or method.")] = None
    mirror: Annotated[bool, typer.Option("--mirror", help="Results lie as the videos do, not each in OUT/ID.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every line, and do nothing.")] = False
    as_json: Annotated[bool, typer.Option("--json", help="Say what happens in lines of JSON.")] = False


@with_options(
    asked=options_of(Asked),
    where=options_of(BatchOptions),
    common=[
        *options_of(StyleSettings, STYLE, unset=True),
        *options_of(EditRequest, but=(*FOUND_OUT, "video"), called=CALLED, unset=True),
        *options_of(gain_from, called=CALLED, unset=True),
        *options_of(EditSettings, but=("positions", "gain"), called=CALLED, unset=True),
    ],
)
def batch(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    asked: Mapping[str, Any],
    where: Mapping[str, Any],
    common: dict[str, Any],
    manifest: Annotated[Path | None, typer.Argument(help="JSON Lines or CSV, one clip a line.")] = None,
) -> None:
    """Edit many clips; the same command again goes on where it was stopped.

    Settings given here are for every clip, a line of the manifest may say otherwise.
    """
    from flowedit.batch.checking import check_entries  # these load NumPy and OpenCV
    from flowedit.batch.index import INDEX, summary
    from flowedit.batch.jobs import batch_steps, painter_of

    own, options = Asked(**asked), BatchOptions(**where)
    common |= {"gain": common.pop("form"), "preset": own.preset}
    entries, faults = _read(manifest, own, output, {name: value for name, value in common.items() if value is not None})
    faults = faults or check_entries(entries, painter_of(entries, output, options).check)
    for fault in faults:
        typer.echo(printable(f"flowedit: {fault}"), err=True)
    if faults:
        raise typer.Exit(2)
    if own.dry_run:
        typer.echo(f"{counted(len(entries), 'clip')}, nothing amiss")
        return
    records: dict[str, Record] = {}
    with (
        _shown(len(entries), as_json=own.as_json) as show,
        closing(batch_steps(entries, output, options)) as steps,
    ):
        for record in steps:
            records[record.id] = record
            show(record)
    typer.echo(summary(records.values()), err=own.as_json)
    typer.echo(output / INDEX, err=own.as_json)
    if any(record.state not in ("done", "skipped") for record in records.values()):
        raise typer.Exit(1)


def _read(
    manifest: Path | None, own: Asked, output: Path, common: Mapping[str, Any]
) -> "tuple[list[Entry], list[str]]":
    from flowedit.batch.manifest import entries_of, find_rows, read_rows

    if (manifest is None) == (own.clips is None):
        raise SettingError("Give a manifest, or --clips with --keyframes or --style, one of the two.")
    if manifest is not None:
        return entries_of(read_rows(manifest), manifest.parent, output, common, mirror=own.mirror)
    base, rows = find_rows(own.clips or "", own.keyframes)
    return entries_of(rows, base, output, common, mirror=own.mirror)


@contextmanager
def _shown(total: int, *, as_json: bool) -> "Iterator[Callable[[Record], None]]":
    """A watcher of records: bars at a terminal, else a line for what begins and ends, or JSON of all that changes."""
    console, seen = Console(stderr=True), dict[str, "Record"]()

    def say(record: "Record") -> None:
        before, seen[record.id] = seen.get(record.id), record
        if as_json and record != before:
            typer.echo(json.dumps(asdict(record)))
        elif not as_json and not record.stage:
            ended = sum(each.state not in ("running", "failed") for each in seen.values())
            typer.echo(printable(f"{ended}/{total} {record.line()}"), err=True)

    if as_json or not console.is_terminal:
        yield say
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, speed_estimate_period=3600
    ) as progress:
        yield _Bars(progress, total).show


class _Bars:
    """A bar for each clip at work, and one over all, by whose pace the time left is told."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._left, self._clips = progress, total, dict[str, Any]()
        self._whole = progress.add_task("clips", total=total)

    def show(self, record: "Record") -> None:
        if record.state == "running":
            if record.id not in self._clips:
                self._clips[record.id] = self._progress.add_task(record.id, total=None)
            words, total = f"{record.id}: {record.stage or 'starting'}", record.total or None
            self._progress.update(self._clips[record.id], description=words, completed=record.done, total=total)
            return
        if record.id in self._clips:
            self._progress.remove_task(self._clips.pop(record.id))
        self._progress.console.print(printable(record.line()), highlight=False, markup=False)
        if record.state == "skipped":  # took no time, so that it says nothing of the others'
            self._left -= 1
            self._progress.update(self._whole, total=self._left)
        elif record.state != "failed":
            self._progress.advance(self._whole)
