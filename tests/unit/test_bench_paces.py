"""The table of paces: every way makes the same edit, and its row says what it took and how far it went."""

from pathlib import Path

from benchmarks import paces
from benchmarks.gpu_table import write_into
from benchmarks.paces import BEGIN, END, PaceRow, pace_rows, paces_markdown, read_paces, write_paces


def test_rows_compare_each_way_with_the_plain_edit(monkeypatch, tmp_path):
    """On five frames and two steps: a fast edit is the plain one to rounding, a lazy one is not."""
    wanted = ("plain", "fast", "negative prompt every 3 steps")
    ways = [way for way in paces._ways() if way[0] in wanted]
    for name, value in {"FRAMES": 5, "STEPS": 4, "FEW": (2,), "_ways": lambda: iter(ways)}.items():
        monkeypatch.setattr(paces, name, value)
    rows = {row.name: row for row in pace_rows()}
    assert list(rows) == [*wanted, "2 steps"]
    assert [row.forwards for row in rows.values()] == [8, 8, 6, 4]
    assert rows["plain"].error == 0
    assert rows["plain"].psnr_db is None
    assert 0 < rows["fast"].error < 1e-5 < rows["negative prompt every 3 steps"].error
    assert 0 < rows["plain"].gap < 1
    write_paces(list(rows.values()), tmp_path / "paces.json")
    assert read_paces(tmp_path / "paces.json") == list(rows.values())


def test_the_table_goes_between_its_own_marks(tmp_path):
    row = PaceRow(name="plain", forwards=8, seconds=1.25, error=0.0, psnr_db=None, gap=0.5)
    text = paces_markdown([row, PaceRow(name="other", forwards=4, seconds=1.0, error=0.012, psnr_db=31.26, gap=0.25)])
    assert "| plain | 8 | 1.2 s | 0 | the same | 0.500 |" in text
    assert "| other | 4 | 1.0 s | 1.2e-02 | 31.3 dB | 0.250 |" in text
    page = tmp_path / "page.md"
    page.write_text(f"a\n{BEGIN}\nold\n{END}\nb\n")
    write_into(page, text, (BEGIN, END))
    assert page.read_text() == f"a\n{BEGIN}\n{text}{END}\nb\n"


def test_the_published_table_is_that_of_the_published_record():  # catches: a page that argues from an empty table
    docs = Path(__file__).parents[2] / "docs"
    table = (docs / "performance.md").read_text(encoding="utf-8").split(f"{BEGIN}\n")[1].split(END)[0]
    rows = read_paces(docs / "paces.json")
    assert len(rows) > 8
    assert table == paces_markdown(rows)
