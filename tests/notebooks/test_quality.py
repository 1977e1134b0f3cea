"""The recorded table that lesson 06 reads: the documentation's own, whole, in fewer digits."""

import json

import numpy as np
import pytest

from benchmarks.table import FIGURES
from flowedit.errors import OutputError
from flowedit.lessons.quality import FILE, brief, table
from tests.notebooks.lessons_on_disk import FOLDER, ROOT


def test_the_package_carries_the_documentations_table():
    """Catches a new table in the documentation without `python -m notebooks.publish build`."""
    assert FILE.read_text(encoding="utf-8") == brief((ROOT / "docs" / FILE.name).read_text(encoding="utf-8"))


def test_nothing_but_digits_is_lost():
    """Catches a row, a scene or a figure left out of the copy."""
    whole = json.loads((ROOT / "docs" / FILE.name).read_text(encoding="utf-8"))
    short = table()
    assert len(short.scores) == len(whole["scores"])
    for kept, row in zip(short.scores, whole["scores"], strict=True):
        for part in ("row", "world", "scene", "family", "condition"):
            assert getattr(kept, part) == row[part]
        values = [np.nan if row["figures"][name] is None else row["figures"][name] for name in FIGURES]
        np.testing.assert_allclose([kept.figures[name] for name in FIGURES], values, rtol=1e-3)


def test_the_lesson_names_no_row_of_it():
    """Catches a lesson that shows some rows of the table and hides others."""
    text = (FOLDER / "_src" / "06_methods_and_settings.py").read_text(encoding="utf-8")
    cell = text.partition("table, kinds = lessons.table()")[2].partition("# %% [markdown]")[0]
    named = [row for row in table().rows if f'"{row}"' in cell]
    assert named == ["default"], "the row that every other is compared with"


def test_a_missing_table_is_said(tmp_path):
    with pytest.raises(OutputError, match="benchmarks quality"):
        table(tmp_path / "none.json")
