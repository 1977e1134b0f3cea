"""What was measured of long clips, as JSON and as tables in a page."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.long_clips import FRAMES, LIMIT, SHORT, Reading, long_clip, read_clip
from benchmarks.pages import fill_page, write_whole
from flowedit.tiny.styles import Family

COMMAND = "tools/long_clips.py"


def report_long_clips(
    presets: Sequence[str], families: Sequence[Family], say: Callable[[str], object], *, store: Path, page: Path
) -> None:
    """Measure, say each reading as it is there, and add it to the ones known; then write them all.

    Args:
        presets: of the shipped model.
        families: of styles; one clip each.
        say: is told each line.
        store: JSON with the readings; those of other presets and families stay.
        page: a Markdown page with marks, see `fill_page`.
    """
    for family in families:
        clip = long_clip(family)
        for preset in presets:
            reading = read_clip(clip, preset)
            say(str(reading))
            known = json.loads(store.read_text(encoding="utf-8")) if store.exists() else []
            known = [row for row in known if (row["preset"], row["family"]) != (preset, str(family))]
            rows = sorted([*known, asdict(reading)], key=lambda row: (row["preset"], row["family"]))
            write_whole(store, json.dumps(rows, indent=1) + "\n")
            fill_page(page, COMMAND, to_markdown([Reading(**row) for row in rows]))


def to_markdown(readings: Sequence[Reading]) -> str:
    """Both tables, and what they say.

    Args:
        readings: of the clips.
    """
    lines = [
        "| preset | style | first to last window | within one window | ratio | farthest window | PSNR |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{r.preset}` | {r.family} | {r.between:.2f} | {r.within:.2f} | {r.ratio:.2f} | {r.farthest:.2f} | "
        f"{r.psnr:.1f} dB |"
        for r in readings
    ]
    for preset in dict.fromkeys(r.preset for r in readings):
        own = [r for r in readings if r.preset == preset]
        over = [f"{r.family} ({r.ratio:.2f})" for r in own if r.ratio > LIMIT]
        kept = f"`{preset}`: {len(own) - len(over)} of {len(own)} clips within {LIMIT:g}"
        lines += ["", f"{kept}{'; above: ' + ', '.join(over) if over else ''}."]
    lines += [
        "",
        f"| preset | style | peak, {SHORT} frames | peak, {FRAMES} frames | growth over the added frames' bytes |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{r.preset}` | {r.family} | {r.short_peak_mb:.0f} MB | {r.peak_mb:.0f} MB | {r.growth:.1f} |"
        for r in readings
    ]
    return "\n".join(lines)
