"""Measure clips longer than the model's window, for docs/long_clips.md."""

import argparse
from pathlib import Path

from benchmarks.long_report import report_long_clips
from flowedit.tiny.styles import Family


def main() -> None:
    """Measure the presets and styles that are asked for, and write figures and page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", default="default,method", help="presets of the shipped model, with commas")
    parser.add_argument("--styles", default=str(Family.GLOBAL), help=f"with commas, of {', '.join(Family)}")
    parser.add_argument("--json", type=Path, default=Path("docs/long_clips.json"), help="figures; known ones stay")
    parser.add_argument("--page", type=Path, default=Path("docs/long_clips.md"), help="a page with the marks")
    given = parser.parse_args()
    families = [Family(name.strip()) for name in given.styles.split(",")]
    report_long_clips(given.presets.split(","), families, print, store=given.json, page=given.page)


if __name__ == "__main__":
    main()
