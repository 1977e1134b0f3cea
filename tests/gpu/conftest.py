"""Tests that need a CUDA device; what they share with the unit tests lies beside those."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
