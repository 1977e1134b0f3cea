"""How a GPU record reads: one line a row while it runs, and the tables of `docs/performance.md`."""

from collections.abc import Callable, Iterator, Sequence

from benchmarks.gpu_record import FAST, KEYFRAMES, PLAIN, PREDICTED, Record, Row
from benchmarks.tables import markdown

STEPS, GUIDED = 50, 2


def row_line(row: Row) -> str:
    """One row as a line of text."""
    parts = [row.checkpoint, row.name, f"{row.keyframes} keyframes" if row.keyframes else ""]
    return "  ".join(part for part in [*parts, *(cell(row) for cell in _CELLS.values()), row.note] if part)


def where(record: Record) -> str:
    """What the rows were measured on, and of what."""
    gpu, versions, clip = record.about["machine"]["gpu"], record.about["versions"], record.about["clip"]
    kernel = f", FlashAttention-3 (fa3-fwd {versions['fa3-fwd']})" if "fa3-fwd" in versions else ""
    return (
        f"{gpu or 'a CPU (rehearsal)'}, torch {versions.get('torch', '?')}, diffsynth {versions.get('diffsynth', '?')}"
        f"{kernel}; {clip['num_frames']} frames of {clip['width']}x{clip['height']}, bfloat16"
    )


def rows_of(record: Record, checkpoint: str, sections: Sequence[str]) -> str:
    """A table of what some sections measured of a checkpoint; predictions stand in `derived`."""
    rows = [row for row in record.rows if row.checkpoint == checkpoint and row.section in sections]
    shown = {name: cell for name, cell in _CELLS.items() if any(cell(row) for row in rows)}
    lines = [(row.name, row.keyframes or "", *(cell(row) for cell in shown.values())) for row in rows]
    return markdown(("what", "keyframes", *shown), lines)


def derived(record: Record, checkpoint: str) -> str:
    """What the rows of a checkpoint say together: floor, ratios, the VAE's share, how far predictions were off."""
    found = {(row.name, row.keyframes): row for row in record.rows if row.checkpoint == checkpoint and row.seconds}
    return "\n".join(f"- {line}" for line in _derived(record, found))


def _derived(record: Record, found: dict[tuple[str, int], Row]) -> Iterator[str]:
    rate = next((r.tflops / r.seconds for r in record.rows if not r.checkpoint and r.tflops and r.seconds), None)
    plain, fast, joint = found.get((PLAIN, 0)), found.get((FAST, 0)), found.get((FAST, KEYFRAMES))
    if rate and plain and plain.tflops:
        yield f"floor of a forward by operations, at the matrix product's rate: {1e3 * plain.tflops / rate:.0f} ms"
    if plain and fast:
        yield f"the fast path takes {_ratio(fast, plain):.2f} times the plain path's time"
    if fast and joint:
        yield (
            f"with {KEYFRAMES} joint keyframes a forward takes {_ratio(joint, fast):.2f} times that without; "
            f"{STEPS} guided steps {STEPS * GUIDED * (joint.seconds or 0.0):.1f} s"
        )
    for edit in dict.fromkeys(name.removesuffix(": steps") for name, _ in found if name.endswith(": steps")):
        stages = [found.get((f"{edit}: {stage}", KEYFRAMES)) for stage in ("prepare", "steps", "decode")]
        taken = [row.seconds or 0.0 for row in stages if row]
        if len(taken) == len(stages):
            yield f"{edit}: {100 * (1 - taken[1] / sum(taken)):.1f} % of it is encoding and decoding"
    off = [100 * (_ratio(row, true) - 1) for row, true in _predictions(found)]
    if off:
        yield f"what `flowedit doctor` predicts of these rows is off by {min(off):+.0f} to {max(off):+.0f} %"


def _predictions(found: dict[tuple[str, int], Row]) -> Iterator[tuple[Row, Row]]:
    """Each prediction with the row that measured it."""
    for (name, keyframes), row in found.items():
        true = found.get((name.removesuffix(PREDICTED), keyframes))
        if name.endswith(PREDICTED) and true:
            yield row, true


def _ratio(row: Row, other: Row) -> float:
    return (row.seconds or 0.0) / (other.seconds or 1.0)


def _seconds(row: Row) -> str:
    if row.seconds is None:
        return ""
    return f"{row.seconds:.2f} s" if row.seconds >= 10 else f"{1e3 * row.seconds:.4g} ms"


def _rate(row: Row) -> str:
    return f"{row.tflops / row.seconds:.0f} TFLOP/s" if row.tflops and row.seconds else ""


_CELLS: dict[str, Callable[[Row], str]] = {
    "time": _seconds,
    "rate": _rate,
    "peak memory": lambda row: f"{row.peak_gb:.1f} GB" if row.peak_gb is not None else "",
    "error": lambda row: f"{row.error:.1e}" if row.error is not None else "",
}
