"""What the real models are to reach on one GPU, or on two or four, beside what a record of the benchmark says."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.gpu_record import DEFAULT_LAZY, FAST, KEYFRAMES, PREDICTED, Record, Row

NARROW, WIDE_ONE = "Wan2.1-Fun-1.3B-InP", "Wan2.1-I2V-14B-480P"
_IN_USE = re.compile(r"([\d.]+) GB in use")


@dataclass(frozen=True)
class Target:
    """One figure to reach.

    Attributes:
        what: in words.
        limit: the most it may be.
        unit: of both.
        measure: takes the rows of a record, in a table by checkpoint, name and keyframes; None where they do not say.
    """

    what: str
    limit: float
    unit: str
    measure: "Callable[[Found], float | None]"


class Found:
    """Rows by what they measured."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self._named = {(row.checkpoint, row.name, row.keyframes): row for row in rows}

    def seconds(self, name: str, keyframes: int = 0, checkpoint: str = NARROW) -> float | None:
        """Median seconds of a row; None where it was not measured."""
        row = self._named.get((checkpoint, name, keyframes))
        return row.seconds if row else None

    def edit(self, steps: int, stage: str) -> float | None:
        """Seconds of one stage of the edit with this many steps."""
        start, end = f"edit of {steps} steps", f": {stage}"
        rows = [row for row in self.rows if row.name.startswith(start) and row.name.endswith(end)]
        return next((row.seconds for row in rows if row.checkpoint == NARROW), None)


def target_table(*records: Record) -> str:
    """A Markdown table of what is reached and what is not; where records share a row, the first one's counts."""
    rows: dict[tuple[str, str, int], Row] = {}
    for row in (row for record in records for row in record.rows):
        rows.setdefault((row.checkpoint, row.name, row.keyframes), row)
    found = Found(list(rows.values()))
    lines = ["| to reach | at most | measured | |", "|---|---|---|---|"]
    for target in TARGETS:
        value = target.measure(found)
        shown, verdict = "not measured", ""
        if value is not None:
            shown, verdict = _shown(value, target.unit), "reached" if value <= target.limit else "**missed**"
        lines.append(f"| {target.what} | {_shown(target.limit, target.unit)} | {shown} | {verdict} |")
    return "\n".join(lines)


def _shown(value: float, unit: str) -> str:
    digits = {"ms": 0, "times": 2, "%": 1}.get(unit, 1)
    return f"{value:.{digits}f} {unit}"


def _forward(found: Found) -> float | None:
    return _scaled(found.seconds(FAST), 1e3)


def _lazy(found: Found) -> float | None:
    return found.seconds(f"{DEFAULT_LAZY}: steps", KEYFRAMES)


def _joint(found: Found) -> float | None:
    return _quotient(found.seconds(FAST, KEYFRAMES), found.seconds(FAST))


def _together(gpus: int) -> Callable[[Found], float | None]:
    def measure(found: Found) -> float | None:
        times = [found.seconds(f"{FAST} on {count}", KEYFRAMES, WIDE_ONE) for count in (f"{gpus} GPUs", "1 GPU")]
        return _quotient(times[0], times[1])

    return measure


def _vae_share(found: Found) -> float | None:
    stages = {
        name: found.seconds(f"{DEFAULT_LAZY}: {name}", KEYFRAMES) or 0.0 for name in ("prepare", "steps", "decode")
    }
    share = _quotient(stages["prepare"] + stages["decode"], sum(stages.values()))
    return _scaled(share, 100)


def _memory(checkpoint: str) -> Callable[[Found], float | None]:
    """The driver's count, which is more than what tensors take."""

    def measure(found: Found) -> float | None:
        notes = [row.note for row in found.rows if row.section == "offload" and row.checkpoint == checkpoint]
        used = [float(match[1]) for match in map(_IN_USE.search, notes) if match]
        return max(used, default=None)

    return measure


def _prediction(found: Found) -> float | None:
    return max((abs(off) for off in _misses(found)), default=None)


def _misses(found: Found) -> Iterator[float]:
    for row in found.rows:
        true = found.seconds(row.name.removesuffix(PREDICTED), row.keyframes, row.checkpoint)
        if row.name.endswith(PREDICTED) and true and row.seconds:
            yield 100 * (row.seconds / true - 1)


def _quotient(value: float | None, by: float | None) -> float | None:
    return None if value is None or not by else value / by


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value


TARGETS = (
    Target("1.3B, plain forward on the fast path", 480, "ms", _forward),
    Target("joint forward with 5 keyframes, over the plain one", 1.15, "times", _joint),
    Target(
        "1.3B, the default preset (40 of 50 guided steps, two branches) at the pace lazy, transformer alone",
        45,
        "s",
        _lazy,
    ),
    Target("share of encoding and decoding in that edit", 10, "%", _vae_share),
    Target(
        "1.3B, 8 unguided steps as of a distilled LoRA, transformer alone",
        20,
        "s",
        lambda found: found.edit(8, "steps"),
    ),
    Target("1.3B with weights on the host, GPU memory by the driver's count", 8, "GB", _memory(NARROW)),
    Target("14B with weights on the host, GPU memory by the driver's count", 24, "GB", _memory(WIDE_ONE)),
    Target("14B, joint forward on two GPUs over that on one (1.8 times as fast)", 1 / 1.8, "times", _together(2)),
    Target("14B, joint forward on four GPUs over that on one (3.2 times as fast)", 1 / 3.2, "times", _together(4)),
    Target("worst of the predictions of time that `flowedit doctor` makes", 25, "%", _prediction),
)
