"""The table of paces: every way makes the same edit, and its row says what it took and how far it went."""

from benchmarks import paces
from benchmarks.paces import PaceRow, Way, pace_rows, read_paces, to_markdown, write_paces


def test_rows_compare_each_way_with_the_plain_edit(monkeypatch, tmp_path):
    """On five frames and two steps: a fast edit is the plain one to rounding, a lazy one is not."""
    wanted = ("plain", "fast", "negative prompt every 3 steps")
    ways = {**{name: paces.WAYS[name] for name in wanted}, "2 steps": Way(steps=2)}
    monkeypatch.setattr(paces, "FRAMES", 5)
    monkeypatch.setattr(paces, "WAYS", {n: way._replace(steps=min(way.steps, 4)) for n, way in ways.items()})
    rows = {row.name: row for row in pace_rows()}
    assert list(rows) == [*wanted, "2 steps"]
    assert [row.forwards for row in rows.values()] == [8, 8, 6, 4]
    assert rows["plain"].error == 0
    assert rows["plain"].psnr_db is None
    assert 0 < rows["fast"].error < 1e-5 < rows["negative prompt every 3 steps"].error
    assert 0 < rows["plain"].gap < 1
    write_paces(list(rows.values()), tmp_path / "paces.json")
    assert read_paces(tmp_path / "paces.json") == list(rows.values())


def test_the_table_says_what_was_lost():
    rows = [
        PaceRow(name="plain", forwards=8, seconds=1.25, error=0.0, psnr_db=None, gap=0.5),
        PaceRow(name="other", forwards=4, seconds=1.0, error=0.012, psnr_db=31.26, gap=0.25),
    ]
    text = to_markdown(rows)
    assert "| plain | 8 | 1.2 s | 0 | the same | 0.500 |" in text
    assert "| other | 4 | 1.0 s | 1.2e-02 | 31.3 dB | 0.250 |" in text
