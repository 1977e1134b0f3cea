"""Many clips: a manifest of them, the check before any work, and the work on this machine or a Ray cluster."""

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowedit.batch.record import Record


def run_batch(
    manifest: Path | str,
    out: Path | str,
    *,
    common: Mapping[str, Any] | None = None,
    **options: Any,  # noqa: ANN401
) -> "list[Record]":
    """Edit every clip of a manifest, and say what became of each.

    Args:
        manifest: the file, in JSON Lines or CSV.
        out: folder for the results; the same call again goes on where it was stopped.
        common: what stands where a line says nothing, in the words of a line.
        options: attributes of `flowedit.batch.cluster.BatchOptions`.

    Raises:
        SettingError: lines that cannot be run, before any work.
        ModelError: Ray is not installed, or does not start.

    Example:
        >>> run_batch("clips.jsonl", "out", common={"preset": "draft"})  # doctest: +SKIP
    """
    news = batch_news(manifest, out, common=common, **options)
    while True:
        try:
            next(news)
        except StopIteration as end:
            return end.value


def batch_news(
    manifest: Path | str,
    out: Path | str,
    *,
    common: Mapping[str, Any] | None = None,
    **options: Any,  # noqa: ANN401
) -> "Generator[str | Record, None, list[Record]]":
    """`run_batch` as it goes: what is being done in a line, and the record of each clip that ended. Closing it ends it.

    Example:
        >>> from flowedit.widgets import RunPanel  # doctest: +SKIP
        >>> RunPanel(lambda: batch_news("clips.jsonl", "out"), total=12)  # doctest: +SKIP
    """
    from flowedit.batch.checking import checked_entries  # the command line, which imports this, starts without these
    from flowedit.batch.cluster import BatchOptions
    from flowedit.batch.jobs import batch_steps
    from flowedit.batch.manifest import read_rows

    out, found = Path(out), dict[str, "Record"]()
    entries = checked_entries(*read_rows(Path(manifest)), out, common or {})
    for record in batch_steps(entries, out, BatchOptions(**options)):
        found[record.id] = record
        yield record if record.ended else record.line()
    return [found[entry.id] for entry in entries]
