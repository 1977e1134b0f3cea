"""What a quality table says in the pages: the right rows, the right sign, and nothing typed by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app, main
from benchmarks.aims import AIMS, to_aims
from benchmarks.claims import COMMAND, to_brief, to_page
from benchmarks.pages import marks
from benchmarks.quality import read_tables, write_table
from benchmarks.table import FIGURES, BenchTable, Score
from flowedit.errors import SettingError

LEVELS = {"colour map": 25.0, "propagation": 27.0, "default": 30.0}


def table(levels=LEVELS, scenes=4):
    scores = [
        Score(
            row=row,
            world="own",
            scene=scene,
            family="global colour" if scene == 0 else "thick outlines",
            condition=condition,
            figures={**dict.fromkeys(FIGURES, 1.0), "psnr_far": level + scene, "psnr_disoccluded": level - 1},
        )
        for row, level in levels.items()
        for scene in range(scenes)
        for condition in ("exact", "disagreeing")
    ]
    return BenchTable(scores=scores, about={"scenes": scenes, "split": "test", "model": "tiny"})


def test_gains_are_the_defaults_over_each_row():  # catches: the difference taken the other way round
    lines = to_page(table()).splitlines()
    assert any(line.startswith("| propagation | +3.00 [3.00, 3.00] | +3.00") for line in lines)
    assert any(line.startswith("| colour map | +5.00") for line in lines)
    assert "| default | 1.00 | 1.00 | 32.00 | 29.00 |" in "\n".join(lines), "global colour is not among the means"
    assert "| default | 30.00 | 32.00 |" in "\n".join(lines), "families stand apart"


def test_rows_that_ran_on_fewer_scenes_have_means_but_no_gain():
    more = table({"default": 30.0})
    few = table({"default keyframes swapped": 20.0}, scenes=2)
    text = to_page(BenchTable(scores=[*more.scores, *few.scores], about=more.about))
    assert text.count("| default keyframes swapped |") == 3, "two conditions and the families, no gain"


def test_seconds_have_a_column_where_a_row_was_timed():
    """Catches: seconds that are measured and stand in no page, and rows untimed that count as 0 s."""
    scores = table().scores
    known = {("default", "exact", 0): 0.5}
    timed = [
        replace(s, figures={**s.figures, "seconds_per_frame": known.get((s.row, s.condition, s.scene), float("nan"))})
        for s in scores
    ]
    exact, disagreeing = to_page(BenchTable(scores=timed)).split("keyframes *disagreeing*")[:2]
    assert "| edges kept | s a frame |" in exact
    assert "| 1.00 | 0.50 |" in exact
    assert "s a frame" not in disagreeing
    assert "far / ceiling" not in exact, "no row tells the ceiling"


def test_a_ceiling_of_nothing_gives_no_share():  # catches: infinite drift where the truth has none
    found = table({"ceiling": 30.0, "default": 28.0})
    still = [replace(s, figures={**s.figures, "drift": 0.0} if s.row == "ceiling" else s.figures) for s in found.scores]
    entry = BenchTable(scores=still).summary()["default"]
    assert entry["drift_of_ceiling"]["mean"] is None
    assert entry["psnr_far_of_ceiling"]["mean"] == pytest.approx(30 / 32, abs=0.01)
    assert entry["flicker_of_ceiling"]["mean"] == 1


def test_scores_from_before_a_figure_was_known_are_read():
    """Catches: a stored table that a new figure makes unreadable, or fills with something else than nothing."""
    stored = {"row": "default", "world": "own", "scene": 1, "family": "thick outlines", "condition": "exact"}
    figures = {"psnr_key": 40.0, "psnr_far": 30.0, "psnr_disoccluded": None, "flicker": 1.0}
    read = BenchTable.from_dict({"about": {}, "scores": [stored | {"figures": figures}]})
    assert read.scores[0].figures["psnr_key"] == 40
    assert np.isnan(read.values("default", "ssim_key")).all()
    means = to_page(read).split("exact*")[1].split("Each family")[0]
    assert "| row | at keyframes | far | flicker |" in means
    assert "| default | 40.00 | 30.00 | 1.00 |" in means


def test_variants_of_the_default_stand_beside_the_guess_they_repair():
    """Catches: a share of the model taken the other way round, and rows of other methods among the variants."""
    found = table({**LEVELS, "default strength 0.3": 28.0, "guess": 29.5, "method": 20.0})
    shares = to_page(found).split("What is added to the guess")[1].split("Each family")[0]
    assert "| default | +0.50 [0.50, 0.50] | +0.50 [0.50, 0.50] |" in shares
    assert "| default strength 0.3 | -1.50 [-1.50, -1.50] |" in shares
    assert "method" not in shares
    assert "What is added" not in to_page(table())


def test_settings_of_the_method_stand_beside_it():
    """Catches: a gain over the default instead, the two conditions mixed up, and rows of other methods among them."""
    found = table({**LEVELS, "method": 20.0, "method alpha 3": 21.0, "kappa 0": 19.5})
    for s in found.scores:
        if s.row == "kappa 0" and s.condition == "disagreeing":
            s.figures.update(psnr_key=3.0, psnr_far=s.figures["psnr_far"] + 2, flicker=1.25)
    settings = to_page(found).split("gains by another setting")[1].split("Each family")[0]
    assert (
        "| row | at keyframes, exact | far, exact | hidden places, exact | flicker, exact | at keyframes, dis"
        in settings
    )
    assert "| method |  |  |  | 1.00 |  |  |  | 1.00 |" in settings
    nothing, one, less = "+0.00 [0.00, 0.00]", "+1.00 [1.00, 1.00]", "-0.50 [-0.50, -0.50]"
    assert f"| method alpha 3 | {nothing} | {one} | {one} | 1.00 | {nothing} |" in settings
    changed = f"+2.00 [2.00, 2.00] | +1.50 [1.50, 1.50] | {less} | 1.25 |"
    assert f"| kappa 0 | {nothing} | {less} | {less} | 1.00 | {changed}" in settings
    assert "default" not in settings
    assert "another setting" not in to_page(table({**LEVELS, "method": 20.0}))


def test_the_brief_form_is_the_gains_over_classical_rows():
    text = to_brief(table({**LEVELS, "guess": 29.0}))
    assert "| propagation |" in text
    assert "guess" not in text


def test_tables_are_read_as_one_and_shown_in_a_page(tmp_path):
    write_table(table(), tmp_path / "a.json")
    write_table(table({"guess": 29.0}), tmp_path / "b.json")
    assert (tmp_path / "a.png").stat().st_size > 1000
    both = read_tables([tmp_path / "a.json", tmp_path / "b.json"])
    assert set(both.rows) == {*LEVELS, "guess"}
    page = tmp_path / "quality.md"
    begin, end = marks(COMMAND)
    page.write_text(f"# Quality\n{begin}\n{end}\n")
    tables = [f"--table={tmp_path / name}" for name in ("a.json", "b.json")]
    plot = tmp_path / "plot.png"
    result = CliRunner().invoke(app, ["quality", *tables, "--page", str(page), "--plot", str(plot)])
    assert result.exit_code == 0, result.output
    assert "| guess |" in page.read_text()
    assert plot.stat().st_size > 1000


def test_a_file_without_a_table_is_named(tmp_path):
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"rows": []}))
    with pytest.raises(SettingError, match=r"other\.json holds no table"):
        read_tables([path])
    with pytest.raises(SystemExit, match="2"):
        main(["quality", "--table", str(path)])


def cells(lines):
    return dict(line.strip("| ").split(" | ") for line in lines if not line.startswith("|---"))


def test_aims_are_judged_by_mean_and_interval():
    """Catches a miss that reads like a hit, the weaker classical row as rival, and an ablation that nobody ran."""
    lines = cells(to_aims(table({**LEVELS, "guess": 30.5, "default with correction": 28.0})))
    assert lines[AIMS[0].words] == "+3.00 [3.00, 3.00]"
    assert lines[AIMS[2].words] == "+3.00 [3.00, 3.00]"
    assert lines["the model off (the guess returned) costs, exact"] == "**-0.50 [-0.50, -0.50], missed**"
    assert (
        lines["the correction, which the default does without, would gain, exact"] == "**-2.00 [-2.00, -2.00], missed**"
    )
    assert lines["swapping the first and last keyframe costs, exact"] == "not measured"
    assert lines["flicker at keyframes at most 1.15"] == "1.00 [1.00, 1.00]"
    close = cells(to_aims(table({**LEVELS, "propagation": 29.5})))
    assert close[AIMS[0].words] == "**+0.50 [0.50, 0.50], missed**"


def test_the_best_classical_row_is_sought_for_each_figure():
    one = table({"propagation": 27.0}).scores
    other = [replace(s, row="colour map", figures={**s.figures, "psnr_far": 20.0, "psnr_key": 31.0}) for s in one]
    best = BenchTable(scores=[*one, *other]).summary()["best_classical"]
    assert (best["row"], best["psnr_far"]["mean"], best["psnr_key"]["mean"]) == ("propagation", 28.5, 31.0)


@pytest.mark.parametrize(("page", "split", "scenes"), [("quality", "test", 36), ("validation", "validation", 24)])
def test_the_published_pages_say_what_the_published_scores_say(page, split, scenes):
    """Catches a number typed into a page, and scores of one split published as those of the other."""
    docs = Path(__file__).parents[2] / "docs"
    begin, end = marks(COMMAND)
    shown = (docs / f"{page}.md").read_text(encoding="utf-8").split(begin)[1].split(end)[0]
    scores = read_tables([docs / f"{page}.json"])
    assert shown.strip() == to_page(scores).strip()
    assert scores.about["split"] == split
    assert {s.scene for s in scores.scores if s.world == "own"} == set(range(scenes))
