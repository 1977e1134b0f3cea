"""`flowedit batch`: many clips, on this machine or on a Ray cluster."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from flowedit.agent.settings import StyleSettings
from flowedit.batch.cluster import BatchOptions
from flowedit.cli.options import options_of, with_options
from flowedit.cli.progress import counted, printable
from flowedit.correction import gain_from
from flowedit.errors import SettingError
from flowedit.run.request import CALLED, FOUND_OUT, STYLE, EditRequest
from flowedit.settings import EditSettings

if TYPE_CHECKING:
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
        *options_of(EditSettings, but=("gain",), called=CALLED, unset=True),
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
    from flowedit.batch.checking import checked_entries  # these load NumPy and OpenCV
    from flowedit.batch.index import INDEX, summary
    from flowedit.batch.jobs import batch_steps
    from flowedit.batch.manifest import find_rows, read_rows

    own = Asked(**asked)
    common |= {"gain": common.pop("form"), "preset": own.preset}
    if (manifest is None) == (own.clips is None):
        raise SettingError("Give a manifest, or --clips with --keyframes or --style, one of the two.")
    base, rows = find_rows(own.clips or "", own.keyframes) if manifest is None else read_rows(manifest)
    stated = {name: value for name, value in common.items() if value is not None}
    entries = checked_entries(base, rows, output, stated, mirror=own.mirror)
    if own.dry_run:
        typer.echo(f"{counted(len(entries), 'clip')}, nothing amiss")
        return
    records: dict[str, Record] = {}
    with (
        _shown(len(entries), as_json=own.as_json) as show,
        closing(batch_steps(entries, output, BatchOptions(**where))) as steps,
    ):
        for record in steps:
            show(record)
            records[record.id] = record
    typer.echo(summary(records.values()), err=own.as_json)
    typer.echo(output / INDEX, err=own.as_json)
    if any(record.state not in ("done", "skipped") for record in records.values()):
        raise typer.Exit(1)


@contextmanager
def _shown(total: int, *, as_json: bool) -> "Iterator[Callable[[Record], None]]":
    """A watcher of records: bars at a terminal, elsewhere a line for what begins and ends, or JSON of every change."""
    console, ended = Console(stderr=True), 0

    def say(record: "Record") -> None:
        nonlocal ended
        ended += record.ended
        if as_json:
            typer.echo(json.dumps(asdict(record)))
        elif not record.stage:
            typer.echo(printable(f"{ended}/{total} {record.line()}"), err=True)

    if as_json or not console.is_terminal:
        yield say
    else:
        with _Bars(console, total) as bars:
            yield bars.show


class _Bars(Progress):
    """A bar over all clips, with the time left by the pace of those that were not skipped, and one for each at work."""

    def __init__(self, console: Console, total: int) -> None:
        words = TextColumn("{task.description}", markup=False)
        columns = BarColumn(), TextColumn("{task.fields[steps]}"), TimeElapsedColumn(), TimeRemainingColumn(), words
        super().__init__(*columns, console=console, transient=True, speed_estimate_period=math.inf)
        self._clips, self._total, self._ended, self._skipped = dict[str, TaskID](), total, 0, 0
        self._whole = self.add_task("clips: time taken, time left", total=total, steps=f"0/{total}")

    def show(self, record: "Record") -> None:
        if record.state == "running":
            if record.id not in self._clips:
                self._clips[record.id] = self.add_task("", total=None, steps="")
            steps = {"steps": f"{record.done}/{record.total}", "total": record.total} if record.total else {}
            words = printable(f"{record.id}: {record.stage or 'starting'}")
            self.update(self._clips[record.id], description=words, completed=record.done, **steps)
            return
        if record.id in self._clips:
            self.remove_task(self._clips.pop(record.id))
        self.console.print(printable(record.line()), highlight=False, markup=False, soft_wrap=True)
        self._ended, self._skipped = self._ended + record.ended, self._skipped + (record.state == "skipped")
        worked, steps = self._ended - self._skipped, f"{self._ended}/{self._total}"
        self.update(self._whole, completed=worked, total=self._total - self._skipped, steps=steps)
