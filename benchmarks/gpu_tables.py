"""How GPU records read: one line a row while a benchmark runs, and the tables of `docs/performance.md`."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.gpu import FAST, KEYFRAMES, PREDICTED, WHOLE, Record, Row
from benchmarks.table import markdown

NARROW, WIDE_ONE = "Wan2.1-Fun-1.3B-InP", "Wan2.1-I2V-14B-480P"
_IN_USE = re.compile(r"([\d.]+) GB in use")


class Times:
    """Seconds of what was measured, NaN of what was not; where records share a row, the first one's count."""

    def __init__(self, *records: Record) -> None:
        """Collect the rows."""
        self.rows: dict[tuple[str, str, int], Row] = {}
        for row in (row for record in records for row in record.rows):
            self.rows.setdefault((row.checkpoint, row.name, row.keyframes), row)

    def __call__(self, checkpoint: str, name: str, keyframes: int = 0) -> float:
        """Median seconds of a row."""
        row = self.rows.get((checkpoint, name, keyframes))
        return math.nan if row is None or row.seconds is None else row.seconds

    def misses(self, *checkpoints: str) -> list[float]:
        """How far predictions were off, in percent."""
        off = [
            100 * (self(checkpoint, name, keyframes) / self(checkpoint, name.removesuffix(PREDICTED), keyframes) - 1)
            for checkpoint, name, keyframes in self.rows
            if name.endswith(PREDICTED) and checkpoint in checkpoints
        ]
        return [miss for miss in off if not math.isnan(miss)]

    def in_use(self, checkpoint: str) -> float:
        """GB that the driver counted with the weights on the host, which is more than what tensors take."""
        notes = [row.note for row in self.rows.values() if (row.section, row.checkpoint) == ("offload", checkpoint)]
        return max((float(match[1]) for match in map(_IN_USE.search, notes) if match), default=math.nan)


def target_table(*records: Record) -> str:
    """What the real models are to reach on one GPU, or on several, beside what the records say."""
    times = Times(*records)
    few = next((n for c, n, _ in times.rows if c == NARROW and re.fullmatch(r"edit of 8 steps.*: steps", n)), "")
    one, four = (times(WIDE_ONE, f"{FAST} on {gpus}", KEYFRAMES) for gpus in ("1 GPU", "4 GPUs"))
    worst = max(map(abs, times.misses(NARROW, WIDE_ONE)), default=math.nan)
    vae = sum(times(NARROW, f"VAE {name}{WHOLE}") for name in ("encode", "decode"))
    targets = (
        ("1.3B, plain forward on the fast path", 430, "ms", 1e3 * times(NARROW, FAST)),
        ("joint forward with 5 keyframes, over the plain one", 1.3, "times",
         times(NARROW, FAST, KEYFRAMES) / times(NARROW, FAST)),
        ("a clip encoded and decoded", 1.4, "s", vae),
        ("prepare of the 1.3B's default preset", 1.5, "s", times(NARROW, "default preset: prepare", KEYFRAMES)),
        ("1.3B, 8 unguided steps as of a distilled LoRA, transformer alone", 20, "s", times(NARROW, few, KEYFRAMES)),
        ("1.3B with weights on the host, GPU memory by the driver's count", 8, "GB", times.in_use(NARROW)),
        ("14B with weights on the host, GPU memory by the driver's count", 24, "GB", times.in_use(WIDE_ONE)),
        ("14B, joint forward on four GPUs over that on one (3.2 times as fast)", 1 / 3.2, "times", four / one),
        ("worst of the predictions of time that `flowedit doctor` makes", 25, "%", worst),
    )  # fmt: skip
    return markdown(("to reach", "at most", "measured", ""), [_verdict(*target) for target in targets])


def _verdict(what: str, limit: float, unit: str, value: float) -> tuple[str, ...]:
    digits = {"ms": 0, "times": 2}.get(unit, 1)
    if math.isnan(value):
        return what, f"{limit:.{digits}f} {unit}", "not measured", ""
    verdict = "reached" if value <= limit else "**missed**"
    return what, f"{limit:.{digits}f} {unit}", f"{value:.{digits}f} {unit}", verdict


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
    """A table of what some sections measured of a checkpoint."""
    rows = [row for row in record.rows if row.checkpoint == checkpoint and row.section in sections]
    shown = {name: cell for name, cell in _CELLS.items() if any(cell(row) for row in rows)}
    lines = [(row.name, row.keyframes or "", *(cell(row) for cell in shown.values())) for row in rows]
    return markdown(("what", "keyframes", *shown), lines)


def passed_tests(record: Mapping[str, Any]) -> str:
    """How many tests on a GPU passed, in what time, of which commits."""
    tests = record["tests"].values()
    passed, commits = (
        [test for test in tests if test["outcome"] == "passed"],
        sorted({test["commit"] for test in tests}),
    )
    seconds = sum(test["seconds"] for test in passed)
    days = " and ".join(sorted({test["date"] for test in tests}))
    return f"{len(passed)} of {len(tests)} passed in {seconds:.0f} s ({days}, at {' and '.join(commits)})"


def _seconds(row: Row) -> str:
    if row.seconds is None:
        return ""
    return f"{row.seconds:.2f} s" if row.seconds >= 10 else f"{1e3 * row.seconds:.4g} ms"


_CELLS: dict[str, Callable[[Row], str]] = {
    "time": _seconds,
    "rate": lambda row: f"{row.tflops / row.seconds:.0f} TFLOP/s" if row.tflops and row.seconds else "",
    "peak memory": lambda row: f"{row.peak_gb:.1f} GB" if row.peak_gb is not None else "",
    "error": lambda row: f"{row.error:.1e}" if row.error is not None else "",
}
