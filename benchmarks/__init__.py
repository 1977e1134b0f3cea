"""Quality, speed, memory and looks, measured; the records lie in `RESULTS`, and docs/ is filled in from them."""

from pathlib import Path

RESULTS = Path(__file__).parent / "results"
