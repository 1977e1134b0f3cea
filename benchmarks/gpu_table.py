"""How a GPU record reads: one line a row while it runs, and the tables of `docs/performance.md`."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.gpu import FAST, KEYFRAMES, PLAIN, PREDICTED, Record, Row, names
from benchmarks.gpu_targets import bar_table
from flowedit.errors import OutputError
from flowedit.files import write_bytes

STEPS, GUIDED = 50, 2
Cells = dict[str, Callable[[Row], str]]


def row_line(row: Row) -> str:
    """One row as a line of text."""
    parts = [row.checkpoint, row.name, f"{row.keyframes} keyframes" if row.keyframes else ""]
    return "  ".join(part for part in [*parts, *(cell(row) for cell in _CELLS.values()), row.note] if part)


def to_markdown(record: Record) -> str:
    """The record's tables, and what follows from them by arithmetic."""
    about = record.about
    machine, versions = about["machine"], about["versions"]
    clip = about["clip"]
    attention = f", FlashAttention-3 (fa3-fwd {versions['fa3-fwd']})" if "fa3-fwd" in versions else ""
    intro = (
        f"Measured on {machine['gpu'] or 'a CPU (rehearsal)'}, torch {versions.get('torch', '?')}, diffsynth "
        f"{versions.get('diffsynth', '?')}{attention}, random weights, {clip['num_frames']} frames of "
        f"{clip['width']}x{clip['height']}, {KEYFRAMES} joint keyframes where it says so, bfloat16."
    )
    parts = [intro, bar_table(record), *_tables(record)]
    if record.unfinished:
        parts.append("Not measured in this run:\n\n" + "\n".join(f"- {k}: {v}" for k, v in record.unfinished.items()))
    return "\n\n".join(parts) + "\n"


def marks_of(record: Path) -> tuple[str, str]:
    """The lines of a page between which a record's tables stand; a page holds several records by their names."""
    return (
        f"<!-- {record.stem} table: begin, made by `python -m benchmarks gpu --table` -->",
        f"<!-- {record.stem} table: end -->",
    )


def write_into(page: Path, text: str, marks: tuple[str, str]) -> None:
    """Replace what stands between the marks of a page.

    Raises:
        OutputError: the page is not there, or has no marks of this record.
    """
    begin, end = marks
    try:
        held = page.read_text()
        before, rest = held.split(begin)
        _, after = rest.split(end)
    except (OSError, ValueError):
        raise OutputError(f"{page} has no place for the table. Put the lines {begin} and {end} into it.") from None
    write_bytes(page, f"{before}{begin}\n{text}{end}{after}".encode())


def _tables(record: Record) -> Iterator[str]:
    machine = [row for row in record.rows if not row.checkpoint]
    if machine:
        yield "The machine:\n\n" + _table(machine)
    for checkpoint in names(record):
        rows = [row for row in record.rows if row.checkpoint == checkpoint]
        yield f"{checkpoint}:\n\n" + _table(rows)
        derived = list(_derived(record, rows))
        if derived:
            yield "From these rows:\n\n" + "\n".join(f"- {line}" for line in derived)


def _derived(record: Record, rows: list[Row]) -> Iterator[str]:
    """What the rows say together: the floor, ratios, the VAE's share, and how far predictions were off."""
    found = {(row.name, row.keyframes): row for row in rows if row.seconds}
    rate = next((r.tflops / r.seconds for r in record.rows if not r.checkpoint and r.tflops and r.seconds), None)
    plain, fast = found.get((PLAIN, 0)), found.get((FAST, 0))
    if rate and plain and plain.tflops:
        yield f"floor of a forward by operations, at the matrix product's rate: {1e3 * plain.tflops / rate:.0f} ms"
    if plain and fast:
        yield f"the fast path takes {_ratio(fast, plain):.2f} times the plain path's time"
    if fast and (FAST, KEYFRAMES) in found:
        yield _joint(fast, found[FAST, KEYFRAMES])
    yield from _shares(found)
    for (name, keyframes), guess in found.items():
        true = found.get((name.removesuffix(PREDICTED), keyframes))
        if name.endswith(PREDICTED) and true:
            with_keys = f" with {keyframes} keyframes" if keyframes else ""
            yield f"the prediction of: {true.name}{with_keys}, is off by {100 * (_ratio(guess, true) - 1):+.0f} %"


def _joint(fast: Row, joint: Row) -> str:
    """What keyframe tokens cost beside the forward without them, and a whole edit of nothing but forwards."""
    return (
        f"joint forward: {_ratio(joint, fast):.2f} times the time without keyframes; "
        f"{STEPS} guided steps {STEPS * GUIDED * (joint.seconds or 0.0):.1f} s"
    )


def _shares(found: Mapping[tuple[str, int], Row]) -> Iterator[str]:
    """How much of each edit is encoding and decoding."""
    for name, keyframes in found:
        edit = name.removesuffix(": steps")
        stages = [found.get((f"{edit}: {stage}", keyframes)) for stage in ("prepare", "steps", "decode")]
        taken = [row.seconds or 0.0 for row in stages if row]
        if name.endswith(": steps") and len(taken) == len(stages):
            yield f"{edit}: {100 * (1 - taken[1] / sum(taken)):.1f} % of it is encoding and decoding"


def _ratio(row: Row, other: Row) -> float:
    return (row.seconds or 0.0) / (other.seconds or 1.0)


def _table(rows: list[Row]) -> str:
    shown = {name: cell for name, cell in _CELLS.items() if any(cell(row) for row in rows)}
    lines = ["| what | keyframes | " + " | ".join(shown) + " | note |"]
    lines.append("|---" * (len(shown) + 3) + "|")
    for row in rows:
        cells = " | ".join(cell(row) for cell in shown.values())
        lines.append(f"| {row.name} | {row.keyframes or ''} | {cells} | {row.note} |")
    return "\n".join(lines)


def _seconds(row: Row) -> str:
    if row.seconds is None:
        return ""
    return f"{row.seconds:.2f} s" if row.seconds >= 10 else f"{1e3 * row.seconds:.4g} ms"


def _rate(row: Row) -> str:
    return f"{row.tflops / row.seconds:.0f} TFLOP/s" if row.tflops and row.seconds else ""


_CELLS: Cells = {
    "time": _seconds,
    "TFLOP/s": lambda row: _rate(row),
    "peak memory": lambda row: f"{row.peak_gb:.1f} GB" if row.peak_gb is not None else "",
    "relative error": lambda row: f"error {row.error:.1e}" if row.error is not None else "",
}
