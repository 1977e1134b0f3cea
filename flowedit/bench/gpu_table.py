"""How a GPU record reads: one line a row while it runs, and the tables of `docs/performance.md`."""

from collections.abc import Callable, Iterator
from pathlib import Path

from flowedit.bench.gpu import FAST, KEYFRAMES, PLAIN, Record, Row, names
from flowedit.errors import OutputError
from flowedit.wan.resume import write_atomically

BEGIN, END = "<!-- gpu table: begin, made by `flowedit bench gpu --table` -->", "<!-- gpu table: end -->"
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
    intro = (
        f"Measured on {machine['gpu'] or 'a CPU (rehearsal)'}, torch {versions.get('torch', '?')}, diffsynth "
        f"{versions.get('diffsynth', '?')}, random weights, {clip['num_frames']} frames of "
        f"{clip['width']}x{clip['height']}, {KEYFRAMES} joint keyframes where it says so, bfloat16."
    )
    parts = [intro, *_tables(record)]
    if record.unfinished:
        parts.append("Not measured in this run:\n\n" + "\n".join(f"- {k}: {v}" for k, v in record.unfinished.items()))
    return "\n\n".join(parts) + "\n"


def write_into(page: Path, text: str) -> None:
    """Replace what stands between the marks of a page.

    Raises:
        OutputError: the page is not there, or has no marks.
    """
    try:
        held = page.read_text()
        before, rest = held.split(BEGIN)
        _, after = rest.split(END)
    except (OSError, ValueError):
        raise OutputError(f"{page} has no place for the table. Put the lines {BEGIN} and {END} into it.") from None
    write_atomically(page, f"{before}{BEGIN}\n{text}{END}{after}".encode())


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
    """What the rows say together: the floor, ratios, and a whole edit."""
    found = {(row.name, row.keyframes): row for row in rows}
    rate = next((r.tflops / r.seconds for r in record.rows if not r.checkpoint and r.tflops and r.seconds), None)
    plain, fast = found.get((PLAIN, 0)), found.get((FAST, 0))
    joint = found.get((FAST, KEYFRAMES))
    if rate and plain and plain.tflops:
        yield f"floor of a forward by operations, at the matrix product's rate: {1e3 * plain.tflops / rate:.0f} ms"
    if plain and fast and plain.seconds and fast.seconds:
        yield f"the fast path takes {fast.seconds / plain.seconds:.2f} times the plain path's time"
    if fast and joint and fast.seconds and joint.seconds:
        yield f"the joint forward takes {joint.seconds / fast.seconds:.2f} times the one without keyframes"
        yield (
            f"projected: {STEPS} guided steps with joint keyframes {GUIDED * STEPS * joint.seconds:.1f} s, without "
            f"{GUIDED * STEPS * fast.seconds:.1f} s"
        )
    pair = found.get(("fast path, guided pair with isolated keyframes", KEYFRAMES))
    if pair and fast and pair.seconds and fast.seconds:
        yield (
            f"with isolated keyframes a guided pair takes {pair.seconds / fast.seconds / 2:.2f} times two forwards "
            f"without keyframes; {STEPS} steps {STEPS * pair.seconds:.1f} s"
        )
    for keyframes in (0, KEYFRAMES):
        guess, true = found.get(("plain forward, as predicted", keyframes)), found.get((PLAIN, keyframes))
        if guess and true and guess.seconds and true.seconds:
            off = 100 * (guess.seconds / true.seconds - 1)
            yield f"the prediction of the plain forward with {keyframes} keyframes is off by {off:+.0f} %"


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


_CELLS: Cells = {
    "time": _seconds,
    "TFLOP/s": lambda row: f"{row.tflops / row.seconds:.0f} TFLOP/s" if row.tflops and row.seconds else "",
    "peak memory": lambda row: f"{row.peak_gb:.1f} GB" if row.peak_gb is not None else "",
    "relative error": lambda row: f"error {row.error:.1e}" if row.error is not None else "",
}
